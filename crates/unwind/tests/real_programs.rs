//! Captures inside `malloc` of programs of this machine, each compared with what libgcc finds (see
//! `examples/real_programs.rs`, which is preloaded). Programs that are not installed are passed over.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program, its arguments, and one in how many allocations is compared.
const PROGRAMS: [(&str, &[&str], u32); 7] = [
    ("ls", &["-la", "/"], 1),
    ("perl", &["-e", "my %h; $h{$_} = 'x' x ($_ % 50) for 1..2000; print sort { $a <=> $b } keys %h"], 7),
    ("python3", &["-c", PYTHON], 37),
    // The preprocessor, the compiler proper and the assembler are recorded too.
    ("cc", &["-O2", "-S", "-o", "/dev/null", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/frames.c")], 37),
    ("git", &["--no-pager", "diff", "--no-index", "/etc/passwd", "/etc/group"], 1),
    ("sqlite3", &[":memory:", "create table t(a); insert into t values (1),(2); select sum(a) from t"], 1),
    ("bash", &["-c", "for i in 1 2 3; do echo $(echo $i); done"], 3),
];

const PYTHON: &str = "
import json, threading
work = lambda: [json.loads(json.dumps({'a': list(range(50)), 'b': 'c'})) for _ in range(20)]
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
";

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

/// The counts of all processes of one run, by name; None if the program is not installed.
fn run(library: &Path, program: &str, arguments: &[&str], every: u32) -> Option<Vec<(String, u64)>> {
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{program}.report"));
    let _ = std::fs::remove_file(&report);
    let status = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", library)
        .env("PYTHONMALLOC", "malloc")
        .env("HEAPQL_UNWIND_REPORT", &report)
        .env("HEAPQL_UNWIND_EVERY", every.to_string())
        .stdout(Stdio::null())
        .status()
        .ok()?;
    assert!(status.code().is_some_and(|code| code < 2), "{program}: {status}");
    let report = std::fs::read_to_string(report).expect("a report");
    let mut counts: Vec<(String, u64)> = Vec::new();
    for (name, count) in report.split_whitespace().filter_map(|word| word.split_once('=')) {
        let count = count.parse().unwrap_or_else(|_| panic!("{program}: {report}"));
        match counts.iter_mut().find(|known| known.0 == name) {
            Some(known) => known.1 += count,
            None => counts.push((name.to_owned(), count)),
        }
    }
    assert!(!report.contains("ours"), "{program}: {report}");
    Some(counts)
}

#[test]
fn captures_in_real_programs_are_libgccs_frame_by_frame() {
    let library = library();
    let mut programs = 0;
    for (program, arguments, every) in PROGRAMS {
        let Some(counts) = run(&library, program, arguments, every) else {
            continue;
        };
        let count = |name| counts.iter().find(|count| count.0 == name).map_or(0, |count| count.1);
        println!("{program}: {counts:?}");
        assert!(count("compared") > 5 && count("frames") > 5 * count("compared"), "{program}: {counts:?}");
        for verdict in ["different", "shorter", "longer", "misremembered"] {
            assert_eq!(count(verdict), 0, "{program}: {verdict}");
        }
        programs += 1;
    }
    assert!(programs >= 3, "only {programs} of the programs are installed");
}
