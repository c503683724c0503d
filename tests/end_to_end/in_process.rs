//! Everything odd inside one process: threads, signals, stacks, libraries, the rules of the C library. Each
//! program checks itself; what it says is live is compared with its ledger.

use std::collections::BTreeMap;
use std::process::Command;

use crate::harness::{Ended, Ledger, Program, library, scratch, tool};

const ZERO: (u32, u32) = (10_000, 10_000);
const NORMAL: (u32, u32) = (16, 256);
const FULL: (u32, u32) = (1, 1);

/// The sizes and numbers of the objects that a program says it leaves.
fn truth(stdout: &str) -> BTreeMap<i64, i64> {
    let pair = |line: &str| {
        let (bytes, count) = line.strip_prefix("live ")?.split_once(' ')?;
        Some((bytes.parse().ok()?, count.parse().ok()?))
    };
    stdout.lines().filter_map(pair).collect()
}

fn assert_holds(ledger: &Ledger, what: &str, forgiven: &[&str]) {
    let said = format!("{what}: {:?}\n{}{}", ledger.ended, ledger.stdout, ledger.stderr);
    assert_eq!((ledger.ended, ledger.stdout.lines().last()), (Ended::Status(0), Some("all hold")), "{said}");
    // Where the program leaves the recorder no memory, that is said once.
    let may_say = |line: &&str| forgiven.contains(&"pool_full") && line.starts_with("heapql: no memory or addresses");
    let unexpected: Vec<_> = ledger.stderr.lines().filter(|line| !may_say(line)).collect();
    assert!(unexpected.is_empty(), "{said}");
}

/// Runs a program plain and in three modes. In full mode its ledger holds exactly what it left; only losses for the
/// `forgiven` reasons are allowed.
fn assert_survives(program: Program, arguments: &[&str], forgiven: &[&str]) {
    let path = program.path();
    let command = || {
        let mut command = Command::new(&path);
        command.args(arguments);
        command
    };
    let plain = tool(&mut command(), "");
    assert_eq!(plain.ok().lines().last(), Some("all hold"), "without a recorder: {}", plain.stdout);
    for intervals in [ZERO, NORMAL, FULL] {
        let what = format!("{} in mode {intervals:?}", path.display());
        let ledger = Ledger::of(command(), intervals);
        assert_holds(&ledger, &what, forgiven);
        for (bytes, count) in truth(&ledger.stdout) {
            let recorded = ledger.live.get(&bytes).copied().unwrap_or(0);
            match intervals {
                ZERO => assert_eq!(recorded, 0, "{what}: objects of {bytes} bytes"),
                FULL => assert_eq!(recorded, count, "{what}: objects of {bytes} bytes; {:?}", ledger.losses),
                _ => assert!(recorded <= count, "{what}: {recorded} of {count} objects of {bytes} bytes"),
            }
        }
        let losses: Vec<_> = ledger.losses.keys().filter(|reason| !forgiven.contains(&reason.as_str())).collect();
        assert!(losses.is_empty(), "{what}: {:?}", ledger.losses);
    }
}

fn checked(source: &'static str) -> Program {
    Program::new(source).flags(&["-fno-builtin"])
}

#[test]
fn odd_threads() {
    // The entry of a thread that was cloned has no call frame information.
    assert_survives(checked("threads_odd.c"), &[], &["stack_truncated"]);
}

#[test]
fn handlers_that_allocate() {
    // While the program forks, other threads wait for what fork holds, but not for long.
    assert_survives(checked("signals_alloc.c"), &[], &["contended"]);
}

#[test]
fn before_main_and_after_it() {
    assert_survives(checked("early_late.c"), &[], &[]);
}

#[test]
fn libraries_that_come_and_go_a_thousand_times() {
    let dir = scratch();
    let library = library(dir.path());
    assert_survives(checked("dlopen_odd.c"), &[library.to_str().expect("UTF-8")], &["stack_truncated"]);
}

#[test]
fn stacks_of_no_thread() {
    assert_survives(checked("coroutines.c"), &[], &["stack_truncated"]);
}

#[test]
fn exceptions_and_coroutines_of_cplusplus() {
    // The dynamic linker calls the C++ library's constructor from code without call frame information.
    assert_survives(checked("unwinding.cpp").flags(&["-std=c++20"]), &[], &["stack_truncated"]);
}

#[test]
fn every_form_of_operator_new() {
    assert_survives(checked("new_forms.cpp").flags(&["-std=c++20"]), &[], &["pool_full", "stack_truncated"]);
}

#[test]
fn sizes_alignments_and_contents() {
    // What cannot be had, or is aligned to more than a MiB, does not fit into the pool.
    assert_survives(checked("contracts.c"), &[], &["pool_full"]);
}

#[test]
fn what_the_c_library_allocates_can_be_freed() {
    assert_survives(checked("libc_users.c"), &[], &[]);
}

/// By handle, not by name: what `ctypes` finds there is libc's, and it is given what another library allocated.
#[test]
fn python_frees_with_libcs_own_free() {
    let script = "import ctypes\n\
        libc, all = ctypes.CDLL('libc.so.6'), ctypes.CDLL(None)\n\
        for lib in (libc, all):\n    lib.strdup.restype = lib.malloc.restype = ctypes.c_void_p\n\
        for i in range(500):\n    \
            libc.free(ctypes.c_void_p(all.strdup(b'text'))); all.free(ctypes.c_void_p(libc.malloc(100)))\n\
        print('all hold')";
    for intervals in [ZERO, NORMAL, FULL] {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", script]);
        assert_holds(&Ledger::of(command, intervals), "python3", &[]);
    }
}

#[test]
fn what_is_not_an_object_ends_the_program_with_a_message() {
    let path = checked("mistakes.c").path();
    for mistake in ["double", "double_large", "inside", "foreign", "realloc_freed"] {
        // glibc unmaps what is large, and is ended by the second unmapping.
        let modes = if mistake == "double_large" { vec![FULL] } else { vec![ZERO, FULL] };
        for intervals in modes {
            let mut command = Command::new(&path);
            command.arg(mistake);
            let ledger = Ledger::of(command, intervals);
            let said = format!("{mistake} in mode {intervals:?}: {ledger:?}");
            assert_eq!(ledger.ended, Ended::Signal(libc::SIGABRT), "{said}");
            assert!(["free()", "realloc()"].iter().any(|name| ledger.stderr.contains(name)), "{said}");
        }
    }
}

#[test]
fn a_sample_takes_little_stack() {
    // Bound at the start: what the dynamic linker needs of the stack when a function is first called is not ours.
    let ledger = Ledger::of(Command::new(checked("stack_use.c").flags(&["-Wl,-z,now"]).path()), FULL);
    assert_holds(&ledger, "stack_use", &[]);
    println!("{}", ledger.stdout);
    let mut measured = 0;
    for line in ledger.stdout.lines() {
        let Some((way, bytes)) = line.split_once(' ').and_then(|(way, bytes)| Some((way, bytes.parse::<u32>().ok()?)))
        else {
            continue;
        };
        let bound = match way {
            "opening" => 5 << 10,
            // Mostly thread-local storage.
            "idle" => 14 << 10,
            _ => 4 << 10,
        };
        assert!(bytes > 0 && bytes <= bound, "{way} takes {bytes} bytes of stack");
        measured += 1;
    }
    assert_eq!(measured, 10, "{}", ledger.stdout);
}
