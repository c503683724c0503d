//! The writing half: creates a ledger and keeps its counters, from inside the target's `malloc`.
//!
//! Not a place for decisions: it neither samples nor unwinds. It never allocates through the target's heap, never waits
//! without bound, and follows no offset that it reads back from the shared file. Killed at any instruction it leaves a
//! file that readers accept: a record is complete before the word that announces it is stored. Called by `sampler`.

use core::ffi::CStr;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

use crate::identity;
use crate::index::Index;
use crate::layout::*;
use crate::lock::TryLock;
use crate::retention;
use crate::sys::{self, Errno};

/// How much of the callsites and of the words gets memory at a time.
const COMMIT_BYTES: usize = if LARGEST_PAGE > 32 << 10 { LARGEST_PAGE } else { 32 << 10 };

/// What to create.
pub struct Settings<'a> {
    /// An existing directory.
    pub dir: &'a CStr,
    /// Size of the file; capped by RLIMIT_FSIZE and by a share of RLIMIT_AS.
    pub bytes: usize,
    pub sampling: Sampling,
    /// Label 0: of allocations that set no scope.
    pub default_label: LabelId<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelId<'a> {
    pub tenant_id: u64,
    pub ctx_id: u64,
    /// What [`LabelId::kept`] says of it is kept.
    pub text: &'a [u8],
}

impl LabelId<'_> {
    /// How many bytes of a text make a label: up to the first NUL, at most [`LABEL_BYTES`], and no part of a character.
    pub const fn kept(text: &[u8]) -> usize {
        let mut end = 0;
        while end < text.len() && text[end] != 0 {
            if end == LABEL_BYTES {
                return whole_characters(text, end);
            }
            end += 1;
        }
        end
    }

    /// Text and length as they stand in [`Label::text`].
    pub fn words(&self) -> [u64; 2] {
        let text = self.text.get(..LabelId::kept(self.text)).unwrap_or_default();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        bytes[LABEL_BYTES] = text.len() as u8;
        let (low, high) = bytes.split_at(8);
        [word_of(low), word_of(high)]
    }
}

/// `end`, or where the character begins that goes on there. What is not UTF-8 is cut as it is.
const fn whole_characters(text: &[u8], end: usize) -> usize {
    let mut start = end;
    while start + 3 > end && text[start] & 0xc0 == 0x80 {
        start -= 1;
    }
    if text[start] >= 0xc0 { start } else { end }
}

/// Why there is no ledger: what was tried, and the kernel's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenError {
    pub what: &'static str,
    pub errno: Errno,
}

/// What makes two samples the same callsite. `shard` keeps threads apart so that they do not share cache lines; readers
/// add the shards up.
pub struct CallsiteKey<'a> {
    pub label: u16,
    pub shard: u8,
    pub weight: Weight,
    /// Innermost first, at most [`MAX_DEPTH`].
    pub frames: &'a [usize],
}

pub struct ModuleEntry<'a> {
    pub start: u64,
    pub end: u64,
    pub load_bias: u64,
    pub name: &'a [u8],
    pub build_id: &'a [u8],
    pub is_program: bool,
}

/// The process's ledger, or none yet. Usable from any thread; all zero until [`Writer::open`].
pub struct Writer {
    /// The page that becomes the file's header: a static of the program, so that the allocation path reads the control
    /// words at a fixed address, ledger or none.
    page: &'static Header,
    /// Start of the mapping of the whole file; null while there is no ledger.
    base: AtomicPtr<u8>,
    bytes: AtomicUsize,
    callsite_capacity: AtomicUsize,
    word_capacity: AtomicUsize,
    /// How far the file has memory behind it, in bytes from its start, per table.
    callsites_ready: AtomicUsize,
    words_ready: AtomicUsize,
    /// The true counts. Those in the header are copies for readers.
    callsites: AtomicU32,
    words: AtomicU32,
    modules: AtomicU32,
    created_ns: AtomicU64,
    index: Index,
    /// Guards everything that adds a record.
    lock: TryLock,
}

impl Writer {
    pub const fn new(page: &'static HeaderPage) -> Self {
        Self {
            page: page.header(),
            base: AtomicPtr::new(null_mut()),
            bytes: AtomicUsize::new(0),
            callsite_capacity: AtomicUsize::new(0),
            word_capacity: AtomicUsize::new(0),
            callsites_ready: AtomicUsize::new(0),
            words_ready: AtomicUsize::new(0),
            callsites: AtomicU32::new(0),
            words: AtomicU32::new(0),
            modules: AtomicU32::new(0),
            created_ns: AtomicU64::new(0),
            index: Index::new(),
            lock: TryLock::new(),
        }
    }

    /// Creates the file and puts its first page over the static one.
    ///
    /// # Safety
    /// One thread at a time, and only while there is no ledger. Nothing else maps the static page.
    #[inline(never)]
    pub unsafe fn open(&self, settings: &Settings) -> Result<(), OpenError> {
        let allowed = sys::largest_file().min(sys::share_of_addresses());
        let bytes = settings.bytes.min(MAX_BYTES).min(allowed) & !(LARGEST_PAGE - 1);
        if bytes < MIN_BYTES {
            return Err(OpenError { what: "the ledger would be too small", errno: Errno(libc::EFBIG) });
        }
        let created = sys::clock(libc::CLOCK_REALTIME);
        let path = identity::FilePath::new(settings.dir, created)
            .ok_or(OpenError { what: "the path is too long", errno: Errno(libc::ENAMETOOLONG) })?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let fd = sys::open(path.as_c_str(), flags, 0o600).map_err(|errno| OpenError { what: "create", errno })?;
        // SAFETY: this caller's promise.
        let mapped = unsafe { self.map_file(fd, bytes) };
        // Before the descriptor is closed: the mapping holds it from then on.
        sys::hold(fd);
        sys::close(fd);
        if let Err(error) = mapped {
            sys::unlink(path.as_c_str());
            return Err(error);
        }
        self.fill(settings, created, bytes);
        retention::bound(settings.dir, created);
        Ok(())
    }

    /// # Safety
    /// That of [`Writer::open`]; `fd` is a fresh file.
    unsafe fn map_file(&self, fd: i32, bytes: usize) -> Result<(), OpenError> {
        let step = |what| move |errno| OpenError { what, errno };
        sys::truncate(fd, bytes).map_err(step("set the size"))?;
        // The fixed tables are small: giving them memory now means that only growth can meet a full file system.
        sys::allocate(fd, 0, CALLSITES_AT).map_err(step("allocate"))?;
        // SAFETY: a fresh mapping where the kernel picks.
        let base = unsafe { sys::map(None, bytes, Some(fd)) }.map_err(step("map"))?;
        if let Err(errno) = sys::populate(base, HEADER_BYTES)
            && errno == Errno(libc::EINVAL)
        {
            // A kernel before 5.14 cannot say that a page has no memory behind it: give all of it memory now.
            sys::allocate(fd, 0, bytes).map_err(step("allocate"))?;
            self.callsites_ready.store(bytes, Relaxed);
            self.words_ready.store(bytes, Relaxed);
        }
        let page = core::ptr::from_ref(self.page).cast_mut().cast::<u8>();
        // SAFETY: the static is whole pages of its own whatever their size is (`HeaderPage`), all atomics, and the caller
        // says that it is ours. What is mapped behind the header is not used.
        unsafe { sys::map(Some(page), LARGEST_PAGE, Some(fd)) }.map_err(step("map the header"))?;
        self.bytes.store(bytes, Relaxed);
        self.base.store(base, Release);
        Ok(())
    }

    fn fill(&self, settings: &Settings, created: u64, bytes: usize) {
        let (callsites, words) = capacities(bytes);
        self.callsite_capacity.store(callsites, Relaxed);
        self.word_capacity.store(words, Relaxed);
        let words_at = self.words_at();
        self.callsites_ready.fetch_max(CALLSITES_AT, Relaxed);
        self.words_ready.fetch_max(words_at, Relaxed);
        self.created_ns.store(sys::clock(libc::CLOCK_MONOTONIC_COARSE), Relaxed);

        let header = self.page;
        identity::describe(header, created);
        header.file_bytes.store(bytes as u64, Relaxed);
        header.callsite_capacity.store(callsites as u32, Relaxed);
        header.word_capacity.store(words as u32, Relaxed);
        self.add_label(&settings.default_label);
        header.control.depth.store(settings.sampling.depth as u64, Relaxed);
        self.set_intervals(settings.sampling.intervals);
        header.control.limit.store(LIMIT_START, Release);
        header.ready.store(1, Release);
    }

    /// From within: what a fresh ledger starts with, or what the program's own API asks for.
    pub fn set_intervals(&self, intervals: Intervals) {
        self.page.control.set_intervals(intervals);
    }

    #[inline]
    pub fn header(&self) -> &'static Header {
        self.page
    }

    #[inline]
    pub fn is_open(&self) -> bool {
        !self.base.load(Acquire).is_null()
    }

    /// Forgets the ledger without touching it: it is the parent's. The header page becomes private and zero, so that the
    /// next allocation finds itself due.
    ///
    /// # Safety
    /// In a forked child, by its only thread, outside every other method.
    pub unsafe fn abandon(&self) {
        let base = self.base.swap(null_mut(), AcqRel);
        let page = core::ptr::from_ref(self.page).cast_mut().cast::<u8>();
        // SAFETY: the page is a static of ours; a private zero page is a valid `Header`. If it cannot be had, the page
        // stays the parent's, and only its control words are read.
        let _ = unsafe { sys::map(Some(page), LARGEST_PAGE, None) };
        if !base.is_null() {
            // SAFETY: the mapping is this writer's, and the only thread is here.
            unsafe { sys::unmap(base, self.bytes.load(Relaxed)) };
        }
        // SAFETY: the only thread is here.
        unsafe { self.index.clear() };
        for counter in [&self.callsites, &self.words, &self.modules] {
            counter.store(0, Relaxed);
        }
        self.callsites_ready.store(0, Relaxed);
        self.words_ready.store(0, Relaxed);
        self.lock.reset();
    }

    /// Guards everything that adds a record; for fork.
    pub fn lock(&self) -> &TryLock {
        &self.lock
    }

    fn words_at(&self) -> usize {
        CALLSITES_AT + self.callsite_capacity.load(Relaxed) * size_of::<Callsite>()
    }

    /// The `at`-th `T` of a table that starts `table` bytes into the file; `None` outside it or without a ledger.
    #[inline]
    fn record<T>(&self, table: usize, at: usize) -> Option<&T> {
        let base = self.base.load(Acquire);
        let offset = table + at * size_of::<T>();
        if base.is_null() || offset + size_of::<T>() > self.bytes.load(Relaxed) {
            return None;
        }
        // SAFETY: inside the mapping, which stays until `abandon`; tables are aligned for their records, and every `T`
        // of the layout is all atomics, valid for any bytes that another process may write.
        Some(unsafe { &*base.add(offset).cast::<T>() })
    }

    /// Makes sure that the file has memory up to `end`.
    fn commit(&self, ready: &AtomicUsize, end: usize) -> Result<(), Loss> {
        let have = ready.load(Acquire);
        if end <= have {
            return Ok(());
        }
        let base = self.base.load(Acquire);
        let from = have & !(LARGEST_PAGE - 1);
        let upto = (end + COMMIT_BYTES).min(self.bytes.load(Relaxed)) & !(LARGEST_PAGE - 1);
        if upto < end || sys::populate(base.wrapping_add(from), upto - from).is_err() {
            return Err(Loss::NoSpace);
        }
        ready.fetch_max(upto, AcqRel);
        Ok(())
    }

    /// The id of a label, added if it is new. `None` when the table is full.
    pub fn label(&self, wanted: &LabelId) -> Option<u16> {
        if let Some(found) = self.find_label(wanted) {
            return Some(found);
        }
        let _held = self.lock.lock()?;
        self.find_label(wanted).or_else(|| self.add_label(wanted))
    }

    fn find_label(&self, wanted: &LabelId) -> Option<u16> {
        let (count, text) = (self.page.label_count.load(Acquire), wanted.words());
        (0..count.min(LABEL_CAPACITY as u32) as u16).find(|&id| {
            self.record::<Label>(LABELS_AT, id.into()).is_some_and(|label| {
                label.tenant_id.load(Relaxed) == wanted.tenant_id
                    && label.ctx_id.load(Relaxed) == wanted.ctx_id
                    && label.text[0].load(Relaxed) == text[0]
                    && label.text[1].load(Relaxed) == text[1]
            })
        })
    }

    fn add_label(&self, wanted: &LabelId) -> Option<u16> {
        let id = self.page.label_count.load(Relaxed);
        if id as usize >= LABEL_CAPACITY {
            return None;
        }
        let label = self.record::<Label>(LABELS_AT, id as usize)?;
        label.tenant_id.store(wanted.tenant_id, Relaxed);
        label.ctx_id.store(wanted.ctx_id, Relaxed);
        for (word, value) in label.text.iter().zip(wanted.words()) {
            word.store(value, Relaxed);
        }
        self.page.label_count.store(id + 1, Release);
        Some(id as u16)
    }

    /// The callsite of a stack under a label, if it is known. Lock-free.
    #[inline]
    pub fn find(&self, key: &CallsiteKey) -> Option<u32> {
        Some(self.index.get(self.callsite_hash(key, stack_hash(key.frames)))?.0)
    }

    #[inline]
    fn callsite_hash(&self, key: &CallsiteKey, stack: u64) -> u64 {
        let generation = u64::from(self.page.module_generation.load(Relaxed));
        let apart = (u64::from(key.weight) << 48) | (u64::from(key.label) << 32) | (u64::from(key.shard) << 24);
        mix(stack, apart ^ generation)
    }

    /// Adds the callsite, whose objects have mostly `usual` bytes, unless another thread just has.
    pub fn add(&self, key: &CallsiteKey, usual: u64) -> Result<u32, Loss> {
        let _held = self.lock.lock().ok_or(Loss::Contended)?;
        let stack = stack_hash(key.frames);
        let hash = self.callsite_hash(key, stack);
        if let Some((id, _)) = self.index.get(hash) {
            return Ok(id);
        }
        let id = self.callsites.load(Relaxed);
        if id as usize >= self.callsite_capacity.load(Relaxed) {
            return Err(Loss::LedgerFull);
        }
        let end = CALLSITES_AT + (id as usize + 1) * size_of::<Callsite>();
        self.commit(&self.callsites_ready, end)?;
        let stack_at = self.stack(stack, key.frames)?;
        let callsite = self.record::<Callsite>(CALLSITES_AT, id as usize).ok_or(Loss::LedgerFull)?;
        let age = sys::clock(libc::CLOCK_MONOTONIC_COARSE).saturating_sub(self.created_ns.load(Relaxed));
        callsite.stack_at.store(stack_at, Relaxed);
        callsite.label.store(key.label, Relaxed);
        callsite.depth.store(key.frames.len() as u8, Relaxed);
        callsite.shard.store(key.shard, Relaxed);
        callsite.first_seen.store((age / 1_000_000_000) as u32, Relaxed);
        callsite.module_generation.store(self.page.module_generation.load(Relaxed) as u16, Relaxed);
        callsite.usual_bytes.store(usual, Relaxed);
        callsite.weight.store(key.weight, Release);
        self.callsites.store(id + 1, Release);
        self.page.callsite_count.store(id + 1, Release);
        // Last: whoever finds it there may count at once. Without memory for the index it is added again next time.
        self.index.insert(hash, (id, stack_at));
        Ok(id)
    }

    /// Where the frames stand among the words: shared by the callsites of all labels and shards. Under the lock.
    fn stack(&self, hash: u64, frames: &[usize]) -> Result<u32, Loss> {
        let hash = mix(hash, u64::MAX);
        if let Some((_, at)) = self.index.get(hash) {
            return Ok(at);
        }
        let frames = frames.iter().map(|&frame| frame as u64);
        let at = self.append(frames.len(), frames)?;
        // A stack that did not fit into the index is only stored again when it comes again.
        self.index.insert(hash, (0, at));
        Ok(at)
    }

    /// Appends words, announced after they are stored. Under the lock.
    fn append(&self, count: usize, words: impl Iterator<Item = u64>) -> Result<u32, Loss> {
        let at = self.words.load(Relaxed);
        if at as usize + count > self.word_capacity.load(Relaxed) {
            return Err(Loss::LedgerFull);
        }
        let table = self.words_at();
        self.commit(&self.words_ready, table + (at as usize + count) * 8)?;
        for (i, word) in words.take(count).enumerate() {
            if let Some(place) = self.record::<AtomicU64>(table, at as usize + i) {
                place.store(word, Relaxed);
            }
        }
        self.words.store(at + count as u32, Relaxed);
        self.page.word_count.store(at + count as u32, Release);
        Ok(at)
    }

    #[inline(always)]
    fn callsite(&self, id: u32) -> Option<&Callsite> {
        if id >= self.callsites.load(Acquire) {
            return None;
        }
        // SAFETY: as in `record`: `add` found the callsite inside the mapping before it counted it, and `abandon`, which
        // ends the mapping, ends the count too.
        Some(unsafe { &*self.base.load(Relaxed).add(CALLSITES_AT).cast::<Callsite>().add(id as usize) })
    }

    /// Counts a live object of `bytes` at a callsite.
    #[inline(always)]
    pub fn count(&self, id: u32, bytes: u64) {
        if let Some(callsite) = self.callsite(id) {
            callsite.total_bytes.fetch_add(bytes, Relaxed);
            let usual = callsite.usual_bytes.load(Relaxed);
            if bytes != usual {
                callsite.squares.fetch_add(Callsite::square(usual, bytes), Relaxed);
            }
            callsite.total_count.fetch_add(1, Release);
        }
    }

    /// Counts the end of an object that [`Writer::count`] counted.
    #[inline(always)]
    pub fn uncount(&self, id: u32, bytes: u64) {
        if let Some(callsite) = self.callsite(id) {
            callsite.freed_bytes.fetch_add(bytes, Relaxed);
            let usual = callsite.usual_bytes.load(Relaxed);
            if bytes != usual {
                callsite.squares.fetch_sub(Callsite::square(usual, bytes), Relaxed);
            }
            callsite.freed_count.fetch_add(1, Release);
        }
    }

    /// A series of gaps on a thread of this shard has led to its first sample.
    #[cold]
    pub fn begin_series(&self, shard: u8) {
        if let Some(counter) = self.page.series.get(shard as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    #[cold]
    pub fn lose(&self, loss: Loss) {
        if let Some(counter) = self.page.losses.get(loss as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Records a loaded module. `false` when the table is full, which costs names, not samples.
    pub fn add_module(&self, module: &ModuleEntry) -> bool {
        let Some(_held) = self.lock.lock() else {
            return false;
        };
        let id = self.modules.load(Relaxed);
        if id as usize >= MODULE_CAPACITY {
            return false;
        }
        let name = module.name.get(..module.name.len().min(u16::MAX as usize)).unwrap_or_default();
        let Ok(name_at) = self.append(name.len().div_ceil(8), name.chunks(8).map(word_of)) else {
            return false;
        };
        let Some(entry) = self.record::<Module>(MODULES_AT, id as usize) else {
            return false;
        };
        entry.start.store(module.start, Relaxed);
        entry.end.store(module.end, Relaxed);
        entry.load_bias.store(module.load_bias, Relaxed);
        entry.loaded.store(self.page.module_generation.load(Relaxed), Relaxed);
        entry.name_at.store(name_at, Relaxed);
        entry.name_bytes.store(name.len() as u16, Relaxed);
        let build_id = module.build_id.get(..module.build_id.len().min(32)).unwrap_or_default();
        for (word, chunk) in entry.build_id.iter().zip(build_id.chunks(8)) {
            word.store(word_of(chunk), Relaxed);
        }
        entry.build_id_bytes.store(build_id.len() as u16, Relaxed);
        entry.is_program.store(module.is_program.into(), Relaxed);
        entry.ready.store(1, Release);
        self.modules.store(id + 1, Relaxed);
        self.page.module_count.store(id + 1, Release);
        true
    }

    /// Something was unloaded: stacks interned from now on belong to another generation, since the same addresses may
    /// mean something else. Returns the new generation.
    pub fn next_module_generation(&self) -> u32 {
        self.page.module_generation.fetch_add(1, AcqRel) + 1
    }

    /// Marks the modules that `is_loaded(start, end)` denies as gone.
    pub fn close_modules(&self, is_loaded: impl Fn(u64, u64) -> bool) {
        let generation = self.page.module_generation.load(Relaxed);
        for id in 0..self.modules.load(Relaxed) as usize {
            let Some(entry) = self.record::<Module>(MODULES_AT, id) else {
                continue;
            };
            if entry.unloaded.load(Relaxed) == 0 && !is_loaded(entry.start.load(Relaxed), entry.end.load(Relaxed)) {
                entry.unloaded.store(generation, Release);
            }
        }
    }
}

/// Up to eight bytes as a word, padded with zeroes.
fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_ne_bytes(word)
}

/// Multiplies to 128 bits and folds: every input bit reaches every output bit.
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd6e8_feb8_6659_fd93);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn stack_hash(frames: &[usize]) -> u64 {
    frames.iter().fold(frames.len() as u64, |hash, &frame| mix(hash ^ frame as u64, 0))
}
