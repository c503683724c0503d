//! `heapql run`: a program with a server beside it, for as long as the program runs.
//!
//! The server is this process and the program its child; if this process is killed the program goes on. `demo` is this
//! verb with a program of its own.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use heapql_ledger::{Intervals, Sampling};
use heapql_registry::RegistrySettings;
use tokio::process::Child;

use crate::banner;
use crate::cli::{Allocator, ListenFlags, RunArguments};
use crate::cluster;
use crate::error::Error;
use crate::intervals;
use crate::launch::{self, Launch};
use crate::listen::IfTaken;
use crate::place::{self, RunDir};
use crate::service::{self, Plan, Service};
use crate::signals::{self, Signals};
use crate::talk::say;

/// What blocking work may take of the time after the end: none of it matters any more.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// What to run and how to talk about it.
pub(super) struct Recording {
    pub(super) command: Vec<OsString>,
    pub(super) title: String,
    pub(super) listen: ListenFlags,
    pub(super) intervals: Intervals,
    pub(super) allocator: Option<PathBuf>,
    pub(super) keep: bool,
    pub(super) quiet: bool,
}

pub(crate) fn run(arguments: RunArguments) -> Result<ExitCode, Error> {
    let (min, max) = match (arguments.min, arguments.max) {
        (None, None) => (intervals::from_environment("HEAPQL_MIN"), intervals::from_environment("HEAPQL_MAX")),
        flags => flags,
    };
    Recording {
        title: launch::title(&arguments.command),
        intervals: intervals::from_flags(min, max)?,
        allocator: match arguments.allocator {
            Allocator::System => None,
            Allocator::Mimalloc => Some(mimalloc()?),
        },
        command: arguments.command,
        listen: arguments.listen,
        keep: arguments.keep,
        quiet: arguments.quiet,
    }
    .run()
}

impl Recording {
    /// Returns the program's exit status.
    pub(super) fn run(self) -> Result<ExitCode, Error> {
        cluster::check(&self.listen.cluster)?;
        let root = place::ledger_root(None)?;
        clear_away(&root);
        let library = place::unpack(&root)?;
        let dir = RunDir::create(&root)?;
        let runtime = service::runtime()?;
        let ended = runtime.block_on(self.beside_a_server(dir.path(), &library));
        runtime.shutdown_timeout(LEAVE_WITHIN);
        ended.map(|ended| ExitCode::from(launch::exit_status(ended)))
    }

    async fn beside_a_server(&self, dir: &Path, library: &Path) -> Result<ExitStatus, Error> {
        let service = Service::start(Plan {
            dir,
            listen: &self.listen,
            if_taken: IfTaken::PickAnother,
            initial: Sampling { intervals: self.intervals, ..Sampling::DEFAULT },
            parameter_file: None,
            history_folder: None,
            cluster_file: None,
        })
        .await?;
        let ended = self
            .attend(&service, Launch { command: &self.command, library, dir, allocator: self.allocator.as_deref() })
            .await;
        service.stop().await;
        ended
    }

    /// From the program's start to its end; with `--keep` until somebody ends the server.
    async fn attend(&self, service: &Service, launch: Launch<'_>) -> Result<ExitStatus, Error> {
        let failed = |what: &str, error: io::Error| Error::new(format!("cannot {what}: {error}"));
        let not_caught = |error| failed("catch signals", error);
        let mut signals = Signals::catch(&signals::FORWARDED).map_err(not_caught)?;
        let (mut child, is_recorded) = launch.start()?;
        signals.catch_ignored().map_err(not_caught)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        self.announce(service, &child, is_recorded);
        let ended = launch::wait(&mut child, &mut signals).await;
        let ended = ended.map_err(|error| failed(&format!("wait for '{}'", self.title), error))?;
        if self.keep {
            pid.into_iter().for_each(|pid| service.set_exit(pid, launch::how(ended)));
            self.announce_end(ended);
            signals.ending_after_target().await;
        }
        Ok(ended)
    }

    fn announce(&self, service: &Service, child: &Child, is_recorded: bool) {
        if !self.quiet {
            let pid = child.id().unwrap_or_default();
            let how = if is_recorded { intervals::words(self.intervals) } else { "not recorded".to_owned() };
            banner::recording(service, &self.title, pid, &how);
        }
    }

    fn announce_end(&self, ended: ExitStatus) {
        if !self.quiet {
            say!("ended      {}  {}  its samples stay until this server stops", self.title, launch::how(ended));
            say!("stop       Ctrl-C, or kill {}", std::process::id());
        }
    }
}

/// Where Debian, and others, install the library that stands in for malloc.
fn mimalloc() -> Result<PathBuf, Error> {
    let triple = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let dirs = [triple.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let names = ["libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so"];
    let found = dirs.iter().flat_map(|dir| names.map(|name| Path::new(dir).join(name))).find(|path| path.is_file());
    found.ok_or_else(|| {
        Error::new(format!("--allocator mimalloc: there is no libmimalloc.so in {}", dirs.join(", ")))
            .hint("apt-get install libmimalloc2.0, or leave the flag out")
    })
}

/// What earlier runs left beyond the bounds, and their empty directories.
fn clear_away(root: &Path) {
    match service::open(RegistrySettings::serving(root.to_owned())) {
        Ok(registry) => drop(registry.sources()),
        Err(error) => tracing::warn!("{error}"),
    }
    place::remove_finished_runs(root);
}
