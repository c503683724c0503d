//! Captures inside programs of this machine, each compared with what libgcc finds (see
//! `examples/real_programs/`, which is preloaded). Programs that are not installed are passed over.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

macro_rules! program {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/stacks/programs/", $name)
    };
}

/// A program, its arguments, and one in how many calls is compared. `benches/stacks/run.py` does more of the same.
const PROGRAMS: [(&str, &[&str], u32); 8] = [
    ("ls", &["-la", "/"], 1),
    ("perl", &[program!("words.pl"), "2"], 97),
    ("/usr/bin/python3", &[program!("objects.py"), "1"], 397),
    ("ruby", &[program!("words.rb"), "1"], 97),
    // The preprocessor, the compiler proper and the assembler are recorded too.
    ("cc", &["-O2", "-S", "-o", "/dev/null", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/frames.c")], 37),
    ("git", &["--no-pager", "diff", "--no-index", "/etc/passwd", "/etc/group"], 1),
    ("sqlite3", &[":memory:", concat!(".read ", program!("tables.sql"))], 997),
    ("bash", &["-c", "for i in 1 2 3; do echo $(echo $i); done"], 3),
];

/// Builds the library, which `cargo test` has done already unless it was told to build this test only.
fn library() -> PathBuf {
    let directory = std::env::current_exe().expect("a path");
    let profile = directory.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let library = profile.join("examples/libreal_programs.so");
    if !library.exists() {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--example", "real_programs"])
            .arg("--target-dir")
            .arg(profile.parent().expect("target"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.expect("cargo").success());
    }
    library
}

/// The counts of all processes of one run, by name, and the report; None if the program is not installed.
fn run(program: &str, arguments: &[&str], how: (&str, u32)) -> Option<(HashMap<String, u64>, String)> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}.report", how.0));
    let _ = std::fs::remove_file(&report);
    let status = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", library())
        .env("PYTHONMALLOC", "malloc")
        .env("HEAPQL_UNWIND_REPORT", &report)
        .env(how.0, how.1.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .ok()?;
    assert!(status.code().is_some_and(|code| code < 2), "{program}: {status}");
    let report = std::fs::read_to_string(report).expect("a report");
    let mut counts = HashMap::new();
    for line in report.lines().filter_map(|line| line.strip_prefix("counts ")) {
        for (name, count) in line.split(' ').filter_map(|word| word.split_once('=')) {
            *counts.entry(name.to_owned()).or_default() += count.parse::<u64>().expect("a number");
        }
    }
    Some((counts, report))
}

/// Ours and libgcc's frames are the same in 99 of 100 captures, at least.
fn assert_agreement(program: &str, counts: &HashMap<String, u64>, report: &str) {
    println!("{program}: {counts:?}");
    let differing: u64 = ["different", "shorter", "longer"].iter().map(|verdict| counts[*verdict]).sum();
    assert!(counts["frames"] > 5 * counts["compared"], "{program}: {report}");
    assert!(differing * 100 <= counts["compared"], "{program}: {report}");
    assert_eq!(counts["misremembered"], 0, "{program}: {report}");
}

#[test]
fn captures_at_calls_are_libgccs_frame_by_frame() {
    let mut programs = 0;
    for (program, arguments, every) in PROGRAMS {
        if let Some((counts, report)) = run(program, arguments, ("HEAPQL_UNWIND_EVERY", every)) {
            assert_agreement(program, &counts, &report);
            assert!(counts["compared"] > 20, "{program}: {report}");
            programs += 1;
        }
    }
    assert!(programs >= 3, "only {programs} of the programs are installed");
}

#[test]
fn captures_at_any_instruction_are_libgccs_frame_by_frame() {
    // A machine that is busy delivers few signals.
    let mut compared = 0;
    for (program, arguments, _) in PROGRAMS {
        // The others' processes end, and begin, by exec: signals and what is started do not go together.
        if !["perl", "/usr/bin/python3", "ruby", "sqlite3"].contains(&program) {
            continue;
        }
        if let Some((counts, report)) = run(program, arguments, ("HEAPQL_UNWIND_MICROSECONDS", 150)) {
            assert_agreement(program, &counts, &report);
            compared += counts["compared"];
        }
    }
    assert!(compared > 20, "{compared}");
}
