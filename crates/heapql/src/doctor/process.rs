//! A process that runs: whether it was started so that it is recorded, and whether it is, by what /proc says.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use heapql_registry::{RegistrySettings, SourceState};
use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::Finding::{Fail, Fine, Warn};
use super::{Finding, Report, program};
use crate::paths::{self, LIBRARY_PREFIX};
use crate::service;
use crate::shell::quote;

/// auxv(5): the loader is in secure mode.
const AT_SECURE: u64 = 23;
/// Nobody has more.
const MAX_PROC_BYTES: usize = 64 << 20;

struct Process {
    pid: u32,
    proc: PathBuf,
}

pub(super) fn check(report: &mut Report, pid: u32, dir: Option<&Path>) {
    let process = Process { pid, proc: PathBuf::from(format!("/proc/{pid}")) };
    let Ok(metadata) = fs::metadata(&process.proc) else {
        report.line(
            "process",
            Fail(format!("there is no process {pid} (hint: heapql ps lists those that are recorded)")),
        );
        return;
    };
    report.line("process", Fine(format!("{pid}  {}", process.command())));
    if let Some(finding) = user(metadata.uid()) {
        let is_fatal = matches!(finding, Fail(_));
        report.line("user", finding);
        if is_fatal {
            return;
        }
    }
    let root = paths::ledger_root(dir);
    let is_mapped = process.is_mapped();
    let ledger = root.as_deref().map(|root| (root, process.ledger(root, is_mapped)));
    // Programs may have heapql's allocator linked in, as heapql has.
    let records_itself = !is_mapped && matches!(&ledger, Ok((_, Fine(_) | Warn(_))));
    report.line("recorder", process.recorder(is_mapped, records_itself));
    report.line("loader", process.loader());
    report.line("seccomp", process.seccomp());
    match ledger {
        Ok((root, ledger)) => {
            report.line("directory", process.directory(root));
            report.line("ledger", ledger);
        }
        Err(error) => report.line("directory", Fail(error.to_string())),
    }
    let exe = process.proc.join("exe");
    let name = fs::read_link(&exe).unwrap_or_else(|_| exe.clone());
    if let Some(old) = name.to_str().and_then(|name| name.strip_suffix(" (deleted)")) {
        let words =
            format!("'{old}' was replaced or deleted since it started: names come from the old file, if at all");
        report.line("file", Warn(words));
    }
    let libc = process.libc().unwrap_or_else(program::host_libc);
    program::file(report, &exe, &name, &libc);
}

/// `None`: it is ours.
fn user(owner: u32) -> Option<Finding> {
    let own = geteuid();
    if owner == own.as_raw() {
        return None;
    }
    let words = format!("it belongs to user {owner}, and so do its ledgers");
    Some(if own.is_root() {
        Warn(format!("{words} (hint: name their directory with --dir, or run heapql as that user)"))
    } else {
        Fail(format!("{words} (hint: run heapql as that user, or as root)"))
    })
}

impl Process {
    fn read(&self, file: &str) -> Vec<u8> {
        let mut bytes = fs::read(self.proc.join(file)).unwrap_or_default();
        bytes.truncate(MAX_PROC_BYTES);
        bytes
    }

    fn text(&self, file: &str) -> String {
        String::from_utf8_lossy(&self.read(file)).into_owned()
    }

    /// That can be pasted.
    fn command(&self) -> String {
        let line = self.text("cmdline");
        let words = line.strip_suffix('\0').unwrap_or(&line).split('\0').map(quote);
        words.collect::<Vec<_>>().join(" ")
    }

    /// As it was when it started.
    fn variable(&self, name: &str) -> Option<OsString> {
        let environment = self.read("environ");
        let values = environment.split(|&byte| byte == 0);
        let value = values.filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next();
        value.map(|value| OsString::from_vec(value.to_vec()))
    }

    fn mapped(&self, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let maps = self.text("maps");
        let path = |line: &str| line.splitn(6, ' ').nth(5).map(|path| path.trim_start().to_owned());
        maps.lines().filter_map(path).find(|path| is_it(path.rsplit('/').next().unwrap_or_default()))
    }

    fn is_mapped(&self) -> bool {
        self.mapped(|name| name.starts_with(LIBRARY_PREFIX)).is_some()
    }

    /// Where we can read it.
    fn libc(&self) -> Option<PathBuf> {
        let path = self.mapped(|name| name == "libc.so.6")?;
        Some(self.proc.join("root").join(path.trim_start_matches('/')))
    }

    fn recorder(&self, is_mapped: bool, records_itself: bool) -> Finding {
        if is_mapped {
            return Fine("the library is mapped".to_owned());
        }
        if records_itself {
            return Fine("it records itself: heapql's allocator is linked in".to_owned());
        }
        let again = format!("heapql run -- {}", self.command());
        match self.variable("LD_PRELOAD") {
            Some(list) if list.to_string_lossy().contains(LIBRARY_PREFIX) => Fail(
                "LD_PRELOAD names the library, but the loader has not mapped it; the lines below say why".to_owned(),
            ),
            _ if self.read("environ").is_empty() => {
                Fail(format!("it is not mapped, and its environment cannot be read (hint: start it with: {again})"))
            }
            _ => Fail(format!(
                "it was started without it: LD_PRELOAD does not name the library (hint: start it again: {again})"
            )),
        }
    }

    fn loader(&self) -> Finding {
        let auxiliary = self.read("auxv");
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).unwrap_or(0);
        match auxiliary.chunks_exact(16).find(|pair| word(&pair[..8]) == AT_SECURE) {
            Some(pair) if word(&pair[8..]) != 0 => Fail(
                "it gained rights when it started (setuid, setgid or capabilities), and the loader ignored LD_PRELOAD \
                 (hint: start it as the user it is for)"
                    .to_owned(),
            ),
            Some(_) => Fine("it heeds LD_PRELOAD: no rights were gained at the start".to_owned()),
            None => Warn("cannot tell whether it gained rights at its start: /proc does not say".to_owned()),
        }
    }

    fn seccomp(&self) -> Finding {
        let status = self.text("status");
        let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim);
        match mode {
            Some("0") | None => Fine("no filter".to_owned()),
            Some("1") => Fail("strict mode: it can do nothing but read and write".to_owned()),
            Some(_) => Warn(
                "a filter is in force; one that forbids openat, ftruncate or mmap keeps the ledger from being made \
                 (hint: heapql ps says whether there is one)"
                    .to_owned(),
            ),
        }
    }

    /// Whether its ledger lies where we look, and whether it can write there.
    fn directory(&self, root: &Path) -> Finding {
        let its = self.variable("HEAPQL_DIR").map(PathBuf::from);
        let its_root = its.as_deref().unwrap_or(root);
        if !its_root.starts_with(root) {
            let words = format!("it writes to '{}', not to '{}'", its_root.display(), root.display());
            return Fail(format!("{words} (hint: --dir {})", quote(&its_root.to_string_lossy())));
        }
        // Its own mounts decide what the name means to it.
        let seen = self.proc.join("root").join(its_root.strip_prefix("/").unwrap_or(its_root));
        let same = |a: &Path, b: &Path| match (fs::metadata(a), fs::metadata(b)) {
            (Ok(a), Ok(b)) => Some((a.dev(), a.ino()) == (b.dev(), b.ino())),
            _ => None,
        };
        match same(&seen, its_root) {
            Some(true) if access(&seen, Access::WRITE_OK).is_ok() => {
                Fine(format!("it can write to '{}'", its_root.display()))
            }
            Some(true) => Fail(format!("it cannot write to '{}' (hint: HEAPQL_DIR names another)", its_root.display())),
            Some(false) => Fail(format!(
                "'{}' is another directory where it runs (hint: mount this host's into its container)",
                its_root.display()
            )),
            None => Fail(format!(
                "'{}' does not exist where it runs (hint: mount it into its container)",
                its_root.display()
            )),
        }
    }

    fn ledger(&self, root: &Path, is_mapped: bool) -> Finding {
        let sources = match service::open(RegistrySettings::read_only(root.to_owned())) {
            Ok(registry) => registry.sources(),
            Err(error) => return Fail(error.to_string()),
        };
        let Some(source) = sources.iter().rev().find(|source| u32::try_from(source.pid()) == Ok(self.pid)) else {
            return Fail(match is_mapped {
                true => format!("there is none in '{}', though the library is mapped", root.display()),
                false => format!("there is none in '{}'", root.display()),
            });
        };
        let path = source.path().display().to_string();
        match (source.state(), source.intervals()) {
            (SourceState::Unreadable(why), _) => Fail(format!("'{path}' cannot be read: {why}")),
            (SourceState::Dead, _) => Fail(format!("'{path}' is that of an earlier process with this number")),
            (SourceState::Alive, Some(intervals)) if intervals.is_zero() => {
                let hint = "heapql set _min_malloc_sample_interval=16 _max_malloc_sample_interval=256";
                Warn(format!(
                    "nothing is sampled: the intervals are {}..{} (hint: {hint})",
                    intervals.min, intervals.max
                ))
            }
            (SourceState::Alive, _) => Fine(format!("'{path}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Process {
        Process { pid: std::process::id(), proc: PathBuf::from("/proc/self") }
    }

    #[test]
    fn this_process_is_not_recorded_and_could_be() {
        let process = own();
        assert!(!process.is_mapped());
        assert!(matches!(process.recorder(false, false), Fail(words) if words.contains("heapql run -- ")));
        assert!(matches!(process.loader(), Fine(_)));
        assert!(matches!(process.libc().and_then(|libc| program::glibc(&libc)), Some(Fine(_))));
    }

    #[test]
    fn the_environment_is_that_of_the_start() {
        assert_eq!(own().variable("PATH").as_deref(), std::env::var_os("PATH").as_deref());
        assert_eq!(own().variable("NO_SUCH_VARIABLE"), None);
        assert_eq!(own().variable(""), None);
    }

    #[test]
    fn the_directory_must_be_the_one_that_is_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(own().directory(dir.path()), Fine(_)));
        assert!(matches!(own().directory(&dir.path().join("none")), Fail(words) if words.contains("does not exist")));
    }
}
