//! Which process a row is about: images that exec ended, names that are no UTF-8, titles that change.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use crate::harness::{Client, Ended, Launch, Program, Server, eventually, heapql, kill, scratch, tool};

fn state_of(client: &mut dyn Client, pid: i32) -> Vec<String> {
    let answer = client.query(&format!("SELECT state FROM heapql.processes WHERE pid = {pid}"));
    answer.column("state").into_iter().map(str::to_owned).collect()
}

fn doctor(server: &Server, pid: i32) -> String {
    let mut command = Command::new(heapql());
    command.args(["doctor", "--pid", &pid.to_string()]).env("HEAPQL_DIR", server.ledgers());
    tool(&mut command, "").stdout
}

/// nohup is recorded until it turns into a program that the recorder cannot enter.
#[test]
fn a_static_program_is_not_taken_for_what_started_it() {
    let program = Program::new("titles.c").flags(&["-static"]).path();
    let mut server = Launch::run("/usr/bin/nohup", &[program.to_str().expect("text")]).intervals(1, 1).start();
    let pid = server.ready();
    let mut client = server.mysql();
    assert_eq!(state_of(&mut client, pid), [""; 0], "the recorded heap ended with exec");
    let said = doctor(&server, pid);
    assert!(!said.contains("records itself") && said.contains("fail  ledger"), "{said}");
    server.say("");
    assert_eq!(server.wait(), Ended::Status(5));
}

/// The kernel keeps 15 bytes of a name, which may end amid a letter.
#[test]
fn names_that_are_not_text_are_those_of_living_processes() {
    let names: [&[u8]; 4] =
        ["программа-демо-утечка".as_bytes(), "内存泄漏测试".as_bytes(), b"a) Z 1 (b", b"\xff\xfe\xfd"];
    for name in names {
        let home = Arc::new(scratch());
        let path: PathBuf = home.path().join(OsStr::from_bytes(name));
        std::fs::copy(Program::new("titles.c").path(), &path).expect("a program of that name");
        let mut server = Launch::run(&path, &[]).intervals(1, 1).start();
        let pid = server.ready();
        let mut client = server.postgres();
        assert_eq!(state_of(&mut client, pid), ["alive"], "{}", path.display());
        let memory = format!("SELECT count(*) FROM heapql.process_memory WHERE pid = {pid} AND rss_bytes > 0");
        assert_eq!(client.query(&memory).number(), 1, "{}", path.display());
        let said = doctor(&server, pid);
        assert!(said.contains("ok    recorder") && said.contains("ok    ledger"), "{}: {said}", path.display());
        server.say("");
        assert_eq!(server.wait(), Ended::Status(5));
    }
}

/// As of servers that fork workers: what `ps` shows while they run, and then the last that was seen.
#[test]
fn a_worker_is_listed_by_its_title() {
    let title = "shop: worker of the night";
    let mut server = Launch::run(Program::new("titles.c").path(), &[title]).intervals(1, 1).start();
    let worker = server.ready();
    let mut client = server.mysql();
    let mut listed = || {
        let answer = client.query(&format!("SELECT command, state FROM heapql.processes WHERE pid = {worker}"));
        (answer.column("command").concat(), answer.column("state").concat())
    };
    eventually("the title", || (listed() == (title.to_owned(), "alive".to_owned())).then_some(()));
    kill(worker, libc::SIGKILL);
    eventually("the end", || (listed() == (title.to_owned(), "dead".to_owned())).then_some(()));
    server.say("");
    assert_eq!(server.wait(), Ended::Status(5));
}

/// Compiled without unwind tables and without frame pointers.
#[test]
fn a_sample_whose_stack_is_cut_is_recorded() {
    let flags = ["-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    let mut server = Launch::run(Program::new("titles.c").flags(&flags).path(), &[]).intervals(1, 1).start();
    let pid = server.ready();
    let mut client = server.mysql();
    let cut = format!("SELECT value FROM heapql.self_usage WHERE pid = {pid} AND name = 'loss_stack_truncated'");
    assert!(client.query(&cut).number() > 0);
    let lost = format!("SELECT loss_count FROM heapql.processes WHERE pid = {pid}");
    assert_eq!(client.query(&lost).number(), 0);
    let held = format!(
        "SELECT coalesce(sum(sampled_live_count), 0) FROM heapql.callsites WHERE pid = {pid} \
         AND sampled_live_bytes = sampled_live_count * 1009"
    );
    assert_eq!(client.query(&held).number(), 1);
    server.say("");
    assert_eq!(server.wait(), Ended::Status(5));
}
