//! The end-to-end tests: the real `heapql` binary over real programs, asked by real clients.
//!
//! One test binary, which links no engine and no heapql crate: what it knows of the product is its command line, its two
//! protocols and the environment of a recorded process. Behaviour only, never timing. Every server binds loopback, port
//! 0, keeps its ledgers in a directory of its own and dies with the test that started it. Run by `cargo test`.

mod harness;

mod addresses;
mod architecture;
mod attacks;
mod children;
mod clients;
mod cluster;
mod coexistence;
mod columns;
mod confinement;
mod crashes;
mod doctor;
mod engine_features;
mod errors;
mod foreign_programs;
mod fork_exec;
mod full_mode;
mod help;
mod identity;
mod imports;
mod in_process;
mod labels;
mod ledger_directory;
mod ledger_lifetime;
mod linked_sampler;
mod login;
mod malformed_requests;
mod names_and_growth;
mod normal_mode;
mod oceanbase_example;
mod parameters;
mod pictures;
mod prompt;
mod references;
mod refusals;
mod resource_limits;
mod retention;
mod run;
mod slt;
mod soak;
mod source;
mod sql_and_set;
mod stopping;
mod style;
mod switching;
mod top;
mod truth;
mod web;
