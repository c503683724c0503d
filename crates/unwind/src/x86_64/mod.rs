//! What is particular to x86_64 Linux. An aarch64 sibling has the same files.
//!
//! - `registers.rs` the three registers a walk carries, and the kernel's and thread's entry points
//! - `rule.rs` the rules, what they mean, and how one packs into 23 bits
//! - `reduce.rs` from a row of call frame information to a rule
//! - `step.rs` from one frame's registers to its caller's

mod reduce;
mod registers;
mod rule;
mod step;

pub(crate) use reduce::{REGISTERS, reduce};
pub use registers::Registers;
pub(crate) use registers::{libc_stack_end_address, r_debug_address, system_call, thread_pointer};
pub(crate) use rule::Rule;
pub(crate) use step::{State, Step, Trace};
