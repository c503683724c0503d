//! A program that is killed at any instant, and a ledger that is overwritten with garbage while its program runs.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Ended, Launch, Lines, Output, Program, heapql, ledger_files, scratch, tool};

const THREADS: u64 = 3;

/// A directory for ledgers, and the library that writes them.
struct Home {
    dir: tempfile::TempDir,
    library: String,
}

impl Home {
    fn new() -> Home {
        let dir = scratch();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "eval \"$(\"$0\" env)\"; printf %s \"$LD_PRELOAD\""]).arg(heapql());
        let library = tool(command.env("HEAPQL_DIR", dir.path().join("ledgers")), "").ok().to_owned();
        Home { dir, library }
    }

    fn ledgers(&self) -> PathBuf {
        self.dir.path().join("ledgers")
    }

    /// Reads the ledgers. A server that is found here might end while it is asked.
    fn sql(&self, query: &str) -> Output {
        let mut command = Command::new(heapql());
        command.args(["sql", "--server", "off", query, "-f", "csv"]).env("HEAPQL_DIR", self.ledgers());
        tool(&mut command, "")
    }
}

/// `truth.c`, recorded.
struct Truth<'a> {
    home: &'a Home,
    file: PathBuf,
    child: Child,
    lines: Lines,
}

impl Truth<'_> {
    fn start(home: &Home, min: u32, max: u32) -> Truth<'_> {
        let file = home.dir.path().join("truth");
        let mut command = Command::new(Program::new("truth.c").path());
        command.arg(&file).env("LD_PRELOAD", &home.library).env("HEAPQL_DIR", home.ledgers()).process_group(0);
        command.env("HEAPQL_MIN", min.to_string()).env("HEAPQL_MAX", max.to_string());
        let _ = std::fs::remove_file(&file);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program");
        let lines = Lines::of(child.stdout.take().expect("its output is piped"));
        assert_eq!(lines.next().as_deref(), Some("ready"));
        Truth { home, file, child, lines }
    }

    fn ledger(&self) -> PathBuf {
        let name = format!("{}-", self.child.id());
        let is_own = |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
        ledger_files(&self.home.ledgers()).into_iter().find(is_own).expect("the program's ledger")
    }

    /// The live objects by the program's own account, but for the operations under way.
    fn live(&self) -> u64 {
        let words = std::fs::read(&self.file).expect("the truth");
        let word = |at: usize| u64::from_ne_bytes(words[at..at + 8].try_into().expect("eight bytes"));
        (0..THREADS as usize).map(|thread| word(thread * 64) - word(thread * 64 + 8)).sum()
    }

    fn ends_well(mut self) {
        drop(self.child.stdin.take());
        let ended = crate::harness::eventually("the program to end", || self.child.try_wait().expect("ours"));
        assert_eq!(Ended::from(ended), Ended::Status(5));
        assert_eq!(self.lines.next(), None);
    }
}

impl Drop for Truth<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn killed_at_any_instant_the_counts_are_right_but_for_what_was_under_way() {
    let home = Home::new();
    let mut lives = Vec::new();
    for round in 0..30_u64 {
        let mut truth = Truth::start(&home, 1, 1);
        // Not a wait for anything: the instants differ.
        std::thread::sleep(Duration::from_micros(997 * round));
        truth.child.kill().expect("it runs");
        truth.child.wait().expect("it ends");
        lives.push((truth.child.id(), truth.live()));
    }
    // Under way, one object of a callsite may be counted and its bytes not, or the reverse.
    let answer = home.sql(
        "SELECT pid, sum(sampled_live_count) FROM heapql.callsites \
         WHERE abs(sampled_live_bytes - sampled_live_count * 1009) <= 3 * 1009 AND sampled_live_bytes >= 1009 GROUP BY pid",
    );
    let counted: HashMap<u32, u64> = answer
        .ok()
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(pid, count)| (pid.parse().expect("a pid"), count.parse().expect("a number")))
        .collect();
    for (pid, live) in lives {
        let counted = counted.get(&pid).copied().unwrap_or(0);
        assert!(counted.abs_diff(live) <= THREADS, "{pid}: {counted} counted, {live} live");
    }
    let readable = home.sql("SELECT count(DISTINCT pid) FROM heapql.processes WHERE state = 'dead'");
    assert_eq!(readable.ok().lines().last(), Some("30"));
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }
}

/// Overwrites `count` words of the ledger, half of them in its header and tables, with what is worst for arithmetic.
fn scribble(ledger: &Path, random: &mut Random, count: usize) {
    const WORST: [u64; 8] = [0, 1, 7, u64::MAX, 1 << 63, (1 << 63) - 1, 0xffff_ffff, 0x0101_0101_0101_0101];
    let file = File::options().write(true).open(ledger).expect("the ledger");
    for _ in 0..count {
        let end = [4096, 70_000, 300_000, 30 << 20][(random.next() % 4) as usize];
        let word = if random.next().is_multiple_of(3) { random.next() } else { WORST[(random.next() % 8) as usize] };
        let at = random.next() % (end / 8) * 8;
        file.write_all_at(&word.to_ne_bytes(), at).expect("written");
    }
}

#[test]
fn garbage_in_its_ledger_harms_neither_the_program_nor_readers() {
    for (seed, (min, max)) in [(16, 256), (1, 1), (10_000, 10_000)].into_iter().enumerate() {
        let home = Home::new();
        let truth = Truth::start(&home, min, max);
        let (ledger, mut random) = (truth.ledger(), Random(seed as u64));
        for round in 0..60 {
            scribble(&ledger, &mut random, 200);
            if round % 20 == 0 {
                let answer = home.sql("SELECT * FROM processes; SELECT * FROM callsites; SELECT * FROM self_usage");
                assert_eq!(answer.ended, Ended::Status(0), "{}", answer.stderr);
                assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        truth.ends_well();
    }
}

#[test]
fn a_ledger_may_be_deleted_while_its_program_runs() {
    let home = Home::new();
    let truth = Truth::start(&home, 1, 1);
    std::fs::remove_file(truth.ledger()).expect("it is there");
    std::fs::remove_dir_all(home.ledgers()).expect("it is there");
    std::thread::sleep(Duration::from_millis(50));
    truth.ends_well();
}

#[test]
fn readers_at_once_disturb_neither_each_other_nor_the_program() {
    let home = Home::new();
    let truth = Truth::start(&home, 1, 1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..3 {
                    home.sql("SELECT count(*), sum(sampled_live_count) FROM heapql.callsites").ok();
                }
            });
        }
        let launch = Launch::run("/bin/true", &[]).env("HEAPQL_DIR", home.ledgers());
        tool(&mut launch.command(), "").ok();
    });
    truth.ends_well();
}
