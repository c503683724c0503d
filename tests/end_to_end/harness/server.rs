//! A running `heapql run` or `heapql serve`, killed with all it started when its test is over.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;

use tempfile::TempDir;

use super::dialogue::Dialogue;
use super::{Client, Login, Mysql, Postgres, eventually};

/// The addresses of its listeners, from its `--endpoints` file.
#[derive(Clone, Default, Debug)]
pub(crate) struct Endpoints {
    pub(crate) mysql: String,
    pub(crate) postgres: String,
    /// Empty without one, as the next.
    pub(crate) http: String,
    pub(crate) cluster: String,
    pub(crate) pid: i64,
}

impl Endpoints {
    pub(crate) fn parse(text: &str) -> Endpoints {
        let json: serde_json::Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("the endpoints file holds {text:?}: {error}"));
        let address = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        Endpoints {
            mysql: address("mysql"),
            postgres: address("postgres"),
            http: address("http"),
            cluster: address("cluster"),
            pid: json["pid"].as_i64().unwrap_or(0),
        }
    }

    pub(crate) fn mysql_port(&self) -> &str {
        port(&self.mysql)
    }

    pub(crate) fn postgres_port(&self) -> &str {
        port(&self.postgres)
    }
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

/// The end of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Status(i32),
    Signal(i32),
}

impl From<std::process::ExitStatus> for Ended {
    fn from(status: std::process::ExitStatus) -> Ended {
        match status.signal() {
            Some(signal) => Ended::Signal(signal),
            None => Ended::Status(status.code().unwrap_or(-1)),
        }
    }
}

pub(crate) struct Server {
    child: Child,
    program: Dialogue,
    home: Arc<TempDir>,
    log: PathBuf,
    pub(crate) endpoints: Endpoints,
}

impl Server {
    pub(super) fn new(mut child: Child, home: Arc<TempDir>, log: PathBuf) -> Server {
        let program = Dialogue::with(&mut child);
        Server { child, program, home, log, endpoints: Endpoints::default() }
    }

    pub(crate) fn home(&self) -> &Arc<TempDir> {
        &self.home
    }

    /// Its standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a line to the program under `run`.
    pub(crate) fn say(&mut self, line: &str) {
        self.program.say(line);
    }

    /// The program's next line.
    pub(crate) fn hear(&self) -> String {
        self.program.hear().unwrap_or_else(|| panic!("the program closed its output:\n{}", self.log()))
    }

    /// Tells the program to do something and waits for its "ok".
    pub(crate) fn order(&mut self, line: &str) {
        self.say(line);
        assert_eq!(self.hear(), "ok", "the answer to {line:?}");
    }

    /// Waits for the program's "ready PID" and returns the number, 0 without one.
    pub(crate) fn ready(&self) -> i32 {
        let line = self.hear();
        let rest = line.strip_prefix("ready").unwrap_or_else(|| panic!("expected ready, heard {line:?}"));
        rest.trim().parse().unwrap_or(0)
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub(crate) fn signal(&self, signal: i32) {
        kill(self.pid(), signal);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Closes the program's input.
    pub(crate) fn close_input(&mut self) {
        self.program.close_input();
    }

    /// Closes its input and waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> Ended {
        self.close_input();
        let log = self.log.clone();
        eventually(&format!("heapql to end; its log is {}", log.display()), || {
            self.child.try_wait().expect("the child is ours")
        })
        .into()
    }

    pub(crate) fn mysql(&self) -> Mysql {
        Mysql::connect(&self.endpoints.mysql, &Login::root()).expect("the MySQL login succeeds")
    }

    pub(crate) fn postgres(&self) -> Postgres {
        Postgres::connect(&self.endpoints.postgres, &Login::root()).expect("the PostgreSQL login succeeds")
    }

    /// One client of each protocol.
    pub(crate) fn clients(&self) -> Vec<Box<dyn Client>> {
        vec![Box::new(self.mysql()), Box::new(self.postgres())]
    }

    pub(crate) fn ledgers(&self) -> PathBuf {
        self.home.path().join("ledgers")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It leads a process group of its own, in which its program is as well.
        kill(-self.pid(), libc::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- log of heapql ---\n{log}\n---");
        } else {
            assert!(!log.contains("panicked at"), "whatever was asked, nothing in the server may panic:\n{log}");
        }
    }
}

/// `kill` without a word about processes that are gone.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid, signal) };
}

/// Every ledger below a directory.
pub(crate) fn ledger_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(ledger_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "heapql") {
            found.push(path);
        }
    }
    found
}
