//! No code: this crate's manifest gives everything that the query engine is built from one set of features.
//!
//! Cargo unifies features over the packages that it is asked for. Without this crate, `cargo test -p heapql-tables` would build
//! the engine again, with features that differ from those of the whole workspace. Every crate that links the engine depends on
//! it; `tests/end_to_end/engine_features.rs` checks that no selection differs. Not for features that a crate itself needs:
//! those are in its own manifest.
