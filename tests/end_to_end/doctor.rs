//! `heapql doctor PROGRAM` and `--pid`: programs of every kind that is recorded badly or not at all, really built, and what
//! is said about each.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{Ended, Launch, heapql, scratch, tool};

const MAIN: &str = "#include <stdlib.h>\nint main(void) { return malloc(10) == 0; }\n";

struct Bench {
    home: TempDir,
}

impl Bench {
    fn new() -> Bench {
        // Not in memory, which may be mounted noexec.
        Bench { home: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn build(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let path = self.path(name);
        let mut command = Command::new("cc");
        command.args(["-O1", "-x", "c", "-", "-o"]).arg(&path).args(flags);
        tool(&mut command, source).ok();
        path
    }

    fn change(&self, command: &[&str], path: &Path) {
        tool(Command::new(command[0]).args(&command[1..]).arg(path).current_dir(self.home.path()), "").ok();
    }

    /// The report about a program, and whether something failed.
    fn doctor(&self, arguments: &[&str]) -> (String, bool) {
        let mut command = Command::new(heapql());
        command.arg("doctor").args(arguments).env("HEAPQL_DIR", self.path("ledgers"));
        let said = tool(&mut command, "");
        assert!(matches!(said.ended, Ended::Status(0 | 1)), "{}", said.stderr);
        let has_failed = said.stdout.lines().any(|line| line.starts_with("fail "));
        assert_eq!(said.ended, Ended::Status(i32::from(has_failed)), "{}", said.stdout);
        (said.stdout, has_failed)
    }

    /// The line of one check.
    fn line(&self, program: &Path, check: &str) -> String {
        let (said, _) = self.doctor(&[program.to_str().expect("text")]);
        line(&said, check).unwrap_or_else(|| panic!("{check}: {said}"))
    }
}

fn line(said: &str, check: &str) -> Option<String> {
    let is_it = |line: &&str| line.get(6..).is_some_and(|rest| rest.starts_with(&format!("{check} ")));
    said.lines().find(is_it).map(str::to_owned)
}

#[track_caller]
fn assert_says(line: &str, verdict: &str, word: &str) {
    assert!(line.starts_with(verdict) && line.contains(word), "{verdict} .. {word}: {line}");
}

#[test]
fn a_good_program_has_nothing_but_ok() {
    let bench = Bench::new();
    let path = bench.build("good", MAIN, &["-g", "-Wl,--build-id"]);
    let (said, has_failed) = bench.doctor(&[path.to_str().expect("text")]);
    assert!(!has_failed);
    for check in ["program", "linkage", "glibc", "allocator", "stacks", "names", "build-id", "directory", "recording"] {
        assert_says(&line(&said, check).unwrap_or_default(), "ok", "");
    }
}

#[test]
fn what_the_loader_does_not_map_the_recorder_into() {
    let bench = Bench::new();
    let check = |path: &Path, word: &str| assert_says(&bench.line(path, "linkage"), "fail", word);
    check(&bench.build("static", MAIN, &["-static"]), "statically linked");
    check(&bench.build("static-pie", MAIN, &["-static-pie"]), "statically linked");
    check(&bench.build("musl", MAIN, &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]), "another C library");
    check(&bench.build("sanitized", MAIN, &["-fsanitize=address"]), "sanitizer");
    let other = bench.build("other", MAIN, &[]);
    let mut bytes = std::fs::read(&other).expect("read");
    // EI_CLASS: 32 bits.
    bytes[4] = 1;
    std::fs::write(&other, bytes).expect("written");
    check(&other, "another machine or word size");
    let set = bench.build("set", MAIN, &[]);
    std::fs::set_permissions(&set, std::fs::Permissions::from_mode(0o4755)).expect("changed");
    assert_says(&bench.line(&set, "rights"), "warn", "setuid");
    // Only root can make it somebody else's.
    if std::os::unix::fs::chown(&set, Some(65534), None).is_ok() {
        std::fs::set_permissions(&set, std::fs::Permissions::from_mode(0o4755)).expect("changed");
        check(&set, "setuid");
    }
}

#[test]
fn allocators_that_are_linked_in() {
    let bench = Bench::new();
    let own = "#include <stddef.h>\nstatic char pool[1 << 20]; static size_t used;\n\
               ATTRIBUTE void *malloc(size_t n) { used += n; return pool + used - n; }\nvoid free(void *p) {}\n\
               int main(void) { return malloc(10) == 0; }\n";
    let check = |path: &Path, verdict: &str, word: &str| assert_says(&bench.line(path, "allocator"), verdict, word);
    check(&bench.build("own", own, &["-DATTRIBUTE=", "-rdynamic", "-fno-builtin"]), "fail", "its own");
    let hidden = ["-DATTRIBUTE=__attribute__((visibility(\"hidden\"),noinline))", "-fno-builtin"];
    check(&bench.build("hidden", own, &hidden), "fail", "hidden");
    for (function, name) in [("je_malloc", "jemalloc"), ("tc_malloc", "tcmalloc"), ("mi_malloc", "mimalloc")] {
        let source = format!("#include <stdlib.h>\nvoid *{function}(size_t n) {{ return malloc(n); }}\n{MAIN}");
        check(&bench.build(name, &source, &[]), "warn", name);
        let both = format!("{}void *{function}(size_t n) {{ return malloc(n); }}\n", own);
        check(&bench.build(name, &both, &["-DATTRIBUTE=", "-rdynamic", "-fno-builtin"]), "fail", name);
    }
    check(&bench.build("plain", MAIN, &[]), "ok", "");
}

#[test]
fn names_and_stacks() {
    let bench = Bench::new();
    let check =
        |path: &Path, what: &str, verdict: &str, word: &str| assert_says(&bench.line(path, what), verdict, word);
    let path = bench.build("symbols", MAIN, &["-Wl,--build-id=none"]);
    check(&path, "names", "warn", "functions without lines");
    check(&path, "names", "warn", "build it with -g");
    check(&path, "build-id", "warn", "none");
    bench.change(&["strip"], &path);
    check(&path, "names", "warn", "only the names of exported functions");
    bench.change(&["objcopy", "--remove-section", ".eh_frame", "--remove-section", ".eh_frame_hdr"], &path);
    check(&path, "stacks", "warn", "no .eh_frame");
    let path = bench.build("apart", MAIN, &["-g"]);
    bench.change(&["objcopy", "--only-keep-debug", "apart"], Path::new("apart.debug"));
    bench.change(&["strip", "--strip-debug"], &path);
    bench.change(&["objcopy", "--add-gnu-debuglink=apart.debug"], &path);
    check(&path, "names", "ok", "apart.debug");
    std::fs::remove_file(bench.path("apart.debug")).expect("removed");
    check(&path, "names", "warn", "functions without lines");
    // Much code of which the compiler makes no tables.
    let many: String = (0..2000).map(|i| format!("int f{i}(int x) {{ return x * {i} + {i}; }}\n")).collect();
    let flags = ["-O0", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    let path = bench.build("bare", &format!("{many}{MAIN}"), &flags);
    check(&path, "stacks", "warn", "covers little");
}

#[test]
fn scripts_and_languages() {
    let bench = Bench::new();
    let script = bench.path("script");
    std::fs::write(&script, "#!/usr/bin/python3\nprint(1)\n").expect("written");
    let (said, has_failed) = bench.doctor(&[script.to_str().expect("text")]);
    assert!(!has_failed, "{said}");
    assert_says(&line(&said, "script").unwrap_or_default(), "ok", "python3");
    assert_says(&line(&said, "runtime").unwrap_or_default(), "warn", "PYTHONMALLOC=malloc");
    assert_says(&bench.line(&bench.build("java", MAIN, &[]), "runtime"), "warn", "Java");
    let go = bench.build("go-program", MAIN, &[]);
    std::fs::write(bench.path("info"), "Go").expect("written");
    bench.change(&["objcopy", "--add-section", ".go.buildinfo=info"], &go);
    assert_says(&bench.line(&go, "runtime"), "warn", "Go allocates by itself");
    let text = bench.path("text");
    std::fs::write(&text, "no program").expect("written");
    assert_says(&bench.line(&text, "file"), "warn", "no ELF file");
    let missing = tool(Command::new(heapql()).args(["doctor", "/no/such/program"]), "");
    assert_eq!(missing.ended, Ended::Status(2));
}

/// Ends with its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("started"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_was_not_started_for_it() {
    let bench = Bench::new();
    let asleep = Running::start(Command::new("sleep").arg("1000").env_remove("LD_PRELOAD"));
    let (said, has_failed) = bench.doctor(&["--pid", &asleep.pid()]);
    assert!(has_failed);
    assert_says(&line(&said, "recorder").unwrap_or_default(), "fail", "heapql run -- sleep 1000");
    assert_says(&line(&said, "ledger").unwrap_or_default(), "fail", "there is none");
    assert_says(&line(&said, "loader").unwrap_or_default(), "ok", "");
    assert_says(&line(&said, "seccomp").unwrap_or_default(), "ok", "no filter");
    assert_says(&line(&said, "directory").unwrap_or_default(), "ok", "can write");
    let elsewhere = bench.path("elsewhere");
    let other = Running::start(Command::new("sleep").arg("1000").env("HEAPQL_DIR", &elsewhere));
    let (said, _) = bench.doctor(&["--pid", &other.pid()]);
    assert_says(&line(&said, "directory").unwrap_or_default(), "fail", &format!("--dir {}", elsewhere.display()));
    let (said, has_failed) = bench.doctor(&["--pid", "4194305"]);
    assert!(has_failed && said.contains("there is no process"), "{said}");
}

#[test]
fn a_process_under_a_filter() {
    let bench = Bench::new();
    let source = "#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <sys/prctl.h>\n#include <unistd.h>\n\
                  int main(void) { struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);\n\
                  struct sock_fprog program = {1, &all};\n prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);\n\
                  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 1;\n sleep(1000); return 0; }\n";
    let path = bench.build("filtered", source, &[]);
    let filtered = Running::start(&mut Command::new(path));
    let said = crate::harness::eventually("the filter", || {
        let (said, _) = bench.doctor(&["--pid", &filtered.pid()]);
        line(&said, "seccomp").filter(|line| !line.starts_with("ok"))
    });
    assert_says(&said, "warn", "filter");
}

#[test]
fn a_process_that_is_recorded() {
    let home = Arc::new(scratch());
    let doctor = |pid: i32| {
        let mut command = Command::new(heapql());
        command.args(["doctor", "--pid", &pid.to_string()]).env("HEAPQL_DIR", home.path().join("ledgers"));
        tool(&mut command, "")
    };
    for (min, verdict, word) in [(1, "ok", ".heapql"), (10_000, "warn", "nothing is sampled")] {
        let server = Launch::run("cat", &[]).home(&home).intervals(min, 10_000).start();
        let pid = child_of(server.pid());
        let said = crate::harness::eventually("the ledger", || {
            let said = doctor(pid);
            line(&said.stdout, "ledger").filter(|line| !line.starts_with("fail")).map(|_| said)
        });
        assert_says(&line(&said.stdout, "recorder").unwrap_or_default(), "ok", "mapped");
        assert_says(&line(&said.stdout, "ledger").unwrap_or_default(), verdict, word);
        assert_eq!(said.ended, Ended::Status(0), "{}", said.stdout);
        let server = doctor(server.pid());
        assert_says(&line(&server.stdout, "recorder").unwrap_or_default(), "ok", "records itself");
    }
}

fn child_of(pid: i32) -> i32 {
    crate::harness::eventually("the program", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        children.collect::<Vec<_>>().join(" ").split_whitespace().next()?.parse().ok()
    })
}
