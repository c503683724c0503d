//! The target: its environment, its start, its signals, its end.
//!
//! Apart from two environment variables it runs as if it had been started without heapql: with the same streams, process group and
//! signal dispositions. It continues when heapql is killed. Called by `run` and `demo`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};

use crate::error::Error;
use crate::paths::LIBRARY_PREFIX;
use crate::signals::{self, Signals};
use crate::stderr::say;
use crate::target::{self, Recordability};

/// Exit statuses of a shell for a program that does not exist, and for one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

pub(crate) struct Launch<'a> {
    /// The program and its arguments; not empty.
    pub(crate) command: &'a [OsString],
    pub(crate) library: &'a Path,
    /// The directory for its ledger.
    pub(crate) dir: &'a Path,
    /// The library of another allocator, which the recorder forwards to.
    pub(crate) allocator: Option<&'a Path>,
}

/// The value of LD_PRELOAD that maps the recorder: first in the list, and only once.
pub(crate) fn preload_list(library: &Path, existing: Option<&OsStr>) -> OsString {
    let mut list = library.as_os_str().as_bytes().to_vec();
    let separators = |byte: &u8| matches!(byte, b':' | b' ');
    for entry in existing.unwrap_or_default().as_bytes().split(separators).filter(|entry| !entry.is_empty()) {
        let name = Path::new(OsStr::from_bytes(entry)).file_name().unwrap_or_default();
        // Two recorders in one process would each take the other's memory for foreign.
        if !name.as_bytes().starts_with(LIBRARY_PREFIX.as_bytes()) {
            list.push(b':');
            list.extend_from_slice(entry);
        }
    }
    OsString::from_vec(list)
}

impl Launch<'_> {
    fn program(&self) -> &OsStr {
        &self.command[0]
    }

    fn arguments(&self) -> &[OsString] {
        &self.command[1..]
    }

    /// Starts the target, after a warning if it cannot be recorded. Returns the process, and whether it is recorded.
    pub(crate) fn start(&self) -> Result<(Child, bool), Error> {
        let Some(path) = target::find(self.program()) else {
            return Err(self.cannot("there is no such program", NOT_FOUND));
        };
        let verdict = target::judge(&path);
        self.warn(&verdict);
        let mut command = self.prepare(self.program(), &verdict);
        let started = match command.args(self.arguments()).spawn() {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOEXEC) => {
                // A script without `#!`: execvp and shells give it to the shell.
                self.prepare(OsStr::new("/bin/sh"), &verdict).arg(&path).args(self.arguments()).spawn()
            }
            started => started,
        };
        let child = started.map_err(|error| self.explain(&path, &error))?;
        Ok((child, verdict == Recordability::Recordable))
    }

    fn prepare(&self, program: &OsStr, verdict: &Recordability) -> Command {
        let mut command = Command::new(program);
        // These would override the intervals that the server has put into the directory.
        command.env("HEAPQL_DIR", self.dir).env_remove("HEAPQL_MIN").env_remove("HEAPQL_MAX");
        if !matches!(verdict, Recordability::Breaks(_)) {
            let mut list = preload_list(self.library, env::var_os("LD_PRELOAD").as_deref());
            if let Some(allocator) = self.allocator {
                list.push(":");
                list.push(allocator);
            }
            command.env("LD_PRELOAD", list);
        }
        command
    }

    fn warn(&self, verdict: &Recordability) {
        if let Recordability::Ignores(why) | Recordability::Breaks(why) = verdict {
            say!("warning: nothing of '{}' will be recorded: {why}", self.program().display());
        }
    }

    fn explain(&self, path: &Path, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => self.cannot("the interpreter it names does not exist", NOT_FOUND),
            io::ErrorKind::PermissionDenied if path.is_dir() => self.cannot("it is a directory", NOT_RUNNABLE),
            io::ErrorKind::PermissionDenied => self.cannot("it is not executable", NOT_RUNNABLE).hint("chmod +x it"),
            _ => self.cannot(&error.to_string(), NOT_RUNNABLE),
        }
    }

    fn cannot(&self, why: &str, status: u8) -> Error {
        Error::new(format!("cannot run '{}': {why}", self.program().display())).status(status)
    }
}

/// Waits for the target's end, and forwards signals meanwhile.
pub(crate) async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            ended = child.wait() => return ended,
            received = signals.next() => {
                // While this task has not seen its end, its pid is not given to another process.
                let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
                if let Some(pid) = pid.filter(|_| !received.is_from_terminal)
                    && let Err(error) = kill_process(pid, received.signal)
                {
                    tracing::warn!(%error, "cannot forward {}", signals::name(received.signal.as_raw()));
                }
            }
        }
    }
}

/// The exit status that represents the target's end: its own, or 128 and the signal, as in a shell.
pub(crate) fn exit_status(ended: ExitStatus) -> u8 {
    let status = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    status.and_then(|status| u8::try_from(status).ok()).unwrap_or(u8::MAX)
}

/// The target's end in words.
pub(crate) fn describe_end(ended: ExitStatus) -> String {
    match ended.signal() {
        Some(signal) => format!("killed by {}", signals::name(signal)),
        None => format!("exit status {}", exit_status(ended)),
    }
}

/// The target's name in messages.
pub(crate) fn title(command: &[OsString]) -> String {
    PathBuf::from(&command[0]).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(existing: Option<&str>) -> String {
        let list = preload_list(Path::new("/a/libheapql_preload-1.so"), existing.map(OsStr::new));
        list.into_string().expect("text")
    }

    #[test]
    fn what_was_preloaded_before_stays_behind_ours() {
        assert_eq!(list(None), "/a/libheapql_preload-1.so");
        assert_eq!(list(Some("")), "/a/libheapql_preload-1.so");
        assert_eq!(list(Some("/x.so y.so:/z.so")), "/a/libheapql_preload-1.so:/x.so:y.so:/z.so");
    }

    #[test]
    fn there_is_only_one_recorder() {
        assert_eq!(list(Some("/b/libheapql_preload-2.so:/x.so")), "/a/libheapql_preload-1.so:/x.so");
    }

    fn launch(command: &[&str]) -> Result<(Child, bool), Error> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let nowhere = Path::new("/nonexistent");
        Launch { command: &command, library: nowhere, dir: nowhere, allocator: None }.start()
    }

    #[tokio::test]
    async fn what_cannot_be_started_says_why() {
        let error = launch(&["no-such-program-anywhere"]).expect_err("no such program");
        assert!(error.to_string().contains("'no-such-program-anywhere'"), "{error}");
        let error = launch(&["/"]).expect_err("a directory");
        assert!(error.to_string().contains("directory"), "{error}");
        let error = launch(&["/etc/passwd"]).expect_err("not executable");
        assert!(error.to_string().contains("not executable"), "{error}");
    }

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(exit_status(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_status(ExitStatus::from_raw(9)), 137);
        assert_eq!(describe_end(ExitStatus::from_raw(9)), "killed by SIGKILL");
        assert_eq!(describe_end(ExitStatus::from_raw(3 << 8)), "exit status 3");
    }
}
