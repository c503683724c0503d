//! `heapql`, the one binary: records programs and answers SQL about their heaps.
//!
//! This crate has the command line, the packaging of the preload library, and the life of the processes that a verb starts. SQL,
//! protocols (`wire`), ledgers (`registry`) and recording (`sampler`, `preload`) are other crates'.
//!
//! ```text
//! cli  ->  verbs::{run, demo, serve, env, sql, top, ps, set, doctor, completions}
//!                 |-> service   listeners + server, from start to stop; cluster, when it is one of several
//!                 |-> client    asks a server, or one inside this process: statement, prompt, top
//!                 |-> launch    the target and its environment, signals, its end
//!                 `-> paths     directories: ledgers, one per run, the unpacked library
//! ```
#![forbid(unsafe_code)]

mod addresses;
mod banner;
mod cli;
mod client;
mod cluster;
mod config;
mod doctor;
mod endpoints;
mod error;
mod intervals;
mod labels;
mod launch;
mod listen;
mod logging;
mod password;
mod paths;
mod prompt;
mod rows;
mod service;
mod shell;
mod signals;
mod statement;
mod stderr;
mod target;
mod top;
mod verbs;

use std::alloc::System;
use std::process::ExitCode;

use clap::Parser;
use heapql_sampler::SamplingAlloc;

use cli::{Cli, Verb};
use error::Error;

/// The allocator of this process. A server records itself with it; other verbs do not.
#[global_allocator]
static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::held(System);

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.verb.log_level());
    let ended = match cli.verb {
        Verb::Run(arguments) => verbs::run::run(arguments),
        Verb::Demo(arguments) => verbs::demo::run(arguments),
        Verb::Serve(arguments) => verbs::serve::run(arguments),
        Verb::Env(arguments) => verbs::env::run(arguments),
        Verb::Sql(arguments) => verbs::sql::run(arguments),
        Verb::Top(arguments) => verbs::top::run(arguments),
        Verb::Flame(arguments) => verbs::pictures::flame(arguments),
        Verb::Diff(arguments) => verbs::pictures::diff(arguments),
        Verb::Export(arguments) => verbs::pictures::export(arguments),
        Verb::Ps(arguments) => verbs::ps::run(arguments),
        Verb::Set(arguments) => verbs::set::run(arguments),
        Verb::Doctor(arguments) => verbs::doctor::run(arguments),
        Verb::Completions(arguments) => verbs::completions::run(arguments),
        Verb::DemoProgram => verbs::demo_program::run(),
    };
    ended.unwrap_or_else(|error: Error| {
        error.print();
        error.exit_code()
    })
}
