//! The product's ledger, both halves, over the model's `core`, `std` and `libc`. Nothing here is its own but the names,
//! which are those of `crates/ledger/src/lib.rs`, and system calls.
// Traits of files that the replaced ones do without.
#![allow(unused_imports)]

extern crate checked_core as core;
extern crate checked_std as std;

#[rustfmt::skip]
#[path = "../../../crates/ledger/src/decimal.rs"]
mod decimal;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/identity.rs"]
mod identity;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/index.rs"]
mod index;
pub mod kernel;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/layout.rs"]
pub mod layout;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/lock.rs"]
mod lock;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/path.rs"]
mod path;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/reader/mod.rs"]
mod reader;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/retention.rs"]
mod retention;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/sys.rs"]
mod sys;
#[rustfmt::skip]
#[path = "../../../crates/ledger/src/writer/mod.rs"]
mod writer;

pub use decimal::{Decimal, parse_decimal};
pub use layout::{
    CERTAIN, DEFAULT_BYTES, DEFAULT_DEPTH, Intervals, LABEL_BYTES, Loss, MAX_BYTES, MAX_DEPTH, MIN_BYTES, MIN_DEPTH,
    SHARDS, Sampling, Weight,
};
pub use lock::{LockGuard, TryLock};
pub use path::PathBuffer;
pub use reader::{CallsiteRecord, Identity, LabelRecord, Ledger, ModuleRecord, ReadError};
pub use sys::{Errno, clock, limit, read_file, status_at, uid};
pub use writer::{CallsiteKey, LabelId, LedgerSettings, ModuleEntry, OpenError, Writer};
