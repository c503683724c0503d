//! The directories of ledgers and state, and the check that a directory is safe.
//!
//! A directory that other users can write to could hold forged ledgers, or a library that targets map, and is refused. Ledgers are the
//! registry's. Called by the verbs.

mod library;
mod run_dir;
mod server_file;

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::error::Error;

pub(crate) use library::{LIBRARY, LIBRARY_PREFIX, unpack};
pub(crate) use run_dir::{RunDir, forget_own_ledgers, remove_finished_runs};
pub(crate) use server_file::{RunningServer, ServerFile, running_servers};

const VARIABLE: &str = "HEAPQL_DIR";
/// The recorder builds a ledger's path in 512 bytes, of which the file's name takes up to 50.
const MAX_PATH_BYTES: usize = 400;

/// The directory of all ledgers: `dir` (of `--dir`), else HEAPQL_DIR, else the default. It is absolute, because targets change their
/// directory, and is created with mode 0700 if it is missing.
pub(crate) fn ledger_root(dir: Option<&Path>) -> Result<PathBuf, Error> {
    let named =
        dir.map(Path::to_owned).or_else(|| env::var_os(VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from));
    let root = match named {
        Some(dir) => {
            create(&dir)?;
            // The user may name a link.
            let dir = fs::canonicalize(&dir).map_err(|error| cannot_use(&dir, &error.to_string()))?;
            check_ours(&dir)?;
            dir
        }
        None => {
            let dir = default_root();
            private(&dir)?;
            dir
        }
    };
    let bytes = root.as_os_str().len();
    if bytes > MAX_PATH_BYTES {
        return Err(cannot_use(&root, &format!("its path has {bytes} bytes, more than {MAX_PATH_BYTES}")));
    }
    Ok(root)
}

fn default_root() -> PathBuf {
    let uid = geteuid();
    // It may belong to another user after `su` or `sudo -E`.
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    match runtime {
        Some(dir) if fs::metadata(&dir).is_ok_and(|found| found.is_dir() && found.uid() == uid.as_raw()) => {
            dir.join("heapql")
        }
        _ => PathBuf::from(format!("/dev/shm/heapql-{}", uid.as_raw())),
    }
}

/// Creates a directory of mode 0700. Refuses a link, a directory of another user, and one that others can write to.
pub(crate) fn private(dir: &Path) -> Result<(), Error> {
    create(dir)?;
    check_ours(dir)
}

fn create(dir: &Path) -> Result<(), Error> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => cannot_use(dir, "it is not a directory"),
        _ => cannot_use(dir, &error.to_string()),
    })
}

fn check_ours(dir: &Path) -> Result<(), Error> {
    let found = fs::symlink_metadata(dir).map_err(|error| cannot_use(dir, &error.to_string()))?;
    if !found.is_dir() {
        return Err(cannot_use(dir, "it is not a directory"));
    }
    let uid = geteuid().as_raw();
    if found.uid() != uid {
        return Err(cannot_use(dir, &format!("it belongs to user {}, not to user {uid}", found.uid())));
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(Error::new(format!(
            "cannot use the directory '{}': others may write to it (mode {mode:o})",
            dir.display()
        ))
        .hint(format!("chmod 700 {}", crate::shell::quote(&dir.to_string_lossy()))));
    }
    Ok(())
}

fn cannot_use(dir: &Path, why: &str) -> Error {
    Error::new(format!("cannot use the directory '{}': {why}", dir.display()))
        .hint(format!("name another directory with {VARIABLE}"))
}

/// The state directory of the user's servers, where no other is named. None if neither XDG_STATE_HOME nor HOME is set.
pub(crate) fn state_dir() -> Option<PathBuf> {
    user_dir("XDG_STATE_HOME", ".local/state")
}

/// The directory of past suspects under a state directory.
pub(crate) fn suspects_in(state_dir: &Path) -> PathBuf {
    state_dir.join("history").join("suspects")
}

/// The directory of past suspects of servers that name no state directory.
pub(crate) fn suspect_folder() -> Option<PathBuf> {
    state_dir().as_deref().map(suspects_in)
}

/// Returns `$VARIABLE/heapql`, else `~/REST/heapql`, by the XDG base directory specification.
pub(crate) fn user_dir(variable: &str, rest: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(rest)))?;
    Some(base.join("heapql"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(dir: &Path) -> u32 {
        fs::metadata(dir).expect("metadata").permissions().mode() & 0o777
    }

    #[test]
    fn a_new_directory_is_private() {
        let base = tempfile::tempdir().expect("a directory");
        let dir = base.path().join("a/b");
        private(&dir).expect("created");
        assert_eq!(mode(&dir), 0o700);
        private(&dir).expect("it may exist");
    }

    #[test]
    fn what_others_could_write_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        let dir = base.path().join("open");
        private(&dir).expect("created");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o770)).expect("changed");
        let error = private(&dir).expect_err("refused").to_string();
        assert!(error.contains("mode 770") && error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn links_and_files_are_refused() {
        let base = tempfile::tempdir().expect("a directory");
        let link = base.path().join("link");
        symlink(base.path(), &link).expect("linked");
        assert!(private(&link).is_err());
        let file = base.path().join("file");
        fs::write(&file, "").expect("written");
        let error = private(&file).expect_err("refused").to_string();
        assert!(error.contains("not a directory"), "{error}");
    }

    #[test]
    fn the_root_is_absolute_and_not_too_long() {
        let base = tempfile::tempdir().expect("a directory");
        let root = ledger_root(Some(base.path())).expect("a root");
        assert!(root.is_absolute());
        let long = base.path().join("x".repeat(200)).join("y".repeat(200));
        assert!(ledger_root(Some(&long)).is_err());
    }
}
