//! A program's file: whether the recorder gets into it, what of its memory it sees, and whether its stacks have names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use heapql_symbols::{ProgramFacts, glibc_needed, glibc_version, hex};

use super::Finding::{Fail, Fine, Warn};
use super::{Finding, Report, symbols};
use crate::paths;
use crate::target::{self, Recordability};

const SET_ID: u32 = 0o6000;

/// A program, or the one that runs it if it is a script.
pub(super) fn check(report: &mut Report, path: &Path) {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let program = fs::canonicalize(target::run_by(&path)).unwrap_or_else(|_| path.clone());
    report.line("program", Fine(format!("'{}'", path.display())));
    if program != path {
        report.line("script", Fine(format!("'{}' runs it, and is what is recorded", program.display())));
    }
    file(report, &program, &program, &host_libc());
}

/// `path` is where it can be read, `name` how it is called where it runs, and `libc` what it runs with.
pub(super) fn file(report: &mut Report, path: &Path, name: &Path, libc: &Path) {
    let verdict = target::judge(path);
    report.line("linkage", linkage(&verdict));
    if let Some(finding) = rights(path).filter(|_| verdict == Recordability::Recordable) {
        report.line("rights", finding);
    }
    let Some(facts) = ProgramFacts::of(path) else {
        if verdict == Recordability::Recordable {
            report.line("file", Warn("it is no ELF file of 64 bits, or it cannot be read".to_owned()));
        }
        return;
    };
    if let Some(finding) = runtime(name, &facts) {
        report.line("runtime", finding);
    }
    // Of what is not recorded the rest does not matter.
    if verdict != Recordability::Recordable {
        return;
    }
    if let Some(finding) = glibc(libc) {
        report.line("glibc", finding);
    }
    report.line("allocator", allocator(&facts));
    report.line("stacks", stacks(&facts));
    report.line("names", symbols::check(name, &facts));
    report.line("build-id", build_id(&facts));
}

fn linkage(verdict: &Recordability) -> Finding {
    match verdict {
        Recordability::Recordable => Fine("the loader maps the recorder into it".to_owned()),
        Recordability::Ignores(why) => Fail(format!("{why} (hint: {})", remedy(why))),
        Recordability::Breaks(why) => {
            Fail(format!("{why} (hint: build it with glibc, and without the sanitizer, to record it)"))
        }
    }
}

/// A program whose rights keep other users from recording it.
fn rights(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let has_special = mode & SET_ID != 0;
    has_special
        .then(|| Warn("it is setuid or setgid: when another user starts it, the loader ignores LD_PRELOAD".to_owned()))
}

/// The advice for a program that ignores the recorder.
fn remedy(why: &str) -> &'static str {
    if why.contains("statically") {
        "link it dynamically, or make heapql's SamplingAlloc the global allocator of a Rust program"
    } else if why.contains("setuid") {
        "run a copy without the special rights, as the user it is for"
    } else {
        "build it for this machine"
    }
}

/// Where this host's loader finds it.
pub(super) fn host_libc() -> PathBuf {
    let triple = PathBuf::from(format!("/lib/{}-linux-gnu/libc.so.6", std::env::consts::ARCH));
    let places = [triple, "/lib64/libc.so.6".into(), "/usr/lib/libc.so.6".into()];
    places.iter().find(|path| path.exists()).unwrap_or(&places[0]).clone()
}

/// `None` if it cannot be told.
pub(super) fn glibc(libc: &Path) -> Option<Finding> {
    let (needed, found) = (glibc_needed(paths::LIBRARY)?, glibc_version(libc)?);
    let words = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    Some(if found < needed {
        let (found, needed) = (words(found), words(needed));
        Fail(format!("glibc {found} is too old, the recorder needs {needed} (hint: run it in a newer image)"))
    } else {
        Fine(format!("glibc {}", words(found)))
    })
}

fn allocator(facts: &ProgramFacts) -> Finding {
    let names = facts.allocators.iter().copied().collect::<Vec<_>>().join(", ");
    if facts.exports_malloc {
        let which = if names.is_empty() { "its own".to_owned() } else { format!("its own ({names})") };
        return Fail(format!(
            "malloc is {which}, linked in, before every library's (hint: link the allocator dynamically)"
        ));
    }
    if facts.hides_malloc {
        return Fail(
            "its code calls a malloc that is linked in and hidden; only libraries are recorded \
                     (hint: link the allocator dynamically)"
                .to_owned(),
        );
    }
    if !names.is_empty() {
        return Warn(format!(
            "what goes through the {names} that is linked in is not recorded, the rest is \
                             (hint: build without it to look for a leak)"
        ));
    }
    Fine("malloc is a library's, before which the recorder stands".to_owned())
}

/// Languages whose memory is their own affair. `None` if it is none of them.
fn runtime(path: &Path, facts: &ProgramFacts) -> Option<Finding> {
    let name = path.file_name()?.to_str()?;
    if facts.is_go {
        return Some(Warn(
            "Go allocates by itself: only its C parts are recorded (hint: net/http/pprof for the rest)".to_owned(),
        ));
    }
    if name == "java" {
        return Some(Warn(
            "Java's heap is its own: only native memory is recorded (hint: jcmd PID GC.class_histogram)".to_owned(),
        ));
    }
    if name.starts_with("python") {
        return Some(Warn(
            "Python takes objects up to 512 bytes from arenas of its own (hint: PYTHONMALLOC=malloc records them)"
                .to_owned(),
        ));
    }
    if name == "node" || name == "nodejs" {
        return Some(Warn("JavaScript's heap is V8's own: only native memory is recorded".to_owned()));
    }
    None
}

fn stacks(facts: &ProgramFacts) -> Finding {
    const HINT: &str = "(hint: build with -fasynchronous-unwind-tables, or with -fno-omit-frame-pointer)";
    if !facts.has_unwind_tables {
        return Warn(format!("they may be short: it has no .eh_frame {HINT}"));
    }
    if facts.has_few_unwind_tables {
        return Warn(format!("they may be short: .eh_frame covers little of its code {HINT}"));
    }
    Fine("whole: it has .eh_frame".to_owned())
}

fn build_id(facts: &ProgramFacts) -> Finding {
    match &facts.build_id {
        Some(bytes) => Fine(hex(bytes)),
        None => Warn(
            "none: a file that is replaced while it runs cannot be told (hint: link with -Wl,--build-id)".to_owned(),
        ),
    }
}
