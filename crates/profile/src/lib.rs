//! Stacks with values, and the formats that others read: flame graphs (SVG, and a page that needs no network), the
//! difference of two profiles, pprof and folded stacks.
//!
//! Everything here is a function of one [`Profile`]: no ledger, no SQL, no symboliser, no clock, no file. Names and paths
//! come from recorded programs and are untrusted text: each format escapes them in its own way. All work is bounded by
//! what is passed in, nothing recurses, and what a picture leaves out it says. Called by `catalog` (SQL values), by `wire`
//! (HTTP) and by the verbs of `heapql`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod flame;
mod folded;
mod number;
mod page;
mod picture;
mod pprof;
mod profile;
mod svg;
mod text;
mod tree;
mod value;
mod words;

pub use flame::{FlameGraph, FlameOptions};
pub use folded::folded;
pub use pprof::pprof;
pub use profile::{Frame, Location, Profile, ProfileModule, Stack};
pub use text::xml as escaped;
pub use value::{UnknownValue, Value, Values};

#[cfg(test)]
mod tests;
