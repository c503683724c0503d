//! Programs that shut themselves in: system call filters, another root, another user, limits. What they print and how they
//! end is what it is without the recorder, what they held before is still counted exactly, and nothing is said about a child
//! that cannot be recorded.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::full_mode::rows_of_size;
use crate::harness::host::{can_mount, is_root};
use crate::harness::{Ended, Launch, Output, Program, tool};

const MODES: [(u32, u32); 3] = [(10_000, 10_000), (16, 256), (1, 1)];

/// Runs a program plain, then recorded in every mode; returns what it left plain.
fn assert_unchanged(program: &Path, arguments: &[&str], modes: &[(u32, u32)]) -> Output {
    let plain = tool(Command::new(program).args(arguments), "\n");
    for &(min, max) in modes {
        let launch = Launch::run(program, arguments).intervals(min, max).flag("--quiet");
        let recorded = tool(&mut launch.command(), "\n");
        assert_eq!(recorded, plain, "{} {arguments:?} recorded with {min}..{max}", program.display());
    }
    plain
}

#[test]
fn system_call_filters() {
    let program = Program::new("sandbox.c").flags(&["-fno-builtin"]).path();
    // What glibc's malloc may call is what the recorder calls after the start; a filter that ends the program for it leaves
    // zero mode only, which calls nothing.
    let filters = [
        ("errno", "narrow", &MODES[..]),
        ("errno", "malloc", &MODES),
        ("kill", "malloc", &MODES),
        ("kill", "narrow", &MODES[..1]),
    ];
    for (action, calls, modes) in filters {
        for when in ["before", "after"] {
            let plain = assert_unchanged(&program, &[when, action, calls, "20000"], modes);
            assert_eq!(plain.ended, Ended::Status(7), "{plain:?}");
        }
    }
}

/// Runs `confined.c` in every mode; in full mode looks at what it holds before it ends.
fn confined(arguments: &[&str]) {
    let program = Program::new("confined.c").flags(&["-fno-builtin"]).path();
    let plain = assert_unchanged(&program, arguments, &MODES);
    assert_eq!(plain.stdout, "ready 1 50 50\n", "{arguments:?}: {}", plain.stderr);
    assert_eq!(plain.ended, Ended::Status(5));
    let mut server = Launch::run(&program, arguments).intervals(1, 1).start();
    assert_eq!(format!("{}\n", server.hear()), plain.stdout);
    let mut client = server.postgres();
    for (bytes, count) in [(1009, 100), (2003, 50)] {
        assert_eq!(rows_of_size(&mut client, bytes), [(count, count * bytes)], "{arguments:?}");
    }
    server.say("");
    assert_eq!(server.wait(), Ended::Status(5));
}

#[test]
fn another_user_after_the_start() {
    if is_root() {
        confined(&["drop"]);
    }
}

#[test]
fn another_root_after_the_start() {
    if is_root() {
        let empty = crate::harness::scratch();
        let path = empty.path().to_str().expect("UTF-8");
        confined(&["chroot", path]);
        assert_eq!(std::fs::read_dir(path).expect("a directory").count(), 0, "nothing of ours is left in it");
    }
}

#[test]
fn limits_after_the_start() {
    for (resource, bytes) in
        [("fsize", "0"), ("fsize", "100000"), ("nofile", "3"), ("memlock", "0"), ("as", "1000000000")]
    {
        confined(&["limit", resource, bytes]);
    }
}

#[test]
fn a_mount_namespace_without_a_place_to_write() {
    if !can_mount() {
        return;
    }
    // Before the program starts, where its ledger would lie is covered, and later read-only.
    for options in ["", "-o ro"] {
        let script = format!("mount -t tmpfs {options} none /dev/shm && exec \"$0\"");
        let program = Program::new("exact.c").path();
        let inner = ["-m", "/bin/sh", "-c", &script, program.to_str().expect("UTF-8")];
        for (min, max) in MODES {
            let launch = Launch::run("/usr/bin/unshare", &inner).intervals(min, max);
            let output = tool(&mut launch.command(), "malloc 5000 100\nfree malloc 4000\nquit\n");
            assert_eq!(output.ended, Ended::Status(0), "{}", output.stderr);
            assert!(output.stdout.ends_with("\nok\nok\n"), "{}", output.stdout);
        }
    }
}

/// A copy of `rules.c`, on a file system where set-user-id counts, for the test to change its mode.
fn privileged(name: &str) -> PathBuf {
    let program = Program::new("rules.c").flags(&["-fno-builtin"]).path();
    let copy = program.with_file_name(name);
    std::fs::copy(&program, &copy).expect("a copy");
    copy
}

#[test]
fn programs_with_rights_of_their_own_are_not_recorded() {
    if !is_root() {
        return;
    }
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755)] {
        let program = privileged(name);
        std::os::unix::fs::chown(&program, Some(65_534), Some(65_534)).expect("another owner");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).expect("another mode");
        let launch = Launch::run(&program, &[]).intervals(1, 1);
        let output = tool(&mut launch.command(), "");
        assert_eq!(output.ok(), "all hold\n");
        assert!(output.stderr.contains("the rights of another"), "run says why there are no rows: {}", output.stderr);
        // Started by a recorded program it is as silent as the loader.
        let launch =
            Launch::run("/bin/sh", &["-c", "\"$0\"; exit 3", program.to_str().expect("UTF-8")]).flag("--quiet");
        let output = tool(&mut launch.intervals(1, 1).command(), "");
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("all hold\n", ""));
        assert_eq!(output.ended, Ended::Status(3));
    }
}
