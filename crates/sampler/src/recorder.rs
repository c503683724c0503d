//! The recorder: from an allocation that may be due to a sample in the ledger, and back at its free.
//!
//! It is entered at most once per thread: what happens inside it is not sampled. It owns the process's ledger and pool and
//! sees them through fork. The fast path is not here: `preload`'s stubs and `alloc` ask [`Recorder::may_be_due`] first.
//! Called by both.

use core::num::NonZeroU64;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering::*};

use heapql_ledger::kernel::call;
use heapql_ledger::layout::HeaderPage;
use heapql_ledger::{CallsiteKey, Intervals, LabelId, Loss, MAX_DEPTH, TryLock, Weight, Writer};
use heapql_unwind::{End, Registers};

pub(crate) use crate::environment::Defaults;
use crate::environment::Environment;
use crate::pool::{self, Bad, Object, Pool, SHARDS, Tag};
use crate::text::{self, Line, Path, say};
use crate::thread::{self, DUE, Thread};
use crate::{decide, environment, labels, losses, modules};

/// Frames that are captured beyond those that are kept because some may be skipped.
const MOST_SKIPPED: usize = 8;
/// A pool object that no longer is a sample: it was resized where it stood, without being due.
const NO_CALLSITE: u32 = u32::MAX;

/// The control words at a fixed address. The ledger's first page is mapped over it when there is one.
pub static PAGE: HeaderPage = HeaderPage::zeroed();
static WRITER: Writer = Writer::new(&PAGE);
pub(crate) static POOL: Pool = Pool::new();

/// The pool's addresses once it is reserved, where a stub can compare with them: no address is in it before.
pub static POOL_START: AtomicUsize = AtomicUsize::new(usize::MAX);
pub static POOL_BYTES: AtomicUsize = AtomicUsize::new(0);

const UNOPENED: u8 = 0;
const OPEN: u8 = 1;
const OFF: u8 = 2;
/// The program has not asked for it yet.
const HELD: u8 = 3;
static STATE: AtomicU8 = AtomicU8::new(UNOPENED);
static OPENING: TryLock = TryLock::new();
/// Held by the thread that forks, which is known by its block.
static FORKING: TryLock = TryLock::new();
static FORKER: AtomicUsize = AtomicUsize::new(0);
/// Rises with every ledger of this process and its ancestors.
static EPOCH: AtomicU16 = AtomicU16::new(0);
static NEXT_SHARD: AtomicU32 = AtomicU32::new(0);
/// A word that the kernel zeroes in a forked child (MADV_WIPEONFORK), however it was forked.
static FORK_MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());

/// What is asked of the allocator.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub bytes: usize,
    /// A power of two.
    pub align: usize,
    pub zeroed: bool,
}

/// What becomes of a reallocation.
pub enum Reallocation {
    /// Done: the object is here, the old one is gone.
    Done(NonNull<u8>),
    /// The old object is no sample and the new one is not due: the underlying allocator's business alone.
    Foreign,
    /// The old object is a sample of this many usable bytes, the new one is not: allocate, copy, then `free` the old one.
    Leave(usize),
    /// The old object is no sample, the new one is due: take this, copy, then free the old one as it was allocated.
    Enter(NonNull<u8>),
}

/// The thread is inside the recorder, which it leaves on drop. Nothing inside changes errno.
struct Inside {
    thread: &'static Thread,
}

impl Inside {
    #[inline(always)]
    fn enter() -> Option<Inside> {
        let thread = thread::current();
        if thread.busy.replace(true) {
            return None;
        }
        Some(Inside { thread })
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        self.thread.busy.set(false);
    }
}

/// Counts an allocation on this thread. True if it may be due: then call [`allocate`].
#[inline(always)]
pub fn may_be_due(bytes: usize) -> bool {
    let due = thread::tick() >= PAGE.control.limit.load(Relaxed);
    due | (bytes as u64 >= PAGE.control.byte_rule.load(Relaxed))
}

/// True for a pointer that only [`free`] and [`reallocate`] may end.
#[inline(always)]
pub fn is_sampled(object: *const u8) -> bool {
    (object as usize).wrapping_sub(POOL_START.load(Relaxed)) < POOL_BYTES.load(Relaxed)
}

/// Samples the allocation that was just counted, if it is due. `None`: the underlying allocator serves it. `frame` is the
/// stack from the caller of the allocation function outwards; `skip` are return addresses not worth showing.
#[cold]
pub fn allocate(request: Request, frame: Registers, skip: &[usize], defaults: &Defaults) -> Option<NonNull<u8>> {
    let inside = enter()?;
    if !is_recording(inside.thread, defaults) {
        return None;
    }
    let weight = decide::due(inside.thread, &PAGE.control, request.bytes as u64)?;
    sample(inside.thread, request, Stack { frame, skip, weight })
}

/// As [`allocate`], for an object that may be resized. The reallocation has been counted.
///
/// # Safety
/// `old` is a live object of this process, sampled or not, that nobody else uses meanwhile.
#[cold]
pub unsafe fn reallocate(
    old: *mut u8,
    request: Request,
    frame: Registers,
    skip: &[usize],
    defaults: &Defaults,
) -> Reallocation {
    let Some(inside) = enter() else {
        return if is_sampled(old) { leave(old) } else { Reallocation::Foreign };
    };
    let due = is_recording(inside.thread, defaults)
        .then(|| decide::due(inside.thread, &PAGE.control, request.bytes as u64))
        .flatten()
        .map(|weight| Stack { frame, skip, weight });
    if !is_sampled(old) {
        let sample = due.and_then(|stack| sample(inside.thread, request, stack));
        return sample.map_or(Reallocation::Foreign, Reallocation::Enter);
    }
    let object = POOL.object(old as usize).unwrap_or_else(|bad| fail(bad));
    let site = due.and_then(|stack| callsite(inside.thread, &stack, request.bytes));
    if let Some(done) = resize(old, &object, request, site) {
        return Reallocation::Done(done);
    }
    let Some(site) = site else {
        return Reallocation::Leave(object.usable);
    };
    let Some(new) = place(inside.thread, request, site) else {
        return Reallocation::Leave(object.usable);
    };
    // All that malloc_usable_size told of may be in use.
    // SAFETY: `old` is live (this function's condition) and has `object.usable`, `new` is fresh and has `request.bytes`.
    unsafe { core::ptr::copy_nonoverlapping(old, new.as_ptr(), object.usable.min(request.bytes)) };
    free(old);
    Reallocation::Done(new)
}

/// Opens the ledger before the program runs, and so before it can change its user, its root, its descriptors, or what system
/// calls it may make.
pub fn begin(defaults: &Defaults) {
    text::note_stderr();
    if let Some(inside) = Inside::enter()
        && is_recording(inside.thread, defaults)
    {
        // What this asks the kernel, a sample of this thread need not ask under a filter.
        let mut bounds = inside.thread.stack.get();
        bounds.cover(Registers::here().sp);
        inside.thread.stack.set(bounds);
    }
}

/// Records nothing until [`start`]: for a program that decides at run time. At its first allocation.
#[cfg(feature = "global-alloc")]
pub(crate) fn hold() {
    if STATE.compare_exchange(UNOPENED, HELD, AcqRel, Acquire).is_ok() {
        PAGE.control.byte_rule.store(u64::MAX, Relaxed);
        PAGE.control.limit.store(u64::MAX, Relaxed);
    }
}

#[cfg(feature = "global-alloc")]
pub(crate) fn is_held() -> bool {
    STATE.load(Acquire) == HELD
}

/// Ends the hold of [`SamplingAlloc::held`]: recording begins, in this directory, with these intervals or else those that
/// the environment or a server asks for. Without a hold it changes nothing.
///
/// [`SamplingAlloc::held`]: crate::SamplingAlloc::held
pub fn start(dir: &[u8], intervals: Option<Intervals>) {
    if STATE.load(Acquire) != HELD {
        return;
    }
    environment::choose(dir, intervals);
    PAGE.control.byte_rule.store(0, Relaxed);
    PAGE.control.limit.store(0, Relaxed);
    // Last: from now on another thread may open the ledger, whose words these then are.
    STATE.store(UNOPENED, Release);
}

/// Changes this process's own sampling. A server that records it may change it again.
pub fn set_intervals(intervals: Intervals) {
    if STATE.load(Acquire) == OPEN {
        WRITER.set_intervals(intervals);
    }
}

/// Without asking whether anything is due.
fn leave(old: *mut u8) -> Reallocation {
    POOL.object(old as usize).map_or_else(|bad| fail(bad), |object| Reallocation::Leave(object.usable))
}

/// Ends a sampled object. Never waits, and may be called in the middle of anything.
#[cold]
pub fn free(object: *mut u8) {
    let (tag, bytes) = POOL.free(object as usize).unwrap_or_else(|bad| fail(bad));
    uncount(tag, bytes);
}

/// What malloc_usable_size says of a sampled object: 0 if it is none.
pub fn usable_bytes(object: *const u8) -> usize {
    POOL.object(object as usize).map_or(0, |object| object.usable)
}

#[inline(always)]
fn uncount(tag: Tag, bytes: usize) {
    // An object that a forked child inherited belongs to its parent's ledger, which is still mapped here if it was a bare
    // clone(2) that made the child and nothing has been due since.
    if tag.epoch == EPOCH.load(Relaxed) && tag.callsite != NO_CALLSITE && !is_forked() {
        WRITER.uncount(tag.callsite, bytes as u64);
    }
}

/// What the underlying allocator does too when it is given a pointer that is not its own.
#[cold]
fn fail(bad: Bad) -> ! {
    text::cry(Line::new().text(match bad {
        Bad::Freed => b"free(): double free of a sampled object",
        Bad::NotAnObject => b"free(): invalid pointer into the sampled objects",
    }));
    // SAFETY: abort is always allowed.
    unsafe { libc::abort() }
}

#[inline]
fn enter() -> Option<Inside> {
    let inside = Inside::enter();
    if inside.is_none() && STATE.load(Relaxed) == OPEN {
        losses::lose(&WRITER, Loss::Reentrant);
    }
    inside
}

/// Where a sample was taken, and how many allocations it stands for.
struct Stack<'a> {
    frame: Registers,
    /// Return addresses not worth showing.
    skip: &'a [usize],
    weight: Weight,
}

fn sample(thread: &Thread, request: Request, stack: Stack) -> Option<NonNull<u8>> {
    let site = callsite(thread, &stack, request.bytes)?;
    place(thread, request, site)
}

fn shard(thread: &Thread) -> u8 {
    if thread.shard.get() == 0 {
        thread.shard.set((NEXT_SHARD.fetch_add(1, Relaxed) % SHARDS as u32) as u8 + 1);
    }
    thread.shard.get() - 1
}

/// The number of the callsite of this stack under the thread's label.
#[inline(always)]
fn callsite(thread: &Thread, stack: &Stack, bytes: usize) -> Option<u32> {
    if thread.armed.is_first_sample() {
        WRITER.begin_series(shard(thread));
    }
    // SAFETY: this thread is inside the recorder, once (`Inside`), and nothing below comes back here.
    let memo = unsafe { &mut *thread.memo.get() };
    let depth = PAGE.control.depth();
    let room = depth + stack.skip.len().min(MOST_SKIPPED);
    let kind = (u64::from(stack.weight) << 48) | (u64::from(thread.label.get()) << 32);
    match memo.recall(&stack.frame, &thread.stack.get(), room) {
        Some(name) if (name.get() ^ kind) >> 32 == 0 => Some(name.get() as u32 - 1),
        // New, or the same stack under another label or of another weight.
        _ => unwind(thread, stack, room, depth, kind, bytes),
    }
}

#[inline(never)]
fn unwind(thread: &Thread, stack: &Stack, room: usize, depth: usize, kind: u64, bytes: usize) -> Option<u32> {
    // SAFETY: as in `callsite`, which has let go of it.
    let memo = unsafe { &mut *thread.memo.get() };
    let mut frames = [0; MAX_DEPTH + MOST_SKIPPED];
    let frames = frames.get_mut(..room).unwrap_or_default();
    let mut bounds = thread.stack.get();
    let walk = memo.learn(stack.frame, &(0..0), &mut bounds, frames);
    thread.stack.set(bounds);
    if matches!(walk.end, End::Truncated(_)) {
        losses::lose(&WRITER, Loss::StackTruncated);
    }
    let frames = frames.get(..walk.depth).unwrap_or_default();
    let own = frames.iter().take_while(|frame| stack.skip.contains(frame)).count();
    let frames = frames.get(own..).unwrap_or_default();
    let frames = frames.get(..frames.len().min(depth)).unwrap_or_default();
    modules::see_returned(&WRITER, frames);
    let key = CallsiteKey { label: thread.label.get(), shard: shard(thread), weight: stack.weight, frames };
    let site = WRITER.find(&key).or_else(|| intern(&key, bytes))?;
    if let Some(name) = NonZeroU64::new(kind | u64::from(site + 1)) {
        memo.name(name);
    }
    Some(site)
}

#[cold]
fn intern(key: &CallsiteKey, bytes: usize) -> Option<u32> {
    modules::note(&WRITER, key.frames);
    WRITER.add(key, bytes as u64).map_err(|loss| losses::lose(&WRITER, loss)).ok()
}

/// An object in the pool, counted.
fn place(thread: &Thread, request: Request, site: u32) -> Option<NonNull<u8>> {
    let tag = Tag { callsite: site, epoch: EPOCH.load(Relaxed) };
    // No bound that anybody could move, and mostly a request that nobody can fulfil.
    if request.bytes > POOL_BYTES.load(Relaxed) || request.align > pool::LARGEST_ALIGN {
        WRITER.lose(Loss::PoolFull);
        return None;
    }
    let placed = POOL.allocate(shard(thread).into(), request.bytes, request.align, tag);
    let (object, is_zero) = placed.map_err(|loss| losses::lose(&WRITER, loss)).ok()?;
    if request.zeroed && !is_zero {
        // SAFETY: a fresh object of this size.
        unsafe { object.as_ptr().write_bytes(0, request.bytes) };
    }
    WRITER.count(site, request.bytes as u64);
    Some(object)
}

/// Resizes a pool object without copying, as a new sample if it has a callsite. It does not grow small ones out of their
/// block, nor keep a large block for what has become small.
fn resize(old: *mut u8, object: &Object, request: Request, site: Option<u32>) -> Option<NonNull<u8>> {
    let tag = Tag { callsite: site.unwrap_or(NO_CALLSITE), epoch: EPOCH.load(Relaxed) };
    let aligned = (old as usize).is_multiple_of(request.align);
    let fits = request.bytes <= object.usable && request.bytes >= object.usable / 2;
    let done = if fits && aligned {
        POOL.retag(old as usize, tag, request.bytes);
        NonNull::new(old)
    } else if aligned {
        POOL.resize_large(old as usize, request.bytes, tag)
    } else {
        None
    }?;
    uncount(object.tag, object.bytes);
    if let Some(site) = site {
        WRITER.count(site, request.bytes as u64);
    }
    Some(done)
}

/// True if there is a ledger, which is opened here if need be.
#[inline]
fn is_recording(thread: &Thread, defaults: &Defaults) -> bool {
    match STATE.load(Acquire) {
        OPEN if !is_forked() => true,
        OFF | HELD => {
            thread.count.set(DUE);
            false
        }
        _ => open(thread, defaults),
    }
}

fn is_forked() -> bool {
    // SAFETY: null or a page that was mapped for ever.
    unsafe { FORK_MARK.load(Relaxed).as_ref() }.is_some_and(|mark| mark.load(Relaxed) == 0)
}

/// Opens the ledger if recording is wanted and possible; called at the first allocation that may be due, when a scope is
/// entered, and in forked children.
#[cold]
fn open(thread: &Thread, defaults: &Defaults) -> bool {
    if !environment::is_there() {
        return false;
    }
    if STATE.load(Acquire) == OPEN && is_forked() {
        forget_parent(thread);
    }
    let Some(_held) = OPENING.lock() else {
        return false;
    };
    if STATE.load(Acquire) != UNOPENED {
        return STATE.load(Acquire) == OPEN;
    }
    let opened = mark_fork() && open_ledger(defaults);
    if !opened {
        PAGE.control.byte_rule.store(u64::MAX, Relaxed);
        PAGE.control.limit.store(u64::MAX, Relaxed);
    }
    STATE.store(if opened { OPEN } else { OFF }, Release);
    opened
}

#[inline(never)]
fn open_ledger(defaults: &Defaults) -> bool {
    let mut dir = Path::EMPTY;
    let Some(environment) = Environment::read(defaults, &mut dir) else {
        return false;
    };
    if POOL_BYTES.load(Relaxed) == 0 {
        let Some((start, bytes)) = POOL.reserve() else {
            say(Line::new().text(b"not recording: no address space for sampled objects (ulimit -v?)"));
            return false;
        };
        POOL_START.store(start, Relaxed);
        POOL_BYTES.store(bytes, Relaxed);
    }
    let settings = heapql_ledger::Settings {
        dir: dir.as_c_str(),
        bytes: environment.bytes,
        sampling: environment.sampling,
        default_label: environment.default_label(),
    };
    labels::number(&settings.default_label, &WRITER);
    // SAFETY: under OPENING, in the state UNOPENED, and PAGE is used by this writer alone.
    if let Err(error) = unsafe { WRITER.open(&settings) } {
        let line = Line::new().text(b"not recording: no ledger in '").text(dir.bytes()).text(b"': ");
        say(line.text(error.what.as_bytes()).text(b" (error ").number(error.errno.0 as u64).text(b")"));
        return false;
    }
    heapql_unwind::modules_changed();
    labels::restore(&WRITER);
    modules::note_program(&WRITER);
    true
}

/// Maps the word by which a forked child knows itself.
fn mark_fork() -> bool {
    const MADV_WIPEONFORK: usize = 18;
    let mut mark = FORK_MARK.load(Relaxed);
    if mark.is_null() {
        let (flags, access) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // Shorter than a page where those are larger: the kernel rounds up.
        // SAFETY: a fresh mapping where the kernel picks.
        let page = unsafe { call(libc::SYS_mmap, [0, 4096, access as usize, flags as usize, usize::MAX, 0]) };
        let Ok(page) = page else {
            return false;
        };
        // SAFETY: mapped above. A kernel without it (before 4.14) leaves the mark standing: the fork handler remains.
        let _ = unsafe { call(libc::SYS_madvise, [page, 4096, MADV_WIPEONFORK]) };
        mark = page as *mut AtomicU32;
        FORK_MARK.store(mark, Release);
    }
    // SAFETY: mapped above or before, for ever.
    unsafe { (*mark).store(1, Relaxed) };
    true
}

/// In a forked child: the ledger is the parent's. What the pool holds stays, as does what this thread was about.
fn forget_parent(thread: &Thread) {
    // SAFETY: this is the only thread of a forked child, and it is in no method of the writer.
    unsafe { WRITER.abandon() };
    modules::forget();
    // SAFETY: this thread, the only one, is between two allocations or has just entered the recorder.
    unsafe { &mut *thread.memo.get() }.forget();
    text::hush();
    EPOCH.fetch_add(1, Relaxed);
    thread.armed.forget();
    thread.count.set(DUE);
    STATE.store(UNOPENED, Release);
}

fn this_thread() -> usize {
    core::ptr::from_ref(thread::current()) as usize
}

fn locks() -> impl Iterator<Item = &'static TryLock> {
    [&labels::LOCK, WRITER.lock()].into_iter().chain(POOL.locks())
}

/// For pthread_atfork, before fork: nobody is in the middle of a change while the memory is copied. Of threads that fork
/// at the same time only the first does this, and the others do without if they have waited for long enough.
pub extern "C" fn before_fork() {
    if FORKING.keep_for_fork() {
        FORKER.store(this_thread(), Relaxed);
        locks().for_each(|lock| _ = lock.keep_for_fork());
    }
}

/// For pthread_atfork, in the parent.
pub extern "C" fn after_fork_in_parent() {
    if FORKER.load(Relaxed) == this_thread() {
        FORKER.store(0, Relaxed);
        locks().chain([&FORKING]).for_each(TryLock::unlock_after_fork);
    }
}

/// For pthread_atfork, in the child: it gets a ledger of its own at its first sample.
pub extern "C" fn after_fork_in_child() {
    FORKER.store(0, Relaxed);
    locks().for_each(TryLock::unlock_after_fork);
    // Who held these is not in this process, and what they protect is built anew.
    [&FORKING, &OPENING, &labels::LOCK, WRITER.lock()].into_iter().for_each(TryLock::reset);
    if STATE.load(Acquire) == OPEN {
        forget_parent(thread::current());
    }
}

/// The program has unloaded a library: its addresses may come to mean something else.
pub fn after_dlclose() {
    let Some(_inside) = Inside::enter() else {
        return;
    };
    heapql_unwind::modules_changed();
    if STATE.load(Acquire) == OPEN && !is_forked() {
        modules::unloaded(&WRITER);
    }
}

/// Nothing is recorded yet, and nobody has said that it shall not be.
#[cfg(feature = "global-alloc")]
pub(crate) fn is_unopened() -> bool {
    STATE.load(Acquire) == UNOPENED
}

/// The number of a label. `None` if there are too many, if it cannot be one, or nothing is recorded.
pub(crate) fn label(wanted: &LabelId, defaults: &Defaults) -> Option<u16> {
    let inside = Inside::enter()?;
    if !is_recording(inside.thread, defaults) || !labels::is_possible(wanted) {
        return None;
    }
    let number = labels::number(wanted, &WRITER);
    if number.is_none() {
        losses::lose(&WRITER, if labels::are_full() { Loss::LabelsFull } else { Loss::Contended });
    }
    number
}

/// Makes a label current on this thread and returns the one before it. A number that no label has changes nothing.
pub(crate) fn switch(label: u16) -> u16 {
    let thread = thread::current();
    let before = thread.label.get();
    if labels::is_known(label) {
        decide::switch(thread, &PAGE.control, label);
    }
    before
}
