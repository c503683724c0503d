//! The command line of a server: verb, flags, environment, program.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::server::{Endpoints, Server};
use super::{eventually, heapql, scratch};

/// A `heapql run` or `heapql serve` to be.
pub(crate) struct Launch {
    verb: &'static str,
    home: Arc<TempDir>,
    flags: Vec<OsString>,
    listeners: [(&'static str, String); 3],
    env: Vec<(OsString, OsString)>,
    command: Vec<OsString>,
}

impl Launch {
    fn new(verb: &'static str, home: Arc<TempDir>) -> Launch {
        let any = || "127.0.0.1:0".to_owned();
        Launch {
            verb,
            flags: Vec::new(),
            listeners: [("--mysql", any()), ("--postgres", any()), ("--http", "off".to_owned())],
            env: vec![("HEAPQL_DIR".into(), home.path().join("ledgers").into())],
            command: Vec::new(),
            home,
        }
    }

    /// `heapql run -- PROGRAM ARGS..`
    pub(crate) fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Launch {
        let mut launch = Launch::new("run", Arc::new(scratch()));
        launch.command.push(program.as_ref().into());
        launch.command.extend(arguments.iter().map(OsString::from));
        launch
    }

    /// `heapql demo`
    pub(crate) fn demo() -> Launch {
        let home = Arc::new(scratch());
        // Its suspects are kept there.
        let state = home.path().to_owned();
        Launch::new("demo", home).env("XDG_STATE_HOME", state)
    }

    /// `heapql serve` over `home`, which other servers may share.
    pub(crate) fn serve(home: &Arc<TempDir>) -> Launch {
        let data = home.path().join("data");
        let ledgers = home.path().join("ledgers");
        std::fs::create_dir_all(&data).expect("a data directory");
        Launch::new("serve", home.clone()).flag("--dir").flag(ledgers).flag("--data-dir").flag(data)
    }

    /// Uses a directory that exists.
    pub(crate) fn home(mut self, home: &Arc<TempDir>) -> Launch {
        self.env[0].1 = home.path().join("ledgers").into();
        self.home = home.clone();
        self
    }

    pub(crate) fn flag(mut self, flag: impl Into<OsString>) -> Launch {
        self.flags.push(flag.into());
        self
    }

    pub(crate) fn intervals(self, min: u32, max: u32) -> Launch {
        self.flag("--min").flag(min.to_string()).flag("--max").flag(max.to_string())
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Launch {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Other addresses for `--mysql` and `--postgres`.
    pub(crate) fn listen(mut self, mysql: &str, postgres: &str) -> Launch {
        self.listeners[0].1 = mysql.to_owned();
        self.listeners[1].1 = postgres.to_owned();
        self
    }

    /// Adds an HTTP listener.
    pub(crate) fn http(mut self, address: &str) -> Launch {
        self.listeners[2].1 = address.to_owned();
        self
    }

    /// The bare command: nothing is redirected and nothing started.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(heapql());
        command.arg(self.verb);
        for (flag, address) in &self.listeners {
            command.arg(flag).arg(address);
        }
        command.args(&self.flags);
        if !self.command.is_empty() {
            command.arg("--").args(&self.command);
        }
        for name in ["LD_PRELOAD", "HEAPQL_MIN", "HEAPQL_MAX", "HEAPQL_LABEL", "HEAPQL_TENANT_ID", "HEAPQL_CTX_ID"] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value))).env("NO_COLOR", "1");
        command
    }

    /// Starts it and waits until its listeners are ready.
    pub(crate) fn start(self) -> Server {
        let endpoints = self.home.path().join(format!("endpoints-{}", unique()));
        let log = endpoints.with_extension("log");
        let file = File::create(&log).expect("a file for the log");
        let mut command = self.command_with_endpoints(&endpoints);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).process_group(0);
        let child = command.spawn().expect("heapql can be started");
        let mut server = Server::new(child, self.home, log);
        let text = eventually("the endpoints file", || {
            let text = std::fs::read_to_string(&endpoints).ok();
            if text.is_none() && server.has_ended() {
                panic!("heapql ended before it listened:\n{}", server.log());
            }
            text
        });
        server.endpoints = Endpoints::parse(&text);
        server
    }

    fn command_with_endpoints(&self, endpoints: &PathBuf) -> Command {
        let with = Launch {
            verb: self.verb,
            home: self.home.clone(),
            flags: self.flags.iter().cloned().chain(["--endpoints".into(), endpoints.into()]).collect(),
            listeners: self.listeners.clone(),
            env: self.env.clone(),
            command: self.command.clone(),
        };
        with.command()
    }
}

fn unique() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Relaxed)
}
