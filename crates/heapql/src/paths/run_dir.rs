//! The directory of one `heapql run`, from its creation until no process uses it.
//!
//! Ledgers of dead processes stay in it for `serve` and `sql`, within the registry's retention. Called by `run`, and by `serve` to remove
//! directories of earlier runs.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use heapql_registry::{INTERVALS_FILE, RUN_PREFIX};

use super::server_file;
use crate::error::Error;

const LEDGER: &str = "heapql";

/// The directory `<root>/run-<pid>`. Dropping it removes the directory unless it is still in use.
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Creates a new directory. An older run with the same pid may have left one with ledgers of its own.
    pub(crate) fn create(root: &Path) -> Result<RunDir, Error> {
        let pid = std::process::id();
        let names =
            std::iter::once(format!("{RUN_PREFIX}{pid}")).chain((1..1000).map(|i| format!("{RUN_PREFIX}{pid}-{i}")));
        for name in names {
            let path = root.join(name);
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(RunDir { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Error::new(format!("cannot create '{}': {error}", path.display())));
                }
            }
        }
        Err(Error::new(format!("'{}' is full of old runs", root.display())).hint("remove its run-* directories"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        forget_own_ledgers(&self.path);
        remove_if_unused(&self.path);
    }
}

/// Removes the ledger in which this process has recorded itself, because it ends in good order.
pub(crate) fn forget_own_ledgers(dir: &Path) {
    let own = format!("{}-", std::process::id());
    for path in ledgers(dir) {
        if path.file_name().is_some_and(|name| name.as_bytes().starts_with(own.as_bytes())) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes the directories of runs that have ended and whose ledgers are gone.
pub(crate) fn remove_finished_runs(root: &Path) {
    for path in entries(root) {
        if run_pid(&path).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove_if_unused(&path);
        }
    }
}

/// The pid in `run-<pid>` or `run-<pid>-<n>`.
fn run_pid(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_prefix(RUN_PREFIX)?;
    name.split('-').next()?.parse().ok()
}

fn remove_if_unused(dir: &Path) {
    if ledgers(dir).next().is_some() || is_in_environment(dir) {
        return;
    }
    let _ = fs::remove_file(dir.join(INTERVALS_FILE));
    server_file::remove_stale(dir);
    // It fails, as it must, if a process has just begun a ledger.
    let _ = fs::remove_dir(dir);
}

/// Returns whether a process has the directory in its environment, so that its children would be recorded there.
fn is_in_environment(dir: &Path) -> bool {
    let mut variable = b"HEAPQL_DIR=".to_vec();
    variable.extend_from_slice(dir.as_os_str().as_bytes());
    let own = std::process::id().to_string();
    let others = entries(Path::new("/proc")).filter(|path| path.file_name().is_some_and(|name| name != own.as_str()));
    others
        .filter_map(|process| fs::read(process.join("environ")).ok())
        .any(|environment| environment.split(|&byte| byte == 0).any(|entry| entry == variable))
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn ledgers(dir: &Path) -> impl Iterator<Item = PathBuf> {
    entries(dir).filter(|path| path.extension().is_some_and(|extension| extension == LEDGER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn an_unused_one_goes_with_its_owner() {
        let root = tempfile::tempdir().expect("a directory");
        let run = RunDir::create(root.path()).expect("created");
        fs::write(run.path().join(INTERVALS_FILE), "16 256\n").expect("written");
        fs::write(run.path().join(format!("{}-1.heapql", std::process::id())), "").expect("written");
        drop(run);
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 0);
    }

    #[test]
    fn ledgers_of_others_stay_and_are_not_shown_by_the_next_run() {
        let root = tempfile::tempdir().expect("a directory");
        let run = RunDir::create(root.path()).expect("created");
        let first = run.path().to_owned();
        fs::write(first.join("1-1.heapql"), "").expect("written");
        drop(run);
        assert!(first.join("1-1.heapql").exists());
        let next = RunDir::create(root.path()).expect("created");
        assert_ne!(next.path(), first);
    }

    #[test]
    fn only_finished_runs_are_removed() {
        let root = tempfile::tempdir().expect("a directory");
        let alive = RunDir::create(root.path()).expect("created");
        // No process has this number: it is beyond the kernel's limit.
        let dead = root.path().join("run-4194305-1");
        let full = root.path().join("run-4194305");
        for dir in [&dead, &full] {
            fs::create_dir(dir).expect("created");
        }
        fs::write(full.join("1-1.heapql"), "").expect("written");
        remove_finished_runs(root.path());
        assert!(!dead.exists() && full.exists() && alive.path().exists());
    }

    #[test]
    fn it_stays_while_a_process_has_it_in_its_environment() {
        let root = tempfile::tempdir().expect("a directory");
        let run = RunDir::create(root.path()).expect("created");
        let path = run.path().to_owned();
        let mut user = Command::new("cat")
            .env("HEAPQL_DIR", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        // Its environment is there once it has called exec.
        while !is_in_environment(&path) {
            std::thread::yield_now();
        }
        drop(run);
        assert!(path.exists());
        drop(user.stdin.take());
        user.wait().expect("ended");
        remove_if_unused(&path);
        assert!(!path.exists());
    }
}
