//! The needs of recording and serving on this host. Each is checked by doing it.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use heapql_ledger::{Intervals, Sampling};
use heapql_registry::{RegistrySettings, SourceState};
use rustix::fs::statvfs;

use super::Finding::{self, Fail, Fine, Warn};
use super::Report;
use crate::error::Error;
use crate::launch::preload_list;
use crate::listen::{MYSQL_PORT, POSTGRES_PORT};
use crate::paths::{self, RunDir};
use crate::service;
use crate::target;

/// Below this a few programs fill the directory: a ledger may grow to 32 MiB.
const ROOMY_BYTES: u64 = 256 << 20;

/// The place of the ledgers, and whether a program can be recorded at all.
pub(super) fn recorder(report: &mut Report, dir: Option<&Path>) {
    let root = paths::ledger_root(dir);
    match &root {
        Ok(root) => {
            report.line("directory", Fine(format!("ledgers lie in '{}'", root.display())));
            report.line("space", space(root));
            report.line("ledgers", ledgers(root));
        }
        Err(error) => report.line("directory", Fail(error.to_string())),
    }
    match root.and_then(|root| Ok((paths::unpack(&root)?, root))) {
        Ok((library, root)) => {
            report.line("library", Fine(format!("programs map '{}'", library.display())));
            report.line("recording", recording(&root, &library).unwrap_or_else(|error| Fail(error.to_string())));
        }
        Err(error) => report.line("library", Fail(error.to_string())),
    }
}

/// Reports the ports and the client programs of this host.
pub(super) fn clients(report: &mut Report) {
    report.line("mysql port", port("mysql", MYSQL_PORT));
    report.line("psql port", port("postgres", POSTGRES_PORT));
    report.line("mysql client", client(&["mysql", "mariadb"], "mariadb-client"));
    report.line("psql client", client(&["psql"], "postgresql-client"));
}

fn space(root: &Path) -> Finding {
    let found = match statvfs(root) {
        Ok(found) => found,
        Err(error) => {
            return Fail(format!("cannot ask for the space in '{}': {error}", root.display()));
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let words = format!("{} MiB free", free >> 20);
    if free < ROOMY_BYTES {
        return Warn(format!("{words}; a ledger may take 32 MiB (hint: HEAPQL_DIR names a roomier directory)"));
    }
    Fine(words)
}

fn ledgers(root: &Path) -> Finding {
    let sources = service::open(RegistrySettings::read_only(root.to_owned())).map(|registry| registry.sources());
    let sources = match sources {
        Ok(sources) => sources,
        Err(error) => return Fail(error.to_string()),
    };
    let unreadable = sources.iter().filter(|source| matches!(source.state(), SourceState::Unreadable(_)));
    match unreadable.count() {
        0 => Fine(format!("{} recorded processes", sources.len())),
        bad => Warn(format!("{bad} of {} ledgers cannot be read (hint: heapql ps says why)", sources.len())),
    }
}

/// Records a program that does nothing, in a directory of its own.
fn recording(root: &Path, library: &Path) -> Result<Finding, Error> {
    let dir = RunDir::create(root)?;
    let registry = service::open(RegistrySettings::read_only(dir.path().to_owned()))?;
    registry.set_sampling(Sampling { intervals: Intervals { min: 1, max: 1 }, ..Sampling::DEFAULT });
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ":"]).stdin(Stdio::null()).env("HEAPQL_DIR", dir.path());
    command.env("LD_PRELOAD", preload_list(library, None));
    let ran = command.output().map_err(|error| Error::new(format!("cannot run '/bin/sh': {error}")))?;
    let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
    let recorded = registry.sources();
    for source in &recorded {
        let _ = fs::remove_file(source.path());
    }
    Ok(match recorded.first().map(|source| source.state()) {
        _ if !ran.status.success() || !said.is_empty() => {
            Fail(format!("/bin/sh with the library: {}: {said}", ran.status))
        }
        Some(SourceState::Unreadable(why)) => Fail(format!("/bin/sh was recorded, but {why}")),
        Some(_) => Fine("/bin/sh was recorded".to_owned()),
        None => Fail("/bin/sh ran and left no ledger".to_owned()),
    })
}

fn port(flag: &str, port: u16) -> Finding {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Fine(format!("127.0.0.1:{port} is free")),
        Err(error) => Warn(format!(
            "127.0.0.1:{port}: {error}; run picks another, serve fails (hint: --{flag} 127.0.0.1:0, or stop what has it)"
        )),
    }
}

fn client(names: &[&str], package: &str) -> Finding {
    match names.iter().find_map(|name| target::find(OsStr::new(name))) {
        Some(path) => Fine(format!("'{}'", path.display())),
        None => Warn(format!("not installed (hint: apt-get install {package}, or use heapql sql)")),
    }
}
