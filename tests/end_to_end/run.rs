//! `heapql run` leaves a program as it was: output, status, signals, input.

use std::path::Path;
use std::process::Command;

use crate::harness::{Ended, Launch, Output, Program, tool};

/// The status that a shell would show, which `run` ends with.
fn shell_status(ended: Ended) -> i32 {
    match ended {
        Ended::Status(status) => status,
        Ended::Signal(signal) => 128 + signal,
    }
}

/// Runs a program with and without the recorder, in normal and in full mode, and compares all that can be seen of it.
fn assert_unchanged(program: impl AsRef<Path>, arguments: &[&str], input: &str) -> Output {
    let program = program.as_ref();
    let plain = tool(Command::new(program).args(arguments), input);
    for (min, max) in [(16, 256), (1, 1)] {
        let launch = Launch::run(program, arguments).intervals(min, max).flag("--quiet");
        let recorded = tool(&mut launch.command(), input);
        let what = format!("{} {arguments:?} recorded with {min}..{max}", program.display());
        assert_eq!(recorded.stdout, plain.stdout, "stdout of {what}");
        assert_eq!(recorded.stderr, plain.stderr, "stderr of {what}");
        assert_eq!(recorded.ended, Ended::Status(shell_status(plain.ended)), "{what}");
    }
    plain
}

fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

#[test]
fn shell_scripts_run_unchanged() {
    let script = "for i in $(seq 50); do x=$x$(printf '%d,' $i); done; echo $x; echo talk >&2; exit 42";
    assert_eq!(assert_unchanged("/bin/bash", &["-c", script], "").ended, Ended::Status(42));
}

#[test]
fn pipelines_and_background_jobs_run_unchanged() {
    let script = "seq 3000 | sort -rn | tail -n 3; (sleep 0.1; echo late) & wait; true | cat; exit 3";
    assert_unchanged("/bin/bash", &["-c", script], "");
}

#[test]
fn a_program_that_kills_itself_ends_with_128_plus_its_signal() {
    for (signal, status) in [("TERM", 143), ("KILL", 137), ("ABRT", 134), ("SEGV", 139)] {
        let script = format!("ulimit -c 0; kill -{signal} $$");
        let plain = assert_unchanged("/bin/sh", &["-c", &script], "");
        assert_eq!(shell_status(plain.ended), status);
    }
}

#[test]
fn input_reaches_the_program() {
    let input = "one\ntwo\n".repeat(40_000);
    let plain = assert_unchanged("/bin/cat", &[], &input);
    assert_eq!(plain.ok(), input);
}

#[test]
fn python_runs_unchanged() {
    let script = "
import json, subprocess, sys, threading
held = []
def work(n):
    held.append([{'i': i, 's': 'x' * (i % 97)} for i in range(n)])
threads = [threading.Thread(target=work, args=(2000,)) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(held), len(json.dumps(held)))
print(subprocess.run([sys.executable, '-c', 'print(sum(range(1000)))'], capture_output=True).stdout)
print(sys.stdin.read().upper())
sys.stderr.write('done\\n')
sys.exit(9)
";
    let plain = assert_unchanged("/usr/bin/env", &["python3", "-c", script], "input");
    assert_eq!(plain.ended, Ended::Status(9));
}

#[test]
fn sqlite_runs_unchanged() {
    if !exists("sqlite3") {
        return;
    }
    let script = "
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
SELECT count(*), sum(i), length(group_concat(hex(i))) FROM n;
CREATE TABLE t(a, b); INSERT INTO t SELECT value, hex(randomblob(20)) FROM generate_series(1, 2000);
CREATE INDEX u ON t(b); SELECT count(DISTINCT b) FROM t;
";
    assert_unchanged("/usr/bin/env", &["sqlite3", ":memory:"], script);
}

#[test]
fn perl_runs_unchanged() {
    if !exists("perl") {
        return;
    }
    let script = "my %h; $h{$_ % 977} .= \"v$_\" for 1..40000; print length(join '', map {$h{$_}} sort keys %h), \"\\n\"; \
                  if (my $p = fork) { waitpid $p, 0; print $? >> 8, \"\\n\" } else { exit 17 } die \"over\\n\"";
    assert_unchanged("/usr/bin/env", &["perl", "-e", script], "");
}

#[test]
fn the_c_library_keeps_its_promises() {
    let plain = assert_unchanged(Program::new("rules.c").flags(&["-fno-builtin"]).path(), &[], "");
    assert_eq!(plain.ok(), "all hold\n");
}

#[test]
fn signal_storms_break_nothing() {
    assert_unchanged(Program::new("storm.c").path(), &[], "");
}

#[test]
fn operator_new_runs_unchanged() {
    assert_unchanged(Program::new("new.cpp").path(), &[], "\n\n");
}

#[test]
fn a_static_program_runs_unchanged() {
    let launch = Launch::run(Program::new("rules.c").flags(&["-fno-builtin", "-static"]).path(), &[]);
    let output = tool(&mut launch.command(), "");
    assert_eq!(output.ok(), "all hold\n");
    assert!(output.stderr.contains("statically linked"), "it says why there will be no rows: {}", output.stderr);
}

#[test]
fn a_library_may_come_and_go() {
    let dir = crate::harness::scratch();
    let library = crate::harness::library(dir.path());
    let arguments = [library.to_str().expect("a path in UTF-8"), "20"];
    assert_unchanged(Program::new("dlopen.c").path(), &arguments, "\n");
}

#[test]
fn a_program_that_is_not_there_is_127() {
    let launch = Launch::run("/nonexistent/program", &[]);
    let output = tool(&mut launch.command(), "");
    assert_eq!(output.ended, Ended::Status(127), "{}", output.stderr);
    assert!(output.stderr.contains("/nonexistent/program"), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

#[test]
fn a_file_that_is_no_program_is_126() {
    let launch = Launch::run("/etc/passwd", &[]);
    let output = tool(&mut launch.command(), "");
    assert_eq!(output.ended, Ended::Status(126), "{}", output.stderr);
    assert!(output.stderr.contains("/etc/passwd"), "{}", output.stderr);
}

#[test]
fn signals_reach_the_program() {
    let mut server = Launch::run(Program::new("signals.c").path(), &[]).start();
    server.ready();
    let signals = [
        (libc::SIGHUP, "HUP"),
        (libc::SIGUSR1, "USR1"),
        (libc::SIGUSR2, "USR2"),
        (libc::SIGINT, "INT"),
        (libc::SIGQUIT, "QUIT"),
        (libc::SIGTERM, "TERM"),
    ];
    for (number, name) in signals {
        server.signal(number);
        assert_eq!(server.hear(), format!("got {name}"));
    }
    assert_eq!(server.wait(), Ended::Status(7), "the status that the program chose at SIGTERM");
}

#[test]
fn bad_intervals_of_the_environment_are_a_line_on_stderr() {
    let program = Program::new("exact.c").path();
    let launch =
        Launch::run("/bin/sh", &["-c", "HEAPQL_MIN=abc HEAPQL_LABEL=x \"$0\"", program.to_str().expect("UTF-8")]);
    let output = tool(&mut launch.command(), "malloc 10 10\nquit\n");
    assert_eq!(output.ended, Ended::Status(0), "{}", output.stderr);
    assert!(output.stdout.ends_with("ok\n"), "{}", output.stdout);
    assert!(output.stderr.contains("HEAPQL_MIN") && output.stderr.contains("abc"), "{}", output.stderr);
}
