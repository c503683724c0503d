//! Ledgers of unmodified programs without a server: their number is bounded, and no ledger of a living program goes, whatever
//! pid namespace it is in. `crates/sampler/tests/retention.rs` has the rest.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::host::{can, left_out};
use crate::harness::{Ended, eventually, record_into, scratch, tool};

/// Ledgers of the dead that are kept, and how many more there may be until some process looks.
const KEPT: usize = 256;
const MORE: usize = 64;
/// Processes in a pid namespace of their own.
const OTHERS: u32 = 30;

fn ledgers(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "heapql")).collect()
}

/// A program that is recorded until the test ends it.
struct Living(Child);

impl Drop for Living {
    fn drop(&mut self) {
        // Its input ends, and so does it, and every process that waits for it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn start(dir: &Path, program: &[&str]) -> Living {
    let mut command = Command::new(program[0]);
    record_into(&mut command, dir, (16, 256));
    let before = ledgers(dir).len();
    let child = command.args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let living = Living(child.expect("it starts"));
    eventually("its ledger", || (ledgers(dir).len() > before).then_some(()));
    living
}

#[test]
fn a_thousand_programs_leave_a_bound_without_a_server() {
    let home = scratch();
    let dir = home.path().join("ledgers");
    let mut living = vec![start(&dir, &["cat"]), start(&dir, &["sh", "-c", "cat; exit 0"])];
    let mut old: Vec<u32> = living.iter().map(|living| living.0.id()).collect();
    if can("make a pid namespace", Command::new("unshare").args(["--pid", "--fork", "true"])) {
        let many = format!("for i in {}; do sleep 1000 & done; cat; exit 0", "x ".repeat(OTHERS as usize));
        living.push(start(&dir, &["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", &many]));
        // Outside their pid namespace their numbers belong to other processes, or to none.
        for pid in 1..=OTHERS {
            eventually("a ledger of each", || of(&dir, pid).pop());
            old.push(pid);
        }
        if (1..=OTHERS).all(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
            left_out("all numbers of the other pid namespace are taken in this one: its processes look alive");
        }
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done"]);
    record_into(&mut shell, &dir, (16, 256));
    let output = tool(&mut shell, "");
    assert_eq!((output.ended, output.stderr.as_str()), (Ended::Status(0), ""));
    let left = ledgers(&dir).len();
    assert!((KEPT..=KEPT + MORE + 2 * OTHERS as usize).contains(&left), "{left} ledgers");
    // That of an image which called exec may be gone, its present one's not.
    for pid in old {
        assert!(!of(&dir, pid).is_empty(), "process {pid} lives and has no ledger");
    }
}

fn number(path: &Path) -> u32 {
    let name = path.file_name().and_then(|name| name.to_str()).expect("ASCII");
    name.split('-').next().and_then(|pid| pid.parse().ok()).expect("a pid")
}

fn of(dir: &Path, pid: u32) -> Vec<PathBuf> {
    ledgers(dir).into_iter().filter(|path| number(path) == pid).collect()
}
