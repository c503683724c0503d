//! Compiles the C and C++ programs under `programs/`, each once per set of flags.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::{tests_dir, workspace_dir};

/// A program of `programs/` (or a path from there), and how to compile it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Program {
    source: &'static str,
    flags: Vec<&'static str>,
}

impl Program {
    /// A program that is compiled as most are: `-O2 -g`.
    pub(crate) fn new(source: &'static str) -> Program {
        Program { source, flags: vec!["-O2", "-g", "-pthread"] }
    }

    pub(crate) fn flags(mut self, flags: &[&'static str]) -> Program {
        self.flags.extend(flags);
        self
    }

    /// The path of the executable, compiled unless another test has done so.
    pub(crate) fn path(self) -> PathBuf {
        static DONE: Mutex<Option<HashMap<Program, PathBuf>>> = Mutex::new(None);
        // A failed compilation in another test must not hide this one's own error.
        let mut done = DONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let done = done.get_or_insert_default();
        if let Some(path) = done.get(&self) {
            return path.clone();
        }
        let name = Path::new(self.source).file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        let stem = name.split('.').next().unwrap_or(name);
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}{}", self.flags.concat()));
        std::fs::create_dir_all(&dir).expect("a directory for a compiled program");
        let (path, fresh) = (dir.join(stem), dir.join(format!(".{}", std::process::id())));
        compile(self.source, &self.flags, &fresh);
        // By rename, since another run of these tests may have it open.
        std::fs::rename(&fresh, &path).expect("the program gets its name");
        done.insert(self, path.clone());
        path
    }
}

/// The shared library of `programs/library.c`.
pub(crate) fn library(into: &Path) -> PathBuf {
    shared("library.c", into)
}

/// A shared library of `programs/`, compiled into a directory.
pub(crate) fn shared(source: &'static str, into: &Path) -> PathBuf {
    let path = into.join(format!("lib{}.so", source.trim_end_matches(".c")));
    let fresh = into.join(format!(".{}-{}", std::process::id(), source));
    compile(source, &[&LIBRARY_FLAGS[..], &["-fno-builtin"]].concat(), &fresh);
    std::fs::rename(&fresh, &path).expect("the library gets its name");
    path
}

/// Another library of the same size. Its `library_makes` adds 12 bytes.
pub(crate) fn other_library(into: &Path) -> PathBuf {
    let path = into.join("libother.so");
    compile("library.c", &[&LIBRARY_FLAGS[..], &["-DEXTRA=12"]].concat(), &path);
    path
}

const LIBRARY_FLAGS: [&str; 4] = ["-O2", "-g", "-shared", "-fPIC"];

fn compile(source: &str, flags: &[&str], into: &Path) {
    let compiler = if source.ends_with(".cpp") { "c++" } else { "cc" };
    let output = Command::new(compiler)
        .args(flags)
        .arg("-o")
        .arg(into)
        .arg(tests_dir().join("programs").join(source))
        .arg("-I")
        .arg(workspace_dir().join("include"))
        .arg("-ldl")
        .output()
        .unwrap_or_else(|error| panic!("cannot start {compiler}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {flags:?} {source}: {said}");
}
