//! Whether a program can be recorded, judged before it starts from its file.
//!
//! It only explains and protects: a program that is judged wrongly still runs. It reads no ELF file itself (`symbols` does).
//! Called by `launch`, `doctor` and their verbs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use heapql_symbols::Linkage;
use rustix::process::{getgid, getuid};

/// A script's interpreter may be a script; the kernel goes no deeper than this either.
const MAX_SCRIPTS: usize = 4;
/// The kernel reads no more of a `#!` line.
const SHEBANG_BYTES: u64 = 256;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Recordability {
    Recordable,
    /// It runs with the preload library in its environment and ignores it, for this reason. Its children may not.
    Ignores(&'static str),
    /// It would not start with the preload library, for this reason.
    Breaks(&'static str),
}

/// The file that `execvp` would run. `None` if there is none.
pub(crate) fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program)).filter(|path| path.exists());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    env::split_paths(&path).map(|dir| dir.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The program that runs a script, through all scripts in between; other programs run themselves.
pub(crate) fn run_by(program: &Path) -> PathBuf {
    let mut program = program.to_owned();
    for _ in 0..MAX_SCRIPTS {
        match interpreter(&program) {
            Some(next) => program = next,
            None => break,
        }
    }
    program
}

/// Judges whether `program` can be recorded. A file that cannot be read counts as recordable.
pub(crate) fn judge(program: &Path) -> Recordability {
    let program = run_by(program);
    let metadata = fs::metadata(&program);
    if metadata.is_ok_and(|metadata| gains_privileges(&program, &metadata)) {
        return Recordability::Ignores(
            "it runs with the rights of another user (setuid), and the loader ignores LD_PRELOAD then",
        );
    }
    Linkage::of(&program).map_or(Recordability::Recordable, recordability)
}

fn recordability(linkage: Linkage) -> Recordability {
    match linkage {
        Linkage::Dynamic => Recordability::Recordable,
        Linkage::Static => {
            Recordability::Ignores("it is statically linked, and the recorder enters through the dynamic loader")
        }
        Linkage::OtherMachine => {
            Recordability::Ignores("it is built for another machine or word size than this heapql")
        }
        Linkage::OtherLibc => Recordability::Breaks("it uses another C library than glibc"),
        Linkage::AddressSanitizer => Recordability::Breaks(
            "it is built with a sanitizer, which replaces malloc itself and tolerates no other library before it",
        ),
    }
}

/// The program that runs a script, by its first line. That of `#!/usr/bin/env NAME` is NAME.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(SHEBANG_BYTES).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let first = PathBuf::from(OsString::from_vec(words.next()?.to_vec()));
    if first.file_name() != Some(OsStr::new("env")) {
        return Some(first);
    }
    let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    name.and_then(|name| find(OsStr::from_bytes(name))).or(Some(first))
}

/// Whether the kernel would set AT_SECURE for this file: the loader drops LD_PRELOAD then (ld.so(8)).
fn gains_privileges(path: &Path, metadata: &Metadata) -> bool {
    const SET_UID: u32 = 0o4000;
    const SET_GID_AND_EXECUTE: u32 = 0o2010;
    let mode = metadata.permissions().mode();
    let uid = getuid();
    let changes_user = mode & SET_UID != 0 && metadata.uid() != uid.as_raw();
    let changes_group = mode & SET_GID_AND_EXECUTE == SET_GID_AND_EXECUTE && metadata.gid() != getgid().as_raw();
    changes_user || changes_group || (!uid.is_root() && has_capabilities(path))
}

fn has_capabilities(path: &Path) -> bool {
    let mut value = [0u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut value[..]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("script");
        fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn the_path_is_searched() {
        let shell = find(OsStr::new("sh")).expect("a shell");
        assert!(shell.is_absolute() && shell.ends_with("sh"));
        assert_eq!(find(OsStr::new("no-such-program-anywhere")), None);
        assert_eq!(find(OsStr::new("./no-such-file")), None);
    }

    #[test]
    fn a_dynamic_program_is_recordable() {
        let shell = find(OsStr::new("sh")).expect("a shell");
        assert_eq!(judge(&shell), Recordability::Recordable);
    }

    #[test]
    fn scripts_are_judged_by_their_interpreter() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = script(dir.path(), "#! /bin/sh -e\nexit 0\n");
        assert_eq!(interpreter(&path), Some(PathBuf::from("/bin/sh")));
        let path = script(dir.path(), "#!/usr/bin/env -S A=1 sh -e\n");
        assert_eq!(interpreter(&path), find(OsStr::new("sh")));
        let path = script(dir.path(), "echo no first line\n");
        assert_eq!(interpreter(&path), None);
    }

    #[test]
    fn a_script_that_runs_itself_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("script");
        fs::write(&path, format!("#!{}\n", path.display())).expect("written");
        assert_eq!(judge(&path), Recordability::Recordable);
    }

    #[test]
    fn the_library_runs_on_this_host() {
        let needed = heapql_symbols::glibc_needed(crate::paths::LIBRARY).expect("versions");
        let maps = fs::read_to_string("/proc/self/maps").expect("read");
        let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6")).expect("a libc");
        assert!(heapql_symbols::glibc_version(Path::new(libc)).expect("versions") >= needed);
    }
}
