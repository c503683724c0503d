//! The ledger: one process's record of its live samples, in a shared-memory file of fixed layout and bounded size.
//!
//! It is the only thing the two wings share. The writing half ([`Writer`]) lives inside the target's `malloc`: it never
//! allocates, never waits and stays right when the target is killed at any instruction. The reading half (feature
//! `reader`) trusts nothing it reads. It is not a sampler (it does not know when or why) and not a registry (it knows one
//! file). Called by `sampler` and, outside the target, by `registry`.
#![deny(missing_docs)]
#![cfg_attr(not(any(feature = "reader", test)), no_std)]

mod decimal;
mod identity;
mod index;
pub mod kernel;
pub mod layout;
mod lock;
mod path;
mod retention;
mod sys;
mod writer;

#[cfg(feature = "reader")]
mod reader;

pub use decimal::{Decimal, parse_decimal};
pub use layout::{
    CERTAIN, DEFAULT_BYTES, DEFAULT_DEPTH, Intervals, LABEL_BYTES, Loss, MAX_BYTES, MAX_DEPTH, MIN_BYTES, MIN_DEPTH,
    SHARDS, Sampling, Weight,
};
pub use lock::{LockGuard, TryLock};
pub use path::PathBuffer;
#[cfg(feature = "reader")]
pub use reader::{CallsiteRecord, Identity, LabelRecord, Ledger, ModuleRecord, ReadError};
pub use sys::{Errno, clock, limit, read_file, status_at, uid};
pub use writer::{CallsiteKey, LabelId, LedgerSettings, ModuleEntry, OpenError, Writer};
