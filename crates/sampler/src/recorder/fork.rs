//! Fork: how a child knows itself, leaves its parent's ledger, and finds no lock held by a thread that it does not have.
//!
//! It opens no ledger: `state` does, at the child's first sample. Part of `recorder`.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*};

use heapql_ledger::TryLock;
use heapql_ledger::kernel::call;
use heapql_unwind::page_bytes;

use super::{EPOCH, POOL, WRITER, state};
use crate::guard::ReentrancyGuard;
use crate::thread::{self, DUE, Thread};
use crate::{labels, modules, text};

/// Held by the thread that forks, which is known by its block.
static FORKING: TryLock = TryLock::new();
static FORKER: AtomicUsize = AtomicUsize::new(0);
/// A word that the kernel zeroes in a forked child (MADV_WIPEONFORK), however it was forked.
static FORK_MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());

/// Whether this process is a forked child that still has its parent's ledger.
pub(super) fn is_child() -> bool {
    // SAFETY: null or a page that was mapped for ever.
    unsafe { FORK_MARK.load(Relaxed).as_ref() }.is_some_and(|mark| mark.load(Relaxed) == 0)
}

/// Maps the word by which a forked child knows itself. `false` if there is no memory for it.
pub(super) fn mark() -> bool {
    const MADV_WIPEONFORK: usize = 18;
    let mut mark = FORK_MARK.load(Relaxed);
    if mark.is_null() {
        let (flags, access) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a fresh mapping where the kernel picks.
        let page = unsafe { call(libc::SYS_mmap, [0, page_bytes(), access as usize, flags as usize, usize::MAX, 0]) };
        let Ok(page) = page else {
            return false;
        };
        // SAFETY: mapped above. A kernel without it (before 4.14) leaves the mark standing: the fork handler remains.
        let _ = unsafe { call(libc::SYS_madvise, [page, page_bytes(), MADV_WIPEONFORK]) };
        mark = page as *mut AtomicU32;
        FORK_MARK.store(mark, Release);
    }
    // SAFETY: mapped above or before, for ever.
    unsafe { (*mark).store(1, Relaxed) };
    true
}

/// In a forked child: the ledger is the parent's. The pool's objects stay, as does the thread's label.
pub(super) fn forget_parent(thread: &Thread) {
    // SAFETY: this is the only thread of a forked child, and it is in no method of the writer.
    unsafe { WRITER.abandon() };
    modules::forget();
    // SAFETY: this thread, the only one, is between two allocations or has just entered the recorder.
    unsafe { &mut *thread.cache.get() }.forget();
    text::silence();
    EPOCH.fetch_add(1, Relaxed);
    thread.gaps.forget();
    thread.count.set(DUE);
    state::begin_anew();
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
    [&FORKING, &state::OPENING, &labels::LOCK, WRITER.lock()].into_iter().for_each(TryLock::reset);
    // A handler that interrupted the recorder and forked leaves this to the next allocation that is due: what was interrupted
    // still uses the thread's block.
    if let Some(inside) = ReentrancyGuard::enter()
        && state::is_open()
    {
        forget_parent(inside.thread);
    }
}
