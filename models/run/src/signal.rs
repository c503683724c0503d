//! Words of the thread's block that its signal handlers use too: in place of `crates/sampler/src/signal.rs`, whose names these
//! are. Each model's thread has its own block at one address, so these are no words of loom's; every access is a moment at which
//! the handler may run.

use core::cell::Cell;
use core::model::interrupt;

macro_rules! word {
    ($name:ident, $value:ty) => {
        #[repr(transparent)]
        pub(crate) struct $name(Cell<$value>);

        impl $name {
            pub(crate) fn get(&self) -> $value {
                interrupt();
                self.0.get()
            }

            pub(crate) fn set(&self, value: $value) {
                interrupt();
                self.0.set(value);
            }
        }
    };
}

word!(SignalBool, bool);
word!(SignalU16, u16);
word!(SignalU32, u32);
word!(SignalU64, u64);
