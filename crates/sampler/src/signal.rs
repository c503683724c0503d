//! Words of the thread's block that the thread and the signal handlers that interrupt it both use outside the guard.
//!
//! A handler finds such a word before or after a store, never half of it, and the compiler neither splits, repeats nor invents
//! an access. `Relaxed` is enough: both run on one thread, and where two words must be seen in an order the code between them
//! has a compiler fence. Part of `thread`.

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

macro_rules! word {
    ($name:ident, $atomic:ident, $value:ty) => {
        /// A word that a handler may find at any instruction.
        #[derive(Default)]
        #[repr(transparent)]
        pub(crate) struct $name($atomic);

        impl $name {
            #[inline(always)]
            pub(crate) fn get(&self) -> $value {
                self.0.load(Relaxed)
            }

            #[inline(always)]
            pub(crate) fn set(&self, value: $value) {
                self.0.store(value, Relaxed);
            }
        }
    };
}

word!(SignalBool, AtomicBool, bool);
word!(SignalU16, AtomicU16, u16);
word!(SignalU32, AtomicU32, u32);
word!(SignalU64, AtomicU64, u64);
