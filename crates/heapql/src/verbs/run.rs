//! `heapql run`: a program with a server beside it, for as long as the program runs.
//!
//! The server is this process and the program its child. If this process is killed, the program continues. `demo` is this verb with a
//! program of its own. SQL and listeners are `service`'s.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, SystemTime};

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
use crate::paths::{self, RunDir};
use crate::service::{self, Service, ServiceOptions};
use crate::signals::{self, Signals};
use crate::stderr::say;

/// Time that blocking work gets after the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// A program to run with a server beside it.
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
    /// Runs the program and returns its exit status.
    pub(super) fn run(self) -> Result<ExitCode, Error> {
        cluster::check(&self.listen.cluster)?;
        let root = paths::ledger_root(None)?;
        remove_old_runs(&root);
        let library = paths::unpack(&root)?;
        let dir = RunDir::create(&root)?;
        let runtime = service::runtime()?;
        let ended = runtime.block_on(self.beside_a_server(dir.path(), &library));
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        ended.map(|ended| ExitCode::from(launch::exit_status(ended)))
    }

    async fn beside_a_server(&self, dir: &Path, library: &Path) -> Result<ExitStatus, Error> {
        let service = Service::start(ServiceOptions {
            dir,
            listen: &self.listen,
            if_taken: IfTaken::PickAnother,
            initial: Sampling { intervals: self.intervals, ..Sampling::DEFAULT },
            parameter_file: None,
            history_folder: None,
            suspect_folder: own_suspect_folder(),
            cluster_file: None,
        })
        .await?;
        let ended = self
            .supervise(&service, Launch { command: &self.command, library, dir, allocator: self.allocator.as_deref() })
            .await;
        service.stop().await;
        ended
    }

    /// Attends the program from its start to its end, and with `--keep` until a signal ends the server.
    async fn supervise(&self, service: &Service, launch: Launch<'_>) -> Result<ExitStatus, Error> {
        let failed = |what: &str, error: io::Error| Error::new(format!("cannot {what}: {error}"));
        let not_caught = |error| failed("catch signals", error);
        let mut signals = Signals::catch(&signals::FORWARDED).map_err(not_caught)?;
        let begun = SystemTime::now();
        let (mut child, is_recorded) = launch.start()?;
        signals.catch_ignored().map_err(not_caught)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        self.announce(service, &child, is_recorded);
        let ended = launch::wait(&mut child, &mut signals).await;
        let ended = ended.map_err(|error| failed(&format!("wait for '{}'", self.title), error))?;
        if !self.quiet {
            let own: Vec<_> = service.last_suspects().await;
            banner::suspects(&own, begun);
        }
        if self.keep {
            pid.into_iter().for_each(|pid| service.set_exit(pid, launch::describe_end(ended)));
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
            say!(
                "ended      {}  {}  its samples stay until this server stops",
                self.title,
                launch::describe_end(ended)
            );
            say!("stop       Ctrl-C, or kill {}", std::process::id());
        }
    }
}

/// Where suspects of this run are kept, for the next server. None if that directory is no safe place.
fn own_suspect_folder() -> Option<PathBuf> {
    let state_dir = paths::state_dir()?;
    // It is created with the first suspect.
    match if state_dir.exists() { paths::private(&state_dir) } else { Ok(()) } {
        Ok(()) => Some(paths::suspects_in(&state_dir)),
        Err(error) => {
            tracing::info!("suspects are kept in memory only: {error}");
            None
        }
    }
}

/// The library of mimalloc, in the directories that Debian and other distributions use.
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

/// Removes ledgers of earlier runs beyond the bounds, and empty directories.
fn remove_old_runs(root: &Path) {
    match service::open(RegistrySettings::serving(root.to_owned())) {
        Ok(registry) => drop(registry.sources()),
        Err(error) => tracing::warn!("{error}"),
    }
    paths::remove_finished_runs(root);
}
