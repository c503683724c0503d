//! The tools that every test needs: a server that dies with its test, programs compiled on the spot, clients of both protocols.
//!
//! No test lives here and nothing here asserts what the product should do.

mod answer;
mod binary;
mod client;
mod cluster;
mod compile;
mod dialogue;
pub(crate) mod host;
mod http;
mod launch;
mod lines;
mod mysql;
mod postgres;
mod record;
mod recorded;
mod server;
mod signals;
mod terminal;
mod tool;

pub(crate) use answer::{Answer, SqlError};
pub(crate) use binary::{heapql, target_dir, tests_dir, workspace_dir};
pub(crate) use client::{Client, Login};
pub(crate) use cluster::{Cluster, Member};
pub(crate) use compile::{Program, library, other_library, shared};
pub(crate) use http::{Page, ask, get};
pub(crate) use launch::Launch;
pub(crate) use lines::Lines;
pub(crate) use mysql::{Mysql, connect as connect_mysql, text_answer};
pub(crate) use postgres::{Postgres, connect as connect_postgres, extended_answer, simple_answer};
pub(crate) use record::{Ledger, record_into};
pub(crate) use recorded::Recorded;
pub(crate) use server::{Ended, Endpoints, Server, kill, ledger_files};
pub(crate) use terminal::Terminal;
pub(crate) use tool::{Output, tool};

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails. It only bounds a hang: a busy machine may take many times as long as a
/// quiet one.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(300);

/// All clients of all tests share it.
pub(crate) static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a tokio runtime")
});

/// Waits until `found` says something, at most [`TIMEOUT`].
pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(started.elapsed() < TIMEOUT, "waited {TIMEOUT:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory of the test's own, in memory where there is one.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let mut name = tempfile::Builder::new();
    name.prefix("heapql-test-");
    let made = if memory.is_dir() { name.tempdir_in(&memory) } else { name.tempdir() };
    made.expect("a temporary directory")
}
