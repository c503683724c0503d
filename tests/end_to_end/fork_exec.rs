//! Every way of making a child, the bare system calls and daemons included: the child has a ledger of its own, and the
//! parent's counts stay exact whatever the child frees.

use std::path::Path;

use crate::harness::{Client, Ended, Launch, Program, Server, eventually, tool};

/// Forked, with the program's memory copied.
const FORKED: [&str; 4] = ["fork", "SYS_fork", "SYS_clone", "threads"];
/// Turned into another image, by way of shared or of copied memory.
const EXECED: [&str; 4] = ["vfork", "posix_spawn", "clone", "fork and exec"];
const MODES: [(u32, u32); 3] = [(10_000, 10_000), (16, 256), (1, 1)];

fn start(way: &str, (min, max): (u32, u32), variables: &[(&str, &str)]) -> Server {
    let launch = Launch::run(Program::new("lineage.c").flags(&["-fno-builtin"]).path(), &[way]).intervals(min, max);
    variables.iter().fold(launch, |launch, (name, value)| launch.env(name, *value)).start()
}

/// The pid of the program that `run` started.
fn parent(server: &Server, client: &mut dyn Client) -> i64 {
    client.query(&format!("SELECT DISTINCT pid FROM heapql.processes WHERE parent_pid = {}", server.pid())).number()
}

/// The number of live samples of objects of this size in a process.
fn live(client: &mut dyn Client, pid: i64, bytes: i64) -> i64 {
    let sql = format!(
        "SELECT coalesce(sum(sampled_live_count), 0) FROM heapql.callsites \
         WHERE pid = {pid} AND sampled_live_bytes = sampled_live_count * {bytes}"
    );
    client.query(&sql).number()
}

fn samples(client: &mut dyn Client, pid: i64) -> i64 {
    client.query(&format!("SELECT count(*) FROM heapql.callsites WHERE pid = {pid}")).number()
}

fn ends_well(server: &mut Server, status: i32) {
    server.say("");
    assert_eq!(server.hear(), format!("ended {status}"));
    assert_eq!(server.wait(), Ended::Status(5));
}

#[test]
fn every_child_has_its_own_ledger_and_the_parents_is_exact() {
    for (way, bytes, count, status) in
        FORKED.map(|way| (way, 2003, 50, 21)).into_iter().chain(EXECED.map(|way| (way, 3001, 30, 22)))
    {
        // Where nothing or little is sampled, one of each kind will do.
        let modes = if ["SYS_clone", "threads", "clone"].contains(&way) { &MODES[..] } else { &MODES[2..] };
        for &mode in modes {
            let mut server = start(way, mode, &[]);
            let child = server.ready();
            let mut client = server.mysql();
            let client: &mut dyn Client = &mut client;
            let parent = parent(&server, client);
            match mode {
                (1, 1) => {
                    assert_eq!(live(client, parent, 1009), 100, "{way}: the parent's");
                    assert_eq!(live(client, parent, 4001), 0, "{way}: freed in the parent's memory");
                    assert_eq!(live(client, child.into(), bytes), count, "{way}: the child's");
                    assert_eq!(live(client, child.into(), 1009), 0, "{way}: the child has freed its copies");
                }
                (10_000, _) => assert_eq!(samples(client, child.into()) + samples(client, parent), 0, "{way}"),
                _ => assert!(live(client, parent, 1009) <= 100 / 16 + 1, "{way}"),
            }
            ends_well(&mut server, status);
        }
    }
}

#[test]
fn a_hundred_short_children_leave_the_parent_as_it_was() {
    for mode in MODES {
        let mut server = start("many", mode, &[]);
        assert_eq!(server.ready(), 0, "every child ended as it should, {mode:?}");
        let mut client = server.postgres();
        let parent = parent(&server, &mut client);
        let dead =
            format!("SELECT count(DISTINCT pid) FROM heapql.processes WHERE parent_pid = {parent} AND state = 'dead'");
        assert_eq!(client.query(&dead).number(), 100, "{mode:?}");
        if mode == (1, 1) {
            assert_eq!(live(&mut client, parent, 1009), 100);
        }
        server.say("");
        server.say("");
        assert_eq!(server.wait(), Ended::Status(5));
    }
}

#[test]
fn what_is_execed_is_not_recorded_with_children_0() {
    for (way, status) in FORKED.map(|way| (way, 21)).into_iter().chain(EXECED.map(|way| (way, 22))) {
        let mut server = start(way, (1, 1), &[("HEAPQL_CHILDREN", "0")]);
        let child = server.ready();
        let mut client = server.mysql();
        assert_eq!(client.query("SELECT count(*) FROM heapql.processes WHERE command = 'lineage execed'").number(), 0);
        let count = if status == 21 { 50 } else { 0 };
        assert_eq!(live(&mut client, child.into(), if status == 21 { 2003 } else { 3001 }), count, "{way}");
        ends_well(&mut server, status);
    }
}

/// The LD_PRELOAD of a shell's child, and the standard error of the shell.
fn seen_by_child(children: &str, preloaded: &str) -> (String, String) {
    let script = "printf '%s' \"$LD_PRELOAD\"; printf '|'; exec printenv LD_PRELOAD";
    let launch = Launch::run("/bin/sh", &["-c", script]).flag("--quiet").env("HEAPQL_CHILDREN", children);
    let output = tool(&mut launch.env("LD_PRELOAD", preloaded).command(), "");
    (output.stdout.trim_end().to_owned(), output.stderr)
}

#[test]
fn other_preloaded_libraries_are_passed_on_with_children_0() {
    let dir = crate::harness::scratch();
    let other = crate::harness::library(dir.path());
    let other = other.to_str().expect("UTF-8");
    assert_eq!(seen_by_child("0", other), (format!("{other}|{other}"), String::new()));
    assert_eq!(seen_by_child("0", ""), ("|".to_owned(), String::new()));
    let (seen, said) = seen_by_child("1", "");
    assert!(seen.contains("libheapql_preload"), "{seen}");
    assert_eq!(said, "");
}

#[test]
fn a_bad_value_for_children_is_a_line_on_stderr() {
    for bad in ["2", "no", "-1"] {
        let (seen, said) = seen_by_child(bad, "");
        assert!(seen.contains("libheapql_preload"), "{seen}");
        assert!(said.contains("HEAPQL_CHILDREN") && said.contains(bad), "{said}");
    }
}

#[test]
fn daemons_are_recorded_and_nothing_of_ours_is_in_their_files() {
    for (min, max) in MODES {
        let home = crate::harness::scratch();
        let path = |name: &str| home.path().join(name).to_str().expect("UTF-8").to_owned();
        let (report, go) = (path("report"), path("go"));
        // The directory of this run is known to the program only.
        let script = "exec \"$0\" \"$1\" \"$2\" \"$HEAPQL_DIR\"";
        let program = Program::new("daemon.c").path();
        let arguments = ["-c", script, program.to_str().expect("UTF-8"), &report, &go];
        let mut server = Launch::run("/bin/sh", &arguments).intervals(min, max).flag("--keep").start();
        let said = |what: &str| {
            eventually(&format!("{what} in the report"), || {
                let text = std::fs::read_to_string(&report).unwrap_or_default();
                text.contains(what).then_some(text)
            })
        };
        let line = eventually("the daemon's line", || Some(said("daemon ")).filter(|text| text.ends_with('\n')));
        let pid: i64 = line["daemon ".len()..].trim().parse().expect("a pid");
        let _end = EndsWithTest(pid);
        let mut client = server.mysql();
        if (min, max) == (1, 1) {
            assert_eq!(live(&mut client, pid, 2003), 100);
        }
        let state = format!("SELECT DISTINCT state FROM heapql.processes WHERE pid = {pid}");
        assert_eq!(client.query(&state).value(), "alive");
        std::fs::create_dir(&go).expect("a directory");
        assert_eq!(said("over\n"), format!("daemon {pid}\nchild 23\nover\n"), "{min}..{max}");
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        server.signal(libc::SIGTERM);
        server.wait();
    }
}

/// The daemon has left the process group that the harness ends.
struct EndsWithTest(i64);

impl Drop for EndsWithTest {
    fn drop(&mut self) {
        crate::harness::kill(i32::try_from(self.0).expect("a pid"), libc::SIGKILL);
    }
}
