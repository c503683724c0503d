//! The part of the unwinder that depends on aarch64 Linux. Its sibling for x86_64 has the same files.
//!
//! - `registers.rs` the present registers, the kernel's and thread's entry points
//! - `rule.rs` the rules, what they mean, and how one packs into 25 bits
//! - `reduce.rs` from a row of call frame information to a rule
//! - `step.rs` from one frame's registers to its caller's

mod address;
mod reduce;
mod registers;
mod rule;
mod step;

pub(crate) use address::{ADDRESS_BITS, ADDRESS_SHIFT, is_plausible};
pub(crate) use reduce::{REGISTERS, VENDOR, reduce};
pub(crate) use registers::{libc_stack_end_address, r_debug_address, system_call, thread_pointer};
pub(crate) use rule::{ODD, Rule};
pub(crate) use step::{State, Step};
