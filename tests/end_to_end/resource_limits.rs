//! The recorder without memory, files, descriptors or room. The program does not notice, and every lost sample is counted.

use crate::full_mode::{exact_program, rows_of_size};
use crate::harness::{Client, Ended, Launch, Program, kill, tool};

/// Runs `exact.c` under a shell that first does something to it; returns what was written to stderr.
fn under(preparation: &str) -> String {
    let program = Program::new("exact.c").path();
    let script = format!("{preparation}; exec \"$0\"");
    let launch = Launch::run("/bin/bash", &["-c", &script, program.to_str().expect("UTF-8")]).intervals(1, 1);
    let output = tool(&mut launch.command(), "malloc 5000 100\ncalloc 5000 3000\nfree malloc 4000\nquit\n");
    assert_eq!(output.ended, Ended::Status(0), "{preparation}: {}{}", output.stdout, output.stderr);
    let answers: Vec<&str> = output.stdout.lines().skip(1).collect();
    assert_eq!(answers, ["ok"; 3], "{preparation}: {}", output.stderr);
    output.stderr
}

#[test]
fn little_address_space() {
    for kilobytes in [200_000, 1_000_000] {
        under(&format!("ulimit -v {kilobytes}"));
    }
}

#[test]
fn no_files_to_write() {
    under("ulimit -f 0");
    under("ulimit -f 1");
}

#[test]
fn no_descriptors_to_open() {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1).start();
    let pid = server.ready();
    // It has not allocated yet, so its ledger would be created after this.
    let none = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
    // SAFETY: `none` lives through the call, and the old limits are not asked for.
    let done = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const none, std::ptr::null_mut()) };
    assert_eq!(done, 0);
    server.order("malloc 5000 100");
    server.order("calloc 5000 3000");
    server.order("free malloc 4000");
    assert_eq!(server.wait(), Ended::Status(0));
}

#[test]
fn a_directory_that_cannot_be_used() {
    for dir in ["/proc/nowhere", "/dev/null", "/nonexistent/a/b", ""] {
        under(&format!("export HEAPQL_DIR={dir}"));
    }
    let said = under("export HEAPQL_DIR=/proc/nowhere");
    assert!(said.contains("/proc/nowhere"), "it says why nothing is recorded: {said}");
}

#[test]
fn numbers_of_the_environment_that_make_no_sense() {
    for variable in
        ["HEAPQL_MIN=0", "HEAPQL_MAX=10001", "HEAPQL_LEDGER_BYTES=1", "HEAPQL_TENANT_ID=x", "HEAPQL_CTX_ID=-1"]
    {
        let said = under(&format!("export {variable}"));
        let (name, value) = variable.split_once('=').expect("an assignment");
        assert!(said.contains(name) && said.contains(value), "{variable}: {said}");
    }
}

#[test]
fn forks_among_threads() {
    for (min, max) in [(1, 1), (16, 256)] {
        let launch = Launch::run(Program::new("forks.c").path(), &["60"]).intervals(min, max);
        assert_eq!(tool(&mut launch.command(), "").ok(), "done\n", "{min}..{max}");
    }
}

#[test]
fn every_usable_byte_survives_realloc() {
    for (min, max) in [(1, 1), (1, 16), (10_000, 10_000)] {
        let launch = Launch::run(Program::new("usable.c").path(), &[]).intervals(min, max);
        assert_eq!(tool(&mut launch.command(), "").ok(), "done\n", "{min}..{max}");
    }
}

#[test]
fn a_full_ledger_loses_samples_and_counts_them() {
    let program = Program::new("gaps.c").path();
    let limits = ["HEAPQL_LEDGER_BYTES=262144", "HEAPQL_LABEL=full", program.to_str().expect("UTF-8")];
    let mut server = Launch::run("/usr/bin/env", &limits).intervals(1, 1).start();
    server.ready();
    server.order("");
    let mut client = server.mysql();
    let lost = client.query("SELECT loss_count FROM heapql.processes WHERE program LIKE '%/gaps'").number();
    let rows = client.query("SELECT count(*) FROM heapql.callsites WHERE label = 'full'").number();
    assert!(lost > 0 && rows > 0, "{lost} lost, {rows} rows");
    assert!(lost + rows >= 8192, "{lost} lost, {rows} rows");
    let reasons = client.query(
        "SELECT name, value FROM heapql.self_usage WHERE value > 0 AND name LIKE 'loss%' \
         AND pid IN (SELECT pid FROM heapql.processes WHERE program LIKE '%/gaps')",
    );
    assert_eq!(reasons.rows, [["loss_ledger_full".to_owned(), lost.to_string()]]);
    let bytes = client.query("SELECT ledger_bytes FROM heapql.processes WHERE program LIKE '%/gaps'").number();
    assert!(bytes <= 262_144, "{bytes} bytes");
    server.order("");
    assert_eq!(client.query("SELECT count(*) FROM heapql.callsites WHERE label = 'full' AND depth > 14").number(), 0);
}

/// The standard error of `program`, which reads `input` under a shell that does something first.
fn said(preparation: &str, program: &'static str, input: &str) -> String {
    let script = format!("{preparation}; exec \"$0\"");
    let program = Program::new(program).path();
    let launch = Launch::run("/bin/bash", &["-c", &script, program.to_str().expect("UTF-8")]).intervals(1, 1);
    let output = tool(&mut launch.command(), input);
    assert_eq!(output.ended, Ended::Status(0), "{preparation}: {}{}", output.stdout, output.stderr);
    output.stderr
}

#[test]
fn a_bound_that_is_hit_is_said_once() {
    let ledger = said("export HEAPQL_LEDGER_BYTES=262144", "gaps.c", "\n\n\n");
    assert_eq!(ledger.matches("the ledger is full (262144 bytes").count(), 1, "{ledger}");
    // Twice what an eighth of the addresses holds.
    let pool = said("ulimit -v 400000", "exact.c", "malloc 50000 1000\nmalloc 50000 1001\nquit\n");
    assert_eq!(pool.matches("no memory or addresses for a sampled object").count(), 1, "{pool}");
}

#[test]
fn a_line_on_a_closed_pipe_kills_no_program() {
    said("exec 2> >(:); sleep 0.3; export HEAPQL_LEDGER_BYTES=262144", "gaps.c", "\n\n\n");
}

#[test]
fn a_program_that_is_stopped_is_still_answered_about() {
    let mut server = exact_program();
    server.order("malloc 9 1009");
    let mut client = server.postgres();
    let pid = client.query("SELECT pid FROM heapql.processes WHERE program LIKE '%/exact'").number();
    let pid = i32::try_from(pid).expect("a pid");
    kill(pid, libc::SIGSTOP);
    assert_eq!(rows_of_size(&mut client, 1009), [(9, 9 * 1009)]);
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval=10000, _max_malloc_sample_interval=10000");
    server.say("calloc 9 1013");
    kill(pid, libc::SIGCONT);
    assert_eq!(server.hear(), "ok");
    assert_eq!(rows_of_size(&mut client, 1013), [], "what it was told while it was stopped");
}
