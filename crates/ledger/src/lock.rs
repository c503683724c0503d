//! A lock for places that must not wait: it is tried for a bounded time and may be given up.
//!
//! Not a mutex: no queue, no sleeping, no poisoning, nothing that allocates. A holder never runs code of the program, so
//! a thread cannot meet its own lock except from a signal handler, and the recorder refuses to be entered twice on one
//! thread (`sampler::guard`). Used by `writer` and by the sampled pool.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering::*};

use crate::sys;

const SPINS: usize = 400;
const YIELDS: usize = 2_000;

/// Unlocked when `false`.
#[derive(Default)]
pub struct TryLock(AtomicBool);

/// Unlocks on drop.
pub struct Held<'a>(&'a TryLock);

impl TryLock {
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// At once, or not at all.
    #[inline]
    pub fn try_lock(&self) -> Option<Held<'_>> {
        if self.0.load(Relaxed) || self.0.swap(true, Acquire) {
            return None;
        }
        Some(Held(self))
    }

    /// After a bounded wait for a holder that is running or was preempted.
    #[inline]
    pub fn lock(&self) -> Option<Held<'_>> {
        self.try_lock().or_else(|| self.wait())
    }

    #[cold]
    fn wait(&self) -> Option<Held<'_>> {
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
        self.0.store(false, Release);
    }
}

impl Held<'_> {
    /// Leaves it locked: across fork, whose two sides unlock it with [`TryLock::reset`].
    pub fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.store(false, Release);
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
}
