//! What short processes leave behind where there is no server, and that no ledger goes that a process still writes, forked
//! and exec'ed ones included. The test is the program: it starts itself, as often as it takes.

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use heapql_ledger::{Intervals, Ledger};
use heapql_registry::{Registry, RegistrySettings, SourceState};
use heapql_sampler::SamplingAlloc;

#[global_allocator]
static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::held(System);

const ROLE: &str = "HEAPQL_TEST_ROLE";
const DIR: &str = "HEAPQL_TEST_DIR";
/// What a process that lives on holds.
const HELD: usize = 10_007;
/// Ledgers of the dead that are kept, and how many more may be there until some process looks.
const KEPT: usize = 256;
const MORE: usize = 64;

/// This program, recorded into `dir`.
fn program(role: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("known"));
    command.args(["--exact", "role", "--nocapture"]).env(ROLE, role).env(DIR, dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What a started program does; nothing if it is the test that runs.
#[test]
fn role() {
    let (Ok(role), Some(dir)) = (std::env::var(ROLE), std::env::var_os(DIR)) else {
        return;
    };
    heapql_sampler::start(dir.as_bytes(), Intervals::new(1, 1));
    let held = black_box(vec![1_u8; black_box(HELD)]);
    match role.as_str() {
        "ends" => std::process::exit(0),
        "execs" => {
            let error = program("waits", Path::new(&dir)).stdin(Stdio::inherit()).stdout(Stdio::inherit()).exec();
            panic!("{error}");
        }
        // The child lives on and has its parent's ledger mapped: it samples nothing that would give it one of its own.
        // SAFETY: the child makes two system calls.
        "forks" => unsafe {
            if libc::fork() == 0 {
                let mut byte = 0_u8;
                libc::write(1, c"\nready\n".as_ptr().cast(), 7);
                libc::read(0, (&raw mut byte).cast(), 1);
                libc::_exit(0);
            }
            libc::_exit(0);
        },
        _ => {
            println!("\nready");
            let _ = std::io::stdin().read(&mut [0]);
        }
    }
    drop(held);
    std::process::exit(0);
}

/// A program that waits until its input ends, or its child does.
fn start(role: &str, dir: &Path) -> Child {
    let mut child = program(role, dir).spawn().expect("it starts");
    let output = child.stdout.take().expect("piped");
    let is_ready = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "ready");
    assert!(is_ready, "{role}");
    child
}

fn ledgers(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("an entry").path()).collect()
}

fn run_short(dir: &Path, count: usize) {
    for _ in 0..count {
        let ended = program("ends", dir).stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(ended.expect("it starts").success());
    }
}

#[test]
fn a_thousand_short_processes_leave_a_bound() {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory where ledgers lie");
    let dir = dir.path();
    // Older than all others.
    let mut living: Vec<Child> = ["waits", "execs", "forks"].map(|role| start(role, dir)).into();
    // The parent is not only a zombie: it is gone. What its child waits for stays.
    let input = living[2].stdin.take();
    living[2].wait().expect("it has ended");
    // Of the one that called exec both images' ledgers are there; the first one's process is not dead.
    let mut old = ledgers(dir);
    assert_eq!(old.len(), 4);
    run_short(dir, 1_000);
    let left = ledgers(dir).len();
    assert!((KEPT..=old.len() + KEPT + MORE).contains(&left), "{left} files without a server");
    old.retain(|path| !path.exists());
    assert!(old.is_empty(), "of the living nothing is gone: {old:?}");

    // With a server beside it, which keeps as much.
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let registry = Registry::open(RegistrySettings::serving(dir.to_owned())).expect("readable");
            while !is_over.load(Relaxed) {
                registry.sources();
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        run_short(dir, 200);
        is_over.store(true, Relaxed);
    });
    let registry = Registry::open(RegistrySettings::read_only(dir.to_owned())).expect("readable");
    let mut alive = BTreeMap::new();
    for source in registry.sources().into_iter().filter(|source| source.state() == SourceState::Alive) {
        let callsites = source.callsites().expect("readable");
        let held = callsites.iter().filter(|callsite| callsite.counters.live_bytes == HELD as i64).count();
        alive.insert(source.pid(), held);
    }
    let living_pids = living.iter().take(2).map(|child| (child.id() as i32, 1));
    assert_eq!(alive, living_pids.collect(), "each is read, with what it holds");
    drop(input);
    for child in &mut living {
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }
    let bytes: u64 = ledgers(dir).iter().map(|path| Ledger::open(path).expect("valid").used_bytes()).sum();
    println!("{left} files, {bytes} bytes");
}
