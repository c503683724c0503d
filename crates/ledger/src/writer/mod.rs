//! The writing half: keeps a ledger's callsites and their counters, from inside the target's `malloc`.
//!
//! `create` makes the file and leaves it, `tables` adds labels and modules, `keys` names what is added. Not a place for
//! decisions: it neither samples nor unwinds. It never allocates through the target's heap, never waits
//! without bound, and follows no offset that it reads back from the shared file. Killed at any instruction it leaves a
//! file that readers accept: a record is complete before the word that announces it is stored. Called by `sampler`.

mod create;
mod keys;
mod tables;

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

pub use create::{LedgerSettings, OpenError};
pub use keys::{CallsiteKey, LabelId, ModuleEntry};

use crate::index::Index;
use crate::layout::*;
use crate::lock::TryLock;
use crate::sys;

/// How much of the callsites and of the words gets memory at a time.
const COMMIT_BYTES: usize = if LARGEST_PAGE > 32 << 10 { LARGEST_PAGE } else { 32 << 10 };

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
    /// A writer without a ledger, over a page that becomes the file's header.
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

    /// From within: what a fresh ledger starts with, or what the program's own API asks for.
    pub fn set_intervals(&self, intervals: Intervals) {
        self.page.control.set_intervals(intervals);
    }

    /// The header: the ledger's, or zeroes while there is none.
    #[inline]
    pub fn header(&self) -> &'static Header {
        self.page
    }

    /// Whether there is a ledger.
    #[inline]
    pub fn is_open(&self) -> bool {
        !self.base.load(Acquire).is_null()
    }

    /// Guards everything that adds a record; for fork.
    pub fn lock(&self) -> &TryLock {
        &self.lock
    }

    fn words_at(&self) -> usize {
        CALLSITES_AT + self.callsite_capacity.load(Relaxed) * size_of::<RawCallsite>()
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
        let end = CALLSITES_AT + (id as usize + 1) * size_of::<RawCallsite>();
        self.commit(&self.callsites_ready, end)?;
        let stack_at = self.stack(stack, key.frames)?;
        let callsite = self.record::<RawCallsite>(CALLSITES_AT, id as usize).ok_or(Loss::LedgerFull)?;
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
    fn callsite(&self, id: u32) -> Option<&RawCallsite> {
        if id >= self.callsites.load(Acquire) {
            return None;
        }
        // SAFETY: as in `record`: `add` found the callsite inside the mapping before it counted it, and `abandon`, which
        // ends the mapping, ends the count too.
        Some(unsafe { &*self.base.load(Relaxed).add(CALLSITES_AT).cast::<RawCallsite>().add(id as usize) })
    }

    /// Counts a live object of `bytes` at a callsite.
    #[inline(always)]
    pub fn count(&self, id: u32, bytes: u64) {
        if let Some(callsite) = self.callsite(id) {
            callsite.total_bytes.fetch_add(bytes, Relaxed);
            let usual = callsite.usual_bytes.load(Relaxed);
            if bytes != usual {
                callsite.squares.fetch_add(RawCallsite::square(usual, bytes), Relaxed);
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
                callsite.squares.fetch_sub(RawCallsite::square(usual, bytes), Relaxed);
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

    /// Counts a loss.
    #[cold]
    pub fn lose(&self, loss: Loss) {
        if let Some(counter) = self.page.losses.get(loss as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }
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
