//! The command line as scripts see it: exit statuses, signals, files, environment. Runs the built `heapql`.
//!
//! Not SQL and not protocols: those have tests of their own. It links no engine, so it costs no second build of one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// It only bounds a hang.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A ledger directory of the test's own.
struct Host {
    dir: TempDir,
}

impl Host {
    fn new() -> Host {
        handle_ignored_signals();
        Host { dir: tempfile::tempdir().expect("a directory") }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("ledgers")
    }

    fn heapql(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heapql"));
        command.args(arguments).env("HEAPQL_DIR", self.root()).env("XDG_STATE_HOME", self.dir.path());
        command.env_remove("LD_PRELOAD").env_remove("HEAPQL_LOG").stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.heapql(arguments).output().expect("started")
    }

    /// `run` without listeners.
    fn run(&self, command: &[&str]) -> Output {
        let words = [&["run", "--quiet", "--mysql", "off", "--postgres", "off", "--"], command].concat();
        self.output(&words)
    }

    fn ledgers(&self) -> Vec<PathBuf> {
        let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let dirs = entries(&self.root()).filter(|path| path.is_dir()).chain([self.root()]);
        let files = dirs.flat_map(|dir| entries(&dir).collect::<Vec<_>>());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "heapql")).collect()
    }
}

/// A background command of a script, or of nohup, ignores signals, and programs that it starts would, too. A handler is reset
/// to the default by exec, so what is started here sees its signals, and the test process goes on ignoring them.
fn handle_ignored_signals() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    let status = fs::read_to_string("/proc/self/status").expect("read");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("a line");
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    ONCE.call_once(|| {
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
            if ignored >> (signal.as_raw() - 1) & 1 == 1 {
                signal_hook::flag::register(signal.as_raw(), Arc::default()).expect("registered");
            }
        }
    });
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a pid");
    kill_process(pid, signal).expect("sent");
}

/// Starts `heapql` and waits for the target's first line, which must be "ready".
fn ready(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    (child, out)
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < TIMEOUT {
        match attempt() {
            Some(done) => return done,
            None => sleep(Duration::from_millis(20)),
        }
    }
    panic!("no {what} after {TIMEOUT:?}");
}

#[test]
fn the_exit_status_and_the_streams_are_the_programs() {
    let host = Host::new();
    let ran = host.run(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.status.code(), text(&ran.stdout), text(&ran.stderr)), (Some(7), "out\n".into(), "err\n".into()));
    let ran = host.run(&["sh", "-c", "kill -SEGV $$"]);
    assert_eq!(ran.status.code(), Some(139));
}

#[test]
fn what_cannot_be_run_ends_like_in_a_shell() {
    let host = Host::new();
    for (program, status, word) in [
        ("no-such-program-anywhere", 127, "no such program"),
        ("/etc/passwd", 126, "not executable"),
        ("/", 126, "directory"),
    ] {
        let ran = host.run(&[program]);
        assert_eq!(ran.status.code(), Some(status), "{program}");
        assert!(text(&ran.stderr).contains(word), "{}", text(&ran.stderr));
    }
    assert!(host.ledgers().is_empty());
    let left: Vec<_> =
        fs::read_dir(host.root()).expect("listed").flatten().filter(|entry| entry.path().is_dir()).collect();
    assert!(left.is_empty(), "a run that never was leaves no directory: {left:?}");
}

#[test]
fn a_script_without_a_first_line_runs() {
    let host = Host::new();
    let script = host.dir.path().join("script");
    // Written by another process: a descriptor of ours, inherited by a sibling test's child, would make it ETXTBSY.
    let make = format!("printf 'echo \"got $1\"\\n' > {0}; chmod +x {0}", script.display());
    assert!(Command::new("sh").args(["-c", &make]).status().expect("started").success());
    let ran = host.run(&[script.to_str().expect("text"), "a b"]);
    assert_eq!(text(&ran.stdout), "got a b\n", "{}", text(&ran.stderr));
}

#[test]
fn signals_reach_the_program() {
    let host = Host::new();
    let script = "for s in INT TERM HUP USR1 USR2; do trap \"echo $s\" $s; done; trap 'exit 3' QUIT; echo ready; i=0
                  while [ $i -lt 3000 ]; do sleep 0.1; i=$((i+1)); done";
    let line = ["run", "-q", "--mysql", "off", "--postgres", "off", "sh", "-c", script];
    let (mut child, mut out) = ready(&mut host.heapql(&line));
    let sent = [Signal::INT, Signal::TERM, Signal::HUP, Signal::USR1, Signal::USR2];
    for (number, name) in sent.into_iter().zip(["INT", "TERM", "HUP", "USR1", "USR2"]) {
        signal(&child, number);
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), name);
    }
    signal(&child, Signal::QUIT);
    assert_eq!(child.wait().expect("ended").code(), Some(3));
}

#[test]
fn a_signal_that_ends_the_program_is_its_exit_status() {
    let host = Host::new();
    let line = ["run", "-q", "--mysql", "off", "--postgres", "off", "sh", "-c", "echo ready; exec sleep 300"];
    let (mut child, _out) = ready(&mut host.heapql(&line));
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("ended").code(), Some(143));
}

#[test]
fn ignored_signals_stay_ignored_in_the_program() {
    let host = Host::new();
    let own = env!("CARGO_BIN_EXE_heapql");
    let line = "trap '' HUP; exec \"$0\" run -q --mysql off --postgres off grep SigIgn /proc/self/status";
    let ran = Command::new("sh").args(["-c", line, own]).env("HEAPQL_DIR", host.root()).output().expect("started");
    let mask = text(&ran.stdout);
    let mask = mask.trim().rsplit('\t').next().and_then(|mask| u64::from_str_radix(mask, 16).ok()).expect("a mask");
    assert_eq!(mask & 1, 1, "SIGHUP");
    assert_eq!(mask >> (Signal::PIPE.as_raw() - 1) & 1, 0, "SIGPIPE, which the standard library ignores");
}

#[test]
fn the_program_outlives_heapql() {
    let host = Host::new();
    let mark = host.dir.path().join("mark");
    let script = format!("echo ready; sleep 1; touch {}", mark.display());
    let (mut child, _out) =
        ready(&mut host.heapql(&["run", "-q", "--mysql", "off", "--postgres", "off", "sh", "-c", &script]));
    signal(&child, Signal::KILL);
    assert_eq!(child.wait().expect("ended").signal(), Some(9));
    until("mark", || mark.exists().then_some(()));
}

#[test]
fn with_keep_the_samples_of_a_killed_program_stay() {
    let host = Host::new();
    let endpoints = host.dir.path().join("endpoints.json");
    let line = ["run", "--keep", "--min", "1", "--max", "1", "--mysql", ":0", "--postgres", "off", "--endpoints"];
    let line = [&line[..], &[endpoints.to_str().expect("text"), "sh", "-c", "echo ready; kill -KILL $$"]].concat();
    let (mut child, _out) = ready(host.heapql(&line).stderr(Stdio::piped()));
    let said: serde_json::Value = serde_json::from_str(&fs::read_to_string(&endpoints).expect("read")).expect("JSON");
    assert_eq!(said["pid"], child.id());
    assert!(said["mysql"].as_str().expect("an address").starts_with("127.0.0.1:"));
    assert!(said.get("postgres").is_none(), "{said}");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let ended =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("ended"))).expect("a line").expect("text");
    assert!(ended.contains("killed by SIGKILL"), "{ended}");
    let listed = host.output(&["ps", "-f", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    // The server records itself as well.
    let listed = listed.as_array().expect("an array");
    let dead = listed.iter().find(|process| process["state"] == "dead").expect("the program");
    assert!(dead["sampled_count"].as_i64().expect("a number") > 0, "{dead}");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(137), "still the program's");
    assert!(!endpoints.exists());
}

#[test]
fn the_environment_records_what_a_shell_starts() {
    let host = Host::new();
    let own = env!("CARGO_BIN_EXE_heapql");
    let line = "eval \"$(\"$0\" env)\"; sh -c 'for i in 1 2 3 4 5 6 7 8 9; do (echo $i); done' > /dev/null";
    let ran = Command::new("sh").args(["-c", line, own]).env("HEAPQL_DIR", host.root()).output().expect("started");
    assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(0), String::new()));
    assert!(!host.ledgers().is_empty());
}

#[test]
fn serve_keeps_its_parameters() {
    let host = Host::new();
    let endpoints = host.dir.path().join("endpoints.json");
    let line = [
        "serve",
        "--mysql",
        "off",
        "--postgres",
        ":0",
        "--http",
        "off",
        "--endpoints",
        endpoints.to_str().expect("text"),
    ];
    let mut child = host.heapql(&line).stderr(Stdio::null()).spawn().expect("started");
    until("endpoints", || endpoints.exists().then_some(()));
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert!(host.dir.path().join("heapql").is_dir());
}

#[test]
fn wrong_command_lines_are_told_from_failures() {
    let host = Host::new();
    let file = host.dir.path().join("serve.toml");
    fs::write(&file, "mysql = 'off'\nmysq = 'off'\n").expect("written");
    let config = file.to_str().expect("text");
    for line in [
        &["run"][..],
        &["run", "--min", "0", "true"],
        &["run", "--min", "5", "--max", "4", "true"],
        &["run", "--cluster", "127.0.0.1:0", "--peer", "host", "true"],
        &["run", "--peer", "host:1", "true"],
        &["run", "--cluster", "127.0.0.1:0", "--cluster-secret-file", "/nonexistent", "true"],
        &["run", "--cluster", "127.0.0.1:0", "--cluster-tls-key", "key", "true"],
        &["run", "--password-file", "/nonexistent", "true"],
        &["serve", "--config", config],
        &["set", "no-assignment"],
        &["nonsense"],
    ] {
        let ran = host.output(line);
        assert_eq!(ran.status.code(), Some(2), "{line:?}: {}", text(&ran.stderr));
        assert!(text(&ran.stderr).starts_with("error: ") || line == ["run"], "{line:?}: {}", text(&ran.stderr));
    }
    assert_eq!(host.output(&["sql", "SELECT nonsense"]).status.code(), Some(1));
}

#[test]
fn a_taken_port_fails_if_it_was_asked_for() {
    let host = Host::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let ran = host.output(&["run", "--mysql", "off", "--postgres", &address, "true"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).contains("--postgres"), "{}", text(&ran.stderr));
    let ran = host.output(&["run", "--mysql", "off", "--cluster", &address, "true"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).contains("--cluster"), "{}", text(&ran.stderr));
}

#[test]
fn rows_go_to_stdout_in_every_format() {
    let host = Host::new();
    let query = "SELECT 1 AS a, 'x' AS b";
    for (format, expected) in [
        ("table", " a | b\n---+---\n 1 | x\n"),
        ("csv", "a,b\n1,x\n"),
        ("json", "[\n{\"a\":1,\"b\":\"x\"}\n]\n"),
        ("md", "| a | b |\n|---|---|\n| 1 | x |\n"),
    ] {
        let ran = host.output(&["sql", query, "-f", format]);
        assert_eq!((ran.status.code(), text(&ran.stdout)), (Some(0), expected.to_owned()), "{}", text(&ran.stderr));
    }
}
