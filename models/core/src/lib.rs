//! `core`, but for atomics and spinning, which belong to the model checker while threads of a model run.
//!
//! Atomics keep core's size, layout and const constructors, so that what casts them over mapped memory, or keeps them in
//! statics, compiles as it is. Not for the product: the crates of this workspace name it `core`. `explore` is the way in.

pub use core::*;

mod atomic;
pub mod memory;
pub mod model;

pub mod sync {
    pub use core::sync::*;

    pub mod atomic {
        pub use crate::atomic::*;
        pub use core::sync::atomic::Ordering;
    }
}

pub mod hint {
    pub use core::hint::*;

    pub fn spin_loop() {
        crate::model::step_aside();
    }
}
