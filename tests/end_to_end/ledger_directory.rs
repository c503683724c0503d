//! Directories that are unfit for ledgers: missing, a file, a link, another user's, full, read-only, filled up later. The
//! program runs on; one line on standard error says why nothing is recorded, unless standard error is closed.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::host::{can_mount, is_root};
use crate::harness::{Ended, Output, Program, heapql, scratch, tool};

const ORDERS: &str = "malloc 5000 100\ncalloc 5000 3000\nfree malloc 4000\nquit\n";

/// The preload library, where every user may map it.
struct Library {
    dir: TempDir,
}

impl Library {
    fn new() -> Library {
        let dir = scratch();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("another mode");
        let script = "eval \"$(\"$1\" env)\" && cp \"$LD_PRELOAD\" \"$2\" && chmod 755 \"$2\"";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(heapql()).arg(dir.path().join("libheapql_preload-test.so"));
        tool(command.env("HEAPQL_DIR", dir.path().join("unpacked")), "").ok();
        Library { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("libheapql_preload-test.so")
    }

    /// `exact.c` under a script that may prepare something and ends in `exec "$0"`; HEAPQL_DIR is `dir`.
    fn exact(&self, script: &str, dir: &Path) -> Command {
        let mut command = Command::new("/bin/bash");
        let with = format!("run() {{ exec env LD_PRELOAD='{}' \"$@\"; }}; {script}", self.path().display());
        command
            .args(["-c", &with])
            .arg(Program::new("exact.c").path())
            .env("HEAPQL_DIR", dir)
            .current_dir(self.dir.path());
        command.env("HEAPQL_MIN", "1").env("HEAPQL_MAX", "1");
        command
    }
}

/// Its standard error.
fn runs(command: &mut Command) -> String {
    let Output { ended, stdout, stderr } = tool(command, ORDERS);
    assert_eq!(ended, Ended::Status(0), "{stdout}{stderr}");
    assert_eq!(stdout.lines().skip(1).collect::<Vec<_>>(), ["ok"; 3], "{stderr}");
    stderr
}

#[test]
fn directories_that_are_none() {
    let library = Library::new();
    let base = scratch();
    let path = |name: &str| base.path().join(name);
    std::fs::write(path("file"), "").expect("a file");
    std::fs::create_dir(path("open")).expect("a directory");
    std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o777)).expect("another mode");
    symlink(base.path(), path("link")).expect("a link");
    for (dir, why) in [
        (path("file"), "it is not a directory"),
        (path("link"), "it is not a directory"),
        (path("open"), "others may write to it"),
        (path("missing/too"), "it does not exist and cannot be created"),
        (PathBuf::from("relative"), "it is not an absolute path"),
        (path(&"long".repeat(200)), "too long"),
    ] {
        let said = runs(&mut library.exact("run \"$0\"", &dir));
        assert!(said.starts_with("heapql: not recording: ") && said.contains(why), "{}: {said}", dir.display());
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(!library.dir.path().join("relative").exists());
    assert_eq!(runs(&mut library.exact("run \"$0\"", &path("new"))), "");
    let mode = path("new").metadata().expect("it has been created").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_directory_of_another_user() {
    if !is_root() {
        return;
    }
    let (library, dir) = (Library::new(), scratch());
    let base = dir.path().parent().expect("it lies somewhere");
    assert!(base.metadata().expect("it is there").permissions().mode() & 0o1 != 0, "others reach it");
    let target = library.dir.path().join("exact");
    std::fs::copy(Program::new("exact.c").path(), &target).expect("a copy");
    let script = format!("run setpriv --reuid 65534 --clear-groups '{}'", target.display());
    let said = runs(&mut library.exact(&script, dir.path()));
    assert!(said.contains("it belongs to another user"), "{said}");
}

#[test]
fn standard_error_is_full_or_closed() {
    let library = Library::new();
    let nowhere = Path::new("/proc/nowhere");
    // The reader is gone, or it has read nothing for long.
    for is_read in [false, true] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let reader = is_read.then_some(reader);
        if is_read {
            writer.write_all(&[b'.'; 65_536]).expect("as much as a pipe holds");
        }
        let mut command = library.exact("run \"$0\"", nowhere);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(writer);
        let mut child = command.spawn().expect("a shell");
        child.stdin.take().expect("piped").write_all(ORDERS.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("its output");
        assert!(output.status.success(), "{:?}", output.status);
        assert!(output.stdout.ends_with(b"ok\nok\nok\n"));
        drop(reader);
    }
    // Standard error is closed, and its number goes to a file of the program's own.
    let file = library.dir.path().join("own");
    runs(&mut library.exact("exec 2>&-; run \"$0\"", nowhere));
    let script = format!(
        "exec env LD_PRELOAD='{}' bash -c 'exec 2>own; (exit 3); : $(echo child)' 2>&-",
        library.path().display()
    );
    tool(&mut library.exact(&script, nowhere), "").ok();
    assert_eq!(std::fs::read_to_string(file).expect("its file"), "");
}

/// The answers of `gaps.c` (8192 stacks) in a mount namespace that has ledgers on a file system with these
/// options, and what `heapql sql` then answers.
fn on_file_system(options: &str, prepare: &str, query: &str) -> Output {
    let (library, place) = (Library::new(), scratch());
    let mount = format!("mount -t tmpfs -o mode=700,{options} none '{}'", place.path().display());
    let (preload, heapql) = (library.path().display().to_string(), heapql().display().to_string());
    let script = format!(
        "{mount} && {{ {prepare} printf '\\n\\n' | env LD_PRELOAD='{preload}' \"$0\"; }} && '{heapql}' sql -f csv \"{query}\""
    );
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["-m", "/bin/sh", "-c", &script]).arg(Program::new("gaps.c").path()).env("HEAPQL_DIR", place.path());
    tool(command.env("HEAPQL_MIN", "1").env("HEAPQL_MAX", "1"), "")
}

#[test]
fn file_systems_without_room() {
    if !can_mount() {
        return;
    }
    for (options, why) in
        [("size=64k", "error 28"), ("size=4k", "error 28"), ("ro", "error 30"), ("nr_inodes=1", "error 28")]
    {
        let output = on_file_system(options, "", "SELECT count(*) FROM heapql.processes");
        assert!(output.stdout.starts_with("ready\nok\nok\n"), "{options}: {output:?}");
        assert!(output.stderr.contains("not recording") && output.stderr.contains(why), "{options}: {}", output.stderr);
    }
}

#[test]
fn file_systems_that_fill_up_later() {
    if !can_mount() {
        return;
    }
    let query = "SELECT name, value > 0 AS some FROM heapql.self_usage WHERE name LIKE 'loss%' AND value > 0 \
                 UNION ALL SELECT 'rows', count(*) > 0 FROM heapql.callsites WHERE sampled_total_count > 0";
    for size in ["128k", "200k", "512k", "1m"] {
        let output = on_file_system(&format!("size={size}"), "", query);
        assert_eq!(output.ended, Ended::Status(0), "{size}: {}", output.stderr);
        assert!(output.stdout.starts_with("ready\nok\nok\n"), "{size}: {output:?}");
        assert!(output.stdout.contains("loss_no_space,true"), "{size}: the losses are counted: {output:?}");
    }
    // Somebody else takes what is left.
    let output = on_file_system("size=8m", "(sleep 0.01; cat /dev/zero > \"$HEAPQL_DIR/other\") 2>/dev/null &", query);
    assert!(output.stdout.starts_with("ready\nok\nok\n"), "{output:?}");
}
