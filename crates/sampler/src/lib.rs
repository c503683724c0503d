//! The sampler: which allocations are sampled, where a sampled object lives, and under whose label.
//!
//! Not an allocator (every object that is not sampled stays with the one underneath) and not a reporter (it writes the
//! ledger and looks at nothing else). Called by `preload` for programs that know nothing of it, and by Rust programs that
//! choose [`SamplingAlloc`].
//!
//! # Laws
//!
//! It runs inside other people's `malloc`. On any doubt it does not sample, counts why, and carries on.
//!
//! 1. No allocation through the functions it hooks.
//! 2. No lock that can sleep: locks are tried for a bounded time; `free` waits for none.
//! 3. No panic, no unbounded work.
//! 4. Entered at most once per thread; errno is preserved; a signal handler may come at any instruction.
//! 5. Right after fork in the child, however it was forked, before thread-local storage of others exists and after it is
//!    gone.
//! 6. Nothing that the outside can write is followed: the ledger is written, its control words are range-checked, and no
//!    offset is read back from it.
#![deny(missing_docs)]
#![cfg_attr(not(test), no_std)]

#[cfg(feature = "global-alloc")]
mod alloc;
mod decide;
mod environment;
mod gaps;
mod guard;
#[cfg(feature = "global-alloc")]
mod label;
mod labels;
mod losses;
mod modules;
mod pool;
mod recorder;
mod scope;
#[cfg(feature = "global-alloc")]
mod shims;
mod signal;
mod text;
mod thread;

#[cfg(feature = "global-alloc")]
pub use alloc::SamplingAlloc;
pub use environment::Defaults;
pub use heapql_ledger::{Intervals, LabelId};
pub use heapql_unwind::Registers;
#[cfg(feature = "global-alloc")]
pub use label::{InScope, Label, Scope, scope};
pub use recorder::{set_intervals, start};

/// For the preload library: the parts that it puts behind the C functions.
pub mod hook {
    pub use heapql_ledger::layout::{Control, Header};
    pub use heapql_unwind::{LibcSymbol, in_libc, in_module, libc_symbol, module_of, page_bytes};

    pub use crate::environment::records_children;
    pub use crate::recorder::{
        PAGE, POOL_BYTES, POOL_START, Reallocation, Request, Underlying, after_dlclose, after_fork_in_child,
        after_fork_in_parent, allocate, before_fork, begin, free, is_sampled, may_be_due, pass_over, reallocate,
        usable_bytes,
    };
    pub use crate::scope::{number_for, pop, push, switch_to};
    pub use crate::thread::BLOCK_BYTES as THREAD_BYTES;
}
