//! The recorder beside others: allocators that a program links or preloads, wrappers of malloc before and behind it, and the
//! tools that look into a process. Objects never reach an allocator that did not make them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::host::can;
use crate::harness::{Ended, Launch, Output, Program, tool};

const MODES: [(u32, u32); 3] = [(10_000, 10_000), (16, 256), (1, 1)];
const INPUT: &str = "a line\n";

fn mixed() -> Program {
    Program::new("mixed.c").flags(&["-fno-builtin"])
}

/// Debian's libjemalloc2, libtcmalloc-minimal4 and libmimalloc2.0.
fn allocators() -> Vec<PathBuf> {
    ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"]
        .iter()
        .map(|name| Path::new("/usr/lib/x86_64-linux-gnu").join(name))
        .inspect(|path| assert!(path.exists(), "test.sh installs {}", path.display()))
        .collect()
}

fn wrapper() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    crate::harness::shared("wrapper.c", dir)
}

/// Runs a program behind `heapql run`, with the recorder first in LD_PRELOAD and `others` behind it.
fn recorded(program: &Path, arguments: &[&str], others: &str, (min, max): (u32, u32)) -> Output {
    let launch = Launch::run(program, arguments).intervals(min, max).flag("--quiet");
    let launch = if others.is_empty() { launch } else { launch.env("LD_PRELOAD", others) };
    tool(&mut launch.command(), INPUT)
}

/// The same with `others` before the recorder: a shell turns the list around.
fn recorded_behind(program: &Path, arguments: &[&str], others: &str, mode: (u32, u32)) -> Output {
    let script = "LD_PRELOAD=\"$1:$LD_PRELOAD\"; shift; export LD_PRELOAD; exec \"$@\"";
    let all = ["-c", script, "sh", others, program.to_str().expect("UTF-8")];
    recorded(Path::new("/bin/sh"), &[&all, arguments].concat(), "", mode)
}

#[test]
fn allocators_that_are_preloaded_too() {
    let program = mixed().path();
    for allocator in allocators() {
        let others = allocator.to_str().expect("UTF-8");
        let plain = tool(Command::new(&program).arg("aligned").env("LD_PRELOAD", others), INPUT);
        assert_eq!(plain.ok(), "all kept 7\n");
        for mode in MODES {
            assert_eq!(recorded(&program, &["aligned"], others, mode), plain, "{others} behind, {mode:?}");
            assert_eq!(recorded_behind(&program, &["aligned"], others, mode), plain, "{others} before, {mode:?}");
        }
    }
}

#[test]
fn allocators_that_are_linked() {
    for library in ["-l:libjemalloc.so.2", "-l:libtcmalloc_minimal.so.4", "-l:libmimalloc.so.2"] {
        let program = mixed().flags(&["-Wl,--no-as-needed", library]).path();
        let plain = tool(Command::new(&program).arg("aligned"), INPUT);
        assert_eq!(plain.ok(), "all kept 7\n");
        for mode in MODES {
            assert_eq!(recorded(&program, &["aligned"], "", mode), plain, "{library}, {mode:?}");
        }
    }
}

#[test]
fn the_programs_allocator_stays_its_own_and_its_samples_are_counted() {
    let script =
        "import sys; held = [bytes(100003) for _ in range(77)]; print('ready', flush=True); sys.stdin.readline()";
    for allocator in allocators() {
        let launch = Launch::run("/usr/bin/env", &["python3", "-c", script]).intervals(1, 1);
        let server = launch.env("LD_PRELOAD", &allocator).start();
        server.ready();
        let rows = crate::full_mode::rows_of_size(&mut server.mysql(), 100_036);
        assert_eq!(rows, [(77, 77 * 100_036)], "{}", allocator.display());
    }
}

#[test]
fn mimalloc_serves_what_is_not_sampled() {
    let launch = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1);
    let mut server = launch.flag("--allocator").flag("mimalloc").start();
    let pid = server.ready();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    assert!(maps.contains("libmimalloc"), "{maps}");
    server.order("malloc 100 1009");
    server.order("free malloc 40");
    assert_eq!(crate::full_mode::rows_of_size(&mut server.mysql(), 1009), [(60, 60 * 1009)]);
}

#[test]
fn wrappers_of_malloc_before_and_behind() {
    let (program, wrapper) = (mixed().path(), wrapper());
    let others = wrapper.to_str().expect("UTF-8");
    let plain = tool(Command::new(&program).env("LD_PRELOAD", others), INPUT);
    assert_eq!((plain.ok(), plain.stderr.as_str()), ("all kept 7\n", "wrapper: none was strange\n"));
    for mode in MODES {
        assert_eq!(recorded(&program, &[], others, mode).stdout, plain.stdout, "behind, {mode:?}");
        assert_eq!(recorded(&program, &[], others, mode).ended, Ended::Status(0), "behind, {mode:?}");
        let before = recorded_behind(&program, &[], others, mode);
        assert_eq!(
            (before.ok(), before.stderr.as_str()),
            ("all kept 7\n", "wrapper: none was strange\n"),
            "before, {mode:?}"
        );
    }
}

/// A tool's script, which finds the preload library in `$library` and the program in `$2`.
fn under(script: &str, mode: (u32, u32)) -> Output {
    let home = crate::harness::scratch();
    let prepared = format!("eval \"$(\"$1\" env)\"; library=$LD_PRELOAD; unset LD_PRELOAD; {script}");
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &prepared, "bash"]).arg(crate::harness::heapql()).arg(mixed().path());
    command.env("HEAPQL_DIR", home.path().join("ledgers"));
    tool(command.env("HEAPQL_MIN", mode.0.to_string()).env("HEAPQL_MAX", mode.1.to_string()), INPUT)
}

/// The same script without the recorder: whether the tool can do on this host what a test asks of it.
fn works_plain(script: &str) -> Command {
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &format!("library=; {script}"), "bash", ""]).arg(mixed().path());
    command
}

#[test]
fn valgrind() {
    // Memcheck puts its own functions in the place of ours, so nothing is recorded; what it reports would be ours.
    let script = "valgrind -q --error-exitcode=9 --leak-check=full --trace-children=yes env LD_PRELOAD=$library \"$2\"";
    if !can("run valgrind", &mut works_plain(script)) {
        return;
    }
    for mode in MODES {
        let output = under(script, mode);
        assert_eq!((output.ok(), output.stderr.as_str()), ("all kept 7\n", ""), "{mode:?}");
        // The other tools leave them be.
        assert_eq!(under(&script.replace("--leak-check=full", "--tool=none"), mode).ok(), "all kept 7\n", "{mode:?}");
    }
}

#[test]
fn gdb() {
    let script = "gdb -q -batch -nx -ex 'set startup-with-shell off' -ex \"set environment LD_PRELOAD $library\" \
                  -ex 'break getline' -ex run -ex 'print (long)malloc_usable_size((void *)malloc(10)) >= 10' \
                  -ex 'print (long)malloc(100000) > 0' -ex bt -ex delete -ex continue \"$2\" 2>&1";
    // A call of a function writes registers, which not every gdb can on every processor: gdb says so and exits well.
    let called = format!(
        "said=$({script}); tail -n 1 <<<\"$said\"; grep -q 'exited normally' <<<\"$said\" && \
                          if grep -F \"Couldn't write\" <<<\"$said\"; then false; fi"
    );
    if !can("call a program's functions from gdb", &mut works_plain(&called)) {
        return;
    }
    for mode in MODES {
        let output = under(script, mode);
        let said = output.ok();
        for part in ["$1 = 1\n", "$2 = 1\n", "all kept", "exited normally"] {
            assert!(said.contains(part), "{mode:?}: {said}");
        }
    }
}

#[test]
fn strace() {
    let script = "strace -f -o /dev/null env LD_PRELOAD=$library \"$2\"";
    if !can("run strace", &mut works_plain(script)) {
        return;
    }
    for mode in MODES {
        let output = under(script, mode);
        assert_eq!((output.ok(), output.stderr.as_str()), ("all kept 7\n", ""), "{mode:?}");
    }
}
