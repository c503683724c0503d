//! The checks of `heapql doctor`, each of which says ok, warn (something is worse than it could be) or fail, with the fix.
//!
//! ```text
//! host      directory, library, a recording, ports, clients
//! program   the file: can it be recorded, will its stacks have names
//! process   /proc/PID: was it started so that it is recorded, and is it
//! ```
//!
//! Called by `verbs::doctor`.

mod finding;
mod host;
mod process;
mod program;
mod symbols;

use std::path::Path;

pub(crate) use finding::{Finding, Report};

/// Each returns whether something has failed.
pub(crate) fn of_host(dir: Option<&Path>) -> bool {
    let mut report = Report::default();
    host::recorder(&mut report, dir);
    host::clients(&mut report);
    report.has_failed
}

pub(crate) fn of_program(path: &Path, dir: Option<&Path>) -> bool {
    let mut report = Report::default();
    program::check(&mut report, path);
    host::recorder(&mut report, dir);
    report.has_failed
}

pub(crate) fn of_process(pid: u32, dir: Option<&Path>) -> bool {
    let mut report = Report::default();
    process::check(&mut report, pid, dir);
    report.has_failed
}
