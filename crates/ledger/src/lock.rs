//! A lock for places that must not wait: it is tried for a bounded time and may be given up.
//!
//! Not a mutex: no queue, no sleeping, no poisoning, nothing that allocates. A holder never runs code of the program, so
//! a thread cannot meet its own lock except from a signal handler, and the recorder refuses to be entered twice on one
//! thread (`sampler::recorder`). Used by `writer` and by the sampled pool.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering::*};

use crate::sys;

const SPINS: usize = 400;
const YIELDS: usize = 2_000;
/// How many such waits fork is worth: what its child finds locked by somebody else stays so for ever.
const WAITS_FOR_FORK: usize = 25;

/// A lock that is tried for a bounded time.
#[derive(Default)]
pub struct TryLock {
    is_held: AtomicBool,
    /// It is held for fork, and whoever forks will unlock it.
    is_kept: AtomicBool,
}

/// Unlocks on drop.
pub struct LockGuard<'a>(&'a TryLock);

impl TryLock {
    /// A lock that nobody holds.
    pub const fn new() -> Self {
        Self { is_held: AtomicBool::new(false), is_kept: AtomicBool::new(false) }
    }

    /// At once, or not at all.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_>> {
        if self.is_held.load(Relaxed) || self.is_held.swap(true, Acquire) {
            return None;
        }
        Some(LockGuard(self))
    }

    /// After a bounded wait for a holder that is running or was preempted.
    #[inline]
    pub fn lock(&self) -> Option<LockGuard<'_>> {
        self.try_lock().or_else(|| self.wait())
    }

    #[cold]
    fn wait(&self) -> Option<LockGuard<'_>> {
        for round in 0..SPINS + YIELDS {
            if round < SPINS {
                spin_loop()
            } else {
                sys::yield_now()
            }
            if let Some(held) = self.try_lock() {
                return Some(held);
            }
        }
        None
    }

    /// Unlocks whoever holds it.
    ///
    /// Only in a forked child that has one thread, when what the lock protects is being built anew.
    pub fn reset(&self) {
        self.is_kept.store(false, Relaxed);
        self.is_held.store(false, Release);
    }

    /// Holds it across fork, so that the child's copy is of a consistent moment, if it can be had in a long but bounded
    /// wait. False if not: somebody is in the
    /// middle of a change.
    pub fn keep_for_fork(&self) -> bool {
        let held = (0..WAITS_FOR_FORK).find_map(|_| self.lock());
        let is_kept = held.is_some();
        if let Some(held) = held {
            self.is_kept.store(true, Relaxed);
            core::mem::forget(held);
        }
        is_kept
    }

    /// On both sides of fork: unlocks it if it was kept. What was not, is somebody's; in the child, nobody's any more, and
    /// what it protects is never touched again.
    pub fn unlock_after_fork(&self) {
        if self.is_kept.swap(false, Relaxed) {
            self.is_held.store(false, Release);
        }
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.is_held.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_held_once_and_given_back() {
        let lock = TryLock::new();
        let held = lock.lock();
        assert!(held.is_some());
        assert!(lock.try_lock().is_none());
        assert!(lock.lock().is_none(), "a bounded wait gives up");
        drop(held);
        assert!(lock.lock().is_some());
    }
    #[test]
    fn fork_unlocks_only_what_it_kept() {
        let (free, busy) = (TryLock::new(), TryLock::new());
        let held = busy.try_lock();
        assert!(free.keep_for_fork() && !busy.keep_for_fork());
        assert!(free.try_lock().is_none());
        free.unlock_after_fork();
        busy.unlock_after_fork();
        assert!(free.try_lock().is_some());
        assert!(busy.try_lock().is_none(), "somebody is in the middle of a change");
        drop(held);
        assert!(busy.try_lock().is_some());
    }
}
