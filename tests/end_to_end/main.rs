//! The end-to-end tests: the real `heapql` binary over real programs, asked by real clients.
//!
//! One test binary, which links no engine and no heapql crate: what it knows of the product is its command line, its two
//! protocols and the environment of a recorded process. Behaviour only, never timing. Every server binds loopback, port
//! 0, keeps its ledgers in a directory of its own and dies with the test that started it. Run by `cargo test`.

mod harness;

mod addresses;
mod answers;
mod architecture;
mod asking;
mod children;
mod clients;
mod cluster;
mod columns;
mod company;
mod confinement;
mod doctor;
mod errors;
mod full_mode;
mod garbage;
mod hardship;
mod help;
mod imports;
mod in_process;
mod labels;
mod lineage;
mod login;
mod normal_mode;
mod own_rows;
mod parameters;
mod pictures;
mod places;
mod prompt;
mod references;
mod refusals;
mod retention;
mod run;
mod seed;
mod slt;
mod soak;
mod source;
mod stopping;
mod survival;
mod switching;
mod top;
mod trials;
mod violence;
mod web;
