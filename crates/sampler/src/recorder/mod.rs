//! The recorder: from an allocation that may be due to a sample in the ledger, and back at its free.
//!
//! It is entered at most once per thread (`guard`): what happens inside it is not sampled. It owns the process's ledger and
//! pool; `state` opens them, `fork` sees them through fork. The fast path is not here: `preload`'s stubs and `alloc` ask
//! [`may_be_due`] first. Called by both.

mod fork;
mod state;

use core::num::NonZeroU64;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering::*};

use heapql_ledger::layout::HeaderPage;
use heapql_ledger::{CallsiteKey, LabelId, Loss, MAX_DEPTH, Weight, Writer};
use heapql_unwind::{End, Registers};

pub(crate) use crate::environment::Defaults;
use crate::guard::ReentrancyGuard;
use crate::pool::{self, Object, Pool, PoolError, SHARDS, Size, Tag};
use crate::text::{self, Line};
use crate::thread::{self, Thread};
use crate::{decide, labels, losses, modules};
pub use fork::{after_fork_in_child, after_fork_in_parent, before_fork};
use state::is_recording;
pub use state::{begin, set_intervals, start};
#[cfg(feature = "global-alloc")]
pub(crate) use state::{hold, is_held, is_unopened};

/// Frames that are captured beyond those that are kept because some may be skipped.
const MOST_SKIPPED: usize = 8;

/// The control words at a fixed address. The ledger's first page is mapped over it when there is one.
pub static PAGE: HeaderPage = HeaderPage::zeroed();
static WRITER: Writer = Writer::new(&PAGE);
pub(crate) static POOL: Pool = Pool::new();

/// The first of the pool's addresses, where a stub can compare with it: no address is in the pool before it is reserved.
pub static POOL_START: AtomicUsize = AtomicUsize::new(usize::MAX);
/// How many addresses the pool has; 0 while it has none.
pub static POOL_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Rises with every ledger of this process and its ancestors.
static EPOCH: AtomicU16 = AtomicU16::new(0);
static NEXT_SHARD: AtomicU32 = AtomicU32::new(0);

/// The allocator underneath, as far as a sample must look like one of its objects.
#[derive(Debug)]
pub struct Underlying {
    /// How many bytes of an object that was asked for with so many the program may use: at least as many. Takes no lock of ours
    /// and samples nothing.
    pub usable_bytes: fn(bytes: usize) -> usize,
    /// How many bytes are usable when an object of so many usable ones gets another size where it is. `None` if it moves.
    pub resized: fn(usable: usize, bytes: usize) -> Option<usize>,
}

/// A request to the allocator.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The size in bytes.
    pub bytes: usize,
    /// A power of two.
    pub align: usize,
    /// Whether the object must be all zeroes.
    pub zeroed: bool,
    /// The allocator whose objects a sample must look like.
    pub underlying: &'static Underlying,
}

impl Request {
    fn size(&self) -> Size {
        let usable = (self.underlying.usable_bytes)(self.bytes).max(self.bytes);
        Size { bytes: self.bytes, usable, align: self.align }
    }
}

/// The outcome of a reallocation.
pub enum Reallocation {
    /// Done: the object is here, the old one is gone.
    Done(NonNull<u8>),
    /// The old object is no sample and the new one is not due: the underlying allocator's business alone.
    Foreign,
    /// The old object is a sample of this many bytes at most, the new one is not: allocate, copy, then `free` the old one.
    Leave(usize),
    /// The old object is no sample, the new one is due: take this, copy, then free the old one as it was allocated.
    Enter(NonNull<u8>),
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

/// A reallocation has been counted that leaves an object where it is, which is no sample: it is no new allocation and not
/// sampled, whatever is due.
#[cold]
pub fn pass_over(defaults: &Defaults) {
    if let Some(inside) = enter()
        && is_recording(inside.thread, defaults)
    {
        decide::pass_over(inside.thread, &PAGE.control);
    }
}

/// As [`allocate`], for an object that gets another size. The reallocation has been counted.
///
/// An object that stays where it is remains the allocation that it was: a sample remains one, of the same weight, under the
/// reallocation's stack. An object that moves is a new allocation, with a chance of its own, and the old sample is gone. So each
/// allocation has one chance, and none is dropped. For an object that is no sample and stays, the caller calls [`pass_over`].
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
    let object = is_sampled(old).then(|| POOL.object(old as usize).unwrap_or_else(|bad| fail(bad)));
    let inside = enter();
    let recording = inside.as_ref().map(|inside| inside.thread).filter(|thread| is_recording(thread, defaults));
    if let Some(object) = &object
        && let Some(size) = resized(old, object, &request)
    {
        let stack = Stack { frame, skip, weight: object.tag.weight };
        return resize_in_place(old, object, size, recording, stack);
    }
    let due = recording.and_then(|thread| {
        let weight = decide::due(thread, &PAGE.control, request.bytes as u64)?;
        Some((thread, Stack { frame, skip, weight }))
    });
    let Some(object) = object else {
        let sample = due.and_then(|(thread, stack)| sample(thread, request, stack));
        return sample.map_or(Reallocation::Foreign, Reallocation::Enter);
    };
    let site = due.and_then(|(thread, stack)| Some((thread, callsite(thread, &stack, request.bytes)?, stack.weight)));
    let Some((thread, site, weight)) = site else {
        return Reallocation::Leave(object.room);
    };
    let tag = tag(site, weight);
    if (old as usize).is_multiple_of(request.align)
        && let Some(new) = POOL.resize_large(old as usize, request.size(), tag)
    {
        uncount(object.tag, object.bytes);
        WRITER.count(site, request.bytes as u64);
        return Reallocation::Done(new);
    }
    let Some(new) = place(thread, request, tag) else {
        return Reallocation::Leave(object.room);
    };
    // All that malloc_usable_size told of may be in use.
    // SAFETY: `old` is live (this function's condition) and has `object.room`, `new` is fresh and has `request.bytes`.
    unsafe { core::ptr::copy_nonoverlapping(old, new.as_ptr(), object.room.min(request.bytes)) };
    free(old);
    Reallocation::Done(new)
}

/// The object's new size, if the underlying allocator would leave it where it is.
fn resized(old: *mut u8, object: &Object, request: &Request) -> Option<Size> {
    let usable = (request.underlying.resized)(object.usable, request.bytes)?.max(request.bytes);
    let fits = usable <= object.room && (old as usize).is_multiple_of(request.align);
    fits.then_some(Size { bytes: request.bytes, usable, align: request.align })
}

/// Gives a sample another size where it is, and the stack of its reallocation if that can be recorded.
fn resize_in_place(
    old: *mut u8,
    object: &Object,
    size: Size,
    recording: Option<&Thread>,
    stack: Stack,
) -> Reallocation {
    let is_own = is_own(object.tag);
    let site = recording.and_then(|thread| {
        if is_own {
            let is_active = decide::pass_over(thread, &PAGE.control);
            return Some((callsite(thread, &stack, size.bytes).filter(|_| is_active)?, stack.weight));
        }
        // A forked child's ledger knows nothing of what it inherited: here it is a new allocation.
        let weight = decide::due(thread, &PAGE.control, size.bytes as u64)?;
        Some((callsite(thread, &Stack { weight, ..stack }, size.bytes)?, weight))
    });
    let tag = site.map_or(object.tag, |(site, weight)| tag(site, weight));
    POOL.retag(old as usize, tag, size);
    uncount(object.tag, object.bytes);
    if site.is_some() || is_own {
        WRITER.count(tag.callsite, size.bytes as u64);
    }
    NonNull::new(old).map_or(Reallocation::Foreign, Reallocation::Done)
}

/// Ends a sampled object. Never waits, and may be called in the middle of anything.
#[cold]
pub fn free(object: *mut u8) {
    let (tag, bytes) = POOL.free(object as usize).unwrap_or_else(|bad| fail(bad));
    uncount(tag, bytes);
}

/// How many bytes of a sampled object the program may use; 0 if it is none.
pub fn usable_bytes(object: *const u8) -> usize {
    POOL.object(object as usize).map_or(0, |object| object.usable)
}

#[inline(always)]
fn uncount(tag: Tag, bytes: usize) {
    if is_own(tag) {
        WRITER.uncount(tag.callsite, bytes as u64);
    }
}

/// Whether a sample belongs to this process's ledger. An object that a forked child inherited belongs to its parent's, which is
/// still mapped here if it was a bare clone(2) that made the child and nothing has been due since.
#[inline(always)]
fn is_own(tag: Tag) -> bool {
    tag.epoch == EPOCH.load(Relaxed) && !fork::is_child()
}

fn tag(callsite: u32, weight: Weight) -> Tag {
    Tag { callsite, epoch: EPOCH.load(Relaxed), weight }
}

/// Ends the program, as the underlying allocator does when it is given a pointer that is not its own.
#[cold]
fn fail(bad: PoolError) -> ! {
    text::log_fatal(Line::new().text(match bad {
        PoolError::DoubleFree => b"free(): double free of a sampled object",
        PoolError::InvalidPointer => b"free(): invalid pointer into the sampled objects",
    }));
    // SAFETY: abort is always allowed.
    unsafe { libc::abort() }
}

#[inline]
fn enter() -> Option<ReentrancyGuard> {
    let inside = ReentrancyGuard::enter();
    if inside.is_none() && state::is_open() {
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
    place(thread, request, tag(site, stack.weight))
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
    if thread.gaps.is_first_sample() {
        WRITER.begin_series(shard(thread));
    }
    // SAFETY: this thread is inside the recorder, once (`ReentrancyGuard`), and nothing below comes back here.
    let cache = unsafe { &mut *thread.cache.get() };
    let depth = PAGE.control.depth();
    let room = depth + stack.skip.len().min(MOST_SKIPPED);
    let kind = (u64::from(stack.weight) << 48) | (u64::from(thread.label.get()) << 32);
    match cache.recall(&stack.frame, &thread.stack.get(), room) {
        Some(name) if (name.get() ^ kind) >> 32 == 0 => Some(name.get() as u32 - 1),
        // New, or the same stack under another label or of another weight.
        _ => unwind(thread, stack, room, depth, kind, bytes),
    }
}

#[inline(never)]
fn unwind(thread: &Thread, stack: &Stack, room: usize, depth: usize, kind: u64, bytes: usize) -> Option<u32> {
    // SAFETY: as in `callsite`, which has let go of it.
    let cache = unsafe { &mut *thread.cache.get() };
    let mut frames = [0; MAX_DEPTH + MOST_SKIPPED];
    let frames = frames.get_mut(..room).unwrap_or_default();
    let mut bounds = thread.stack.get();
    let walk = cache.learn(stack.frame, &(0..0), &mut bounds, frames);
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
        cache.name(name);
    }
    Some(site)
}

#[cold]
fn intern(key: &CallsiteKey, bytes: usize) -> Option<u32> {
    modules::note(&WRITER, key.frames);
    WRITER.add(key, bytes as u64).map_err(|loss| losses::lose(&WRITER, loss)).ok()
}

/// An object in the pool, counted.
fn place(thread: &Thread, request: Request, tag: Tag) -> Option<NonNull<u8>> {
    // No bound that anybody could move, and mostly a request that nobody can fulfil.
    if request.bytes > POOL_BYTES.load(Relaxed) || request.align > pool::LARGEST_ALIGN {
        WRITER.lose(Loss::PoolFull);
        return None;
    }
    let placed = POOL.allocate(shard(thread).into(), request.size(), tag);
    let (object, is_zero) = placed.map_err(|loss| losses::lose(&WRITER, loss)).ok()?;
    if request.zeroed && !is_zero {
        // SAFETY: a fresh object of this size.
        unsafe { object.as_ptr().write_bytes(0, request.bytes) };
    }
    WRITER.count(tag.callsite, request.bytes as u64);
    Some(object)
}

/// The program has unloaded a library: its addresses may come to mean something else.
pub fn after_dlclose() {
    let Some(_inside) = ReentrancyGuard::enter() else {
        return;
    };
    heapql_unwind::modules_changed();
    if state::is_open() && !fork::is_child() {
        modules::unloaded(&WRITER);
    }
}

/// The number of a label. `None` if there are too many, if it cannot be one, or nothing is recorded.
pub(crate) fn label(wanted: &LabelId, defaults: &Defaults) -> Option<u16> {
    let inside = ReentrancyGuard::enter()?;
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
///
/// A signal handler that interrupted the recorder changes nothing either: its allocations are not sampled, and what it
/// interrupted goes on with its own label.
pub(crate) fn switch(label: u16) -> u16 {
    let before = thread::current().label.get();
    if labels::is_known(label)
        && let Some(inside) = ReentrancyGuard::enter()
    {
        decide::switch(inside.thread, &PAGE.control, label);
    }
    before
}
