//! Ledgers outlive their processes, and programs outlive the server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::full_mode::rows_of_size;
use crate::harness::{Client, Ended, Launch, Program, Recorded, Server, eventually, heapql, kill, scratch, tool};

fn exact() -> Launch {
    Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1)
}

/// States of the processes of a pid, the latest included.
fn states(client: &mut dyn Client, pid: i32) -> Vec<String> {
    let answer = client.query(&format!("SELECT state FROM heapql.processes WHERE pid = {pid}"));
    answer.column("state").into_iter().map(str::to_owned).collect()
}

fn assert_dead_and_there(server: &Server, pid: i32) {
    for mut client in server.clients() {
        let client = client.as_mut();
        eventually("the process to be known as dead", || (states(client, pid) == ["dead"]).then_some(()));
        assert_eq!(rows_of_size(client, 1009), [(7, 7 * 1009)]);
    }
}

#[test]
fn keep_shows_a_process_that_was_killed() {
    let mut server = exact().flag("--keep").start();
    let pid = server.ready();
    server.order("malloc 7 1009");
    assert_eq!(states(&mut server.mysql(), pid), ["alive"]);
    kill(pid, libc::SIGKILL);
    assert_dead_and_there(&server, pid);
    assert!(!server.has_ended(), "--keep");
    server.signal(libc::SIGTERM);
    server.wait();
}

#[test]
fn keep_shows_a_process_that_has_ended_by_itself() {
    let mut server = exact().flag("--keep").start();
    let pid = server.ready();
    server.order("malloc 7 1009");
    server.say("quit");
    assert_dead_and_there(&server, pid);
}

#[test]
fn run_ends_with_the_status_of_a_killed_program() {
    let mut server = exact().start();
    let pid = server.ready();
    kill(pid, libc::SIGKILL);
    assert_eq!(server.wait(), Ended::Status(128 + 9));
}

#[test]
fn serve_shows_what_run_records_and_keeps_it_after_sigkill() {
    let home = Arc::new(scratch());
    let served = Launch::serve(&home).start();
    let mut run = exact().home(&home).start();
    let pid = run.ready();
    run.order("malloc 7 1009");
    let mut client = served.mysql();
    assert_eq!(states(&mut client, pid), ["alive"]);
    assert_eq!(rows_of_size(&mut client, 1009), [(7, 7 * 1009)]);
    // The recording server dies first, then the program: neither has a chance to say goodbye.
    run.signal(libc::SIGKILL);
    kill(pid, libc::SIGKILL);
    run.wait();
    assert_dead_and_there(&served, pid);
    drop(client);
    drop(served);
    assert_dead_and_there(&Launch::serve(&home).start(), pid);
}

#[test]
fn a_program_does_not_notice_the_death_of_its_server() {
    let mut server = exact().start();
    let pid = server.ready();
    server.order("malloc 7 1009");
    server.signal(libc::SIGKILL);
    eventually("the server to end", || server.has_ended().then_some(()));
    server.order("malloc 20000 500");
    server.order("free malloc 20007");
    server.say("quit");
    eventually("the program to end", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
}

/// A program that a shell turned into, after it took over what `heapql env` printed.
fn recorded_by_shell(home: &Arc<TempDir>) -> Recorded {
    let script = "eval \"$(\"$1\" env)\"; export HEAPQL_MIN=1 HEAPQL_MAX=1; exec \"$2\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh"]).arg(heapql()).arg(Program::new("exact.c").path());
    command.env("HEAPQL_DIR", home.path().join("ledgers"));
    Recorded::spawn(command)
}

#[test]
fn serve_shows_what_was_started_with_the_environment_of_env() {
    let home = Arc::new(scratch());
    let mut program = recorded_by_shell(&home);
    let pid = program.pid();
    program.order("malloc 7 1009");
    let served = Launch::serve(&home).start();
    assert_eq!(states(&mut served.postgres(), pid), ["alive"]);
    assert_eq!(rows_of_size(&mut served.postgres(), 1009), [(7, 7 * 1009)]);
    drop(program);
    assert_dead_and_there(&served, pid);
}

#[test]
fn ledgers_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let mut server = exact().start();
    server.ready();
    // The file comes with the first sample.
    server.order("malloc 7 1009");
    let files = crate::harness::ledger_files(&server.ledgers());
    assert!(!files.is_empty());
    for file in files {
        let mode = file.metadata().expect("the ledger is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        let dir = file.parent().expect("it lies in a directory");
        let mode = dir.metadata().expect("the directory is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", dir.display());
    }
}

#[test]
fn a_damaged_ledger_is_a_row_that_says_why() {
    let home = Arc::new(scratch());
    let ledgers = home.path().join("ledgers");
    std::fs::create_dir_all(&ledgers).expect("a directory");
    std::fs::write(ledgers.join("4242-1.heapql"), vec![7; 300_000]).expect("a file");
    let mut run = exact().home(&home).start();
    run.ready();
    run.order("malloc 7 1009");
    let served = Launch::serve(&home).start();
    for mut client in served.clients() {
        let answer = client.query("SELECT state, why FROM heapql.processes WHERE pid = 4242");
        assert_eq!(answer.column("state"), ["unreadable"]);
        assert!(answer.column("why")[0].contains("not a valid ledger"), "{answer:?}");
        assert_eq!(rows_of_size(client.as_mut(), 1009), [(7, 7 * 1009)], "one bad source empties no answer");
    }
}

/// Copies of a process's ledger, each with a pid that no process has and another piece of its header, labels or callsites
/// overwritten. Returns how many.
fn write_damaged_copies(real: &[u8], pid: i32, into: &Path) -> usize {
    let pid_at = real.chunks_exact(4).position(|word| word == pid.to_ne_bytes()).expect("the header names the pid") * 4;
    let pieces = (16..1024).step_by(56).map(|at| (at, 128)).chain((1024..120_000).step_by(4000).map(|at| (at, 900)));
    let mut count = 0;
    for (at, bytes) in pieces {
        for value in [0xff_u8, 0x7f, 0x01] {
            let own_pid: i32 = 5_000_000 + count;
            let mut copy = real.to_vec();
            copy[pid_at..pid_at + 4].copy_from_slice(&own_pid.to_ne_bytes());
            copy[at..at + bytes].fill(value);
            std::fs::write(into.join(format!("{own_pid}-1.heapql")), copy).expect("a file");
            count += 1;
        }
    }
    usize::try_from(count).expect("a count")
}

#[test]
fn damaged_ledgers_do_the_server_no_harm() {
    let home = Arc::new(scratch());
    let mut run = exact().env("HEAPQL_LEDGER_BYTES", (256 << 10).to_string()).home(&home).start();
    let pid = run.ready();
    run.order("malloc 7 1009");
    let ledger = crate::harness::ledger_files(&run.ledgers())
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{pid}-"))))
        .expect("the program's ledger");
    let real = std::fs::read(ledger).expect("the ledger can be read");
    let count = write_damaged_copies(&real, pid, &run.ledgers());
    let served = Launch::serve(&home).start();
    for mut client in served.clients() {
        let client = client.as_mut();
        let processes = client.query("SELECT * FROM heapql.processes").rows.len();
        assert!(processes > count, "{processes} rows of processes for {count} damaged ledgers");
        for table in ["heapql.callsites", "heapql.self_usage", "__all_virtual_malloc_sample_info"] {
            client.query(&format!("SELECT * FROM {table}"));
        }
        client.query("ALTER SYSTEM SET _min_malloc_sample_interval = 1, _max_malloc_sample_interval = 1");
        let own =
            format!("SELECT sampled_live_count FROM heapql.callsites WHERE pid = {pid} AND sampled_live_bytes = 7063");
        assert!(client.query(&own).column("sampled_live_count").contains(&"7"), "one bad source empties no answer");
        client.assert_alive();
    }
    run.order("malloc 7 1009");
    assert_eq!(run.wait(), Ended::Status(0), "the program is well");
}

#[test]
fn sql_reads_ledgers_without_a_server() {
    let home = Arc::new(scratch());
    let mut program = recorded_by_shell(&home);
    program.order("malloc 7 1009");
    let query = "SELECT alloc_count FROM __all_virtual_malloc_sample_info WHERE alloc_bytes = 7 * 1009";
    let mut command = Command::new(heapql());
    command.args(["sql", query, "-f", "csv"]).env("HEAPQL_DIR", home.path().join("ledgers"));
    let printed = tool(&mut command, "");
    assert_eq!(printed.ok().lines().collect::<Vec<_>>(), ["alloc_count", "7"]);
}
