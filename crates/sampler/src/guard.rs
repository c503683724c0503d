//! The guard against re-entrancy: a thread is inside the recorder at most once, its signal handlers included.
//!
//! Not a lock between threads: the flag is the thread's own, and only the thread and the handlers that interrupt it touch it.
//! Called by `recorder`.
//!
//! # Orders
//!
//! A handler runs on the thread it interrupts and returns before the thread goes on, so the processor orders nothing between
//! them: a handler sees all that the thread has executed. What must not happen is that the compiler moves an access of guarded
//! state out of the guard. Two compiler fences see to that, which are no instructions:
//!
//! - entering stores the flag and then has a `SeqCst` fence: no guarded access comes before the store;
//! - leaving has a `Release` fence and then stores the flag: no guarded access comes after the store.
//!
//! The load and the store of entering need not be one operation. A handler that comes between them enters and leaves before the
//! thread stores. A handler that comes after the store is refused, and touches nothing that is guarded.

use core::sync::atomic::{Ordering::*, compiler_fence};

use crate::thread::{self, Thread};

/// Proof that the thread is inside the recorder, until it is dropped. Nothing inside changes errno.
pub(crate) struct ReentrancyGuard {
    /// The block of the thread that is inside.
    pub(crate) thread: &'static Thread,
}

impl ReentrancyGuard {
    /// `None` if the thread is inside already: this is a signal handler that interrupted it, or a function that it called.
    #[inline(always)]
    pub(crate) fn enter() -> Option<ReentrancyGuard> {
        let thread = thread::current();
        if thread.inside.get() {
            return None;
        }
        thread.inside.set(true);
        compiler_fence(SeqCst);
        Some(ReentrancyGuard { thread })
    }
}

impl Drop for ReentrancyGuard {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(Release);
        self.thread.inside.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_inside_once() {
        let guard = ReentrancyGuard::enter();
        assert!(guard.is_some());
        assert!(ReentrancyGuard::enter().is_none());
        let elsewhere = std::thread::spawn(|| ReentrancyGuard::enter().is_some());
        assert!(elsewhere.join().expect("no panic"), "another thread is not this one");
        drop(guard);
        assert!(ReentrancyGuard::enter().is_some());
    }
}
