//! Unpacks the preload library, which this binary contains, to a file that targets can map.
//!
//! The file is written once per content and shared by all later runs. It is not loaded here. Called by the verbs that start or describe
//! targets.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use heapql_registry::durable_file;
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::process::geteuid;

use super::{private, user_dir};
use crate::error::Error;

pub(crate) static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libheapql_preload.so"));
/// Prefix of the names of unpacked libraries in LD_PRELOAD.
pub(crate) const LIBRARY_PREFIX: &str = "libheapql_preload";
const FILE: &str = concat!("libheapql_preload-", env!("HEAPQL_PRELOAD_HASH"), ".so");

/// Unpacks the library and returns its path. It lies under `root` unless no file there can be mapped as code (/dev/shm of a container is
/// often mounted noexec); then in the user's cache, else in /tmp.
pub(crate) fn unpack(root: &Path) -> Result<PathBuf, Error> {
    let cache = user_dir("XDG_CACHE_HOME", ".cache");
    let temporary = PathBuf::from(format!("/tmp/heapql-{}", geteuid().as_raw()));
    let mut reasons = Vec::new();
    for dir in [Some(root.to_owned()), cache, Some(temporary)].into_iter().flatten() {
        match unpack_into(&dir) {
            Ok(path) => return Ok(path),
            Err(why) => reasons.push(format!("'{}': {why}", dir.display())),
        }
    }
    Err(Error::new(format!("there is no place for the preload library: {}", reasons.join("; ")))
        .hint("set XDG_CACHE_HOME to a directory of yours that is not mounted noexec"))
}

fn unpack_into(dir: &Path) -> Result<PathBuf, String> {
    if let Some(character) = not_for_preload(dir.as_os_str()) {
        return Err(format!("LD_PRELOAD cannot hold a path with {character:?}"));
    }
    private(dir).map_err(|error| error.to_string())?;
    let mounted = statvfs(dir).map_err(|error| error.to_string())?;
    if mounted.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err("it is mounted noexec".to_owned());
    }
    let path = dir.join(FILE);
    if !is_there(&path) {
        write(&path).map_err(|error| error.to_string())?;
    }
    Ok(path)
}

/// The loader separates the list at colons and blanks and replaces `$ORIGIN` and the like (ld.so(8)).
fn not_for_preload(path: &OsStr) -> Option<char> {
    let found = path.as_bytes().iter().find(|byte| b": \t\n$".contains(byte))?;
    Some((*found).into())
}

/// Returns whether the file exists with the right contents and mode. Any other file is replaced.
fn is_there(path: &Path) -> bool {
    let mode = fs::symlink_metadata(path).map(|found| (found.is_file(), found.permissions().mode() & 0o777));
    matches!(mode, Ok((true, 0o755))) && fs::read(path).is_ok_and(|bytes| bytes == LIBRARY)
}

/// Writes the library in one step. A target that starts meanwhile maps the old or the new file.
fn write(path: &Path) -> io::Result<()> {
    let written = durable_file::replace(path, 0o700, |file| {
        file.write_all(LIBRARY)?;
        // The mode of open would be reduced by the umask.
        file.set_permissions(fs::Permissions::from_mode(0o755))
    });
    written.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_once_and_repaired() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = unpack_into(dir.path()).expect("unpacked");
        assert_eq!(fs::read(&path).expect("read"), LIBRARY);
        let modified = || fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
        let first = modified();
        unpack_into(dir.path()).expect("unpacked");
        assert_eq!(modified(), first, "not written again");
        fs::write(&path, "damaged").expect("written");
        unpack_into(dir.path()).expect("unpacked");
        assert_eq!(fs::read(&path).expect("read"), LIBRARY);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_path_that_the_loader_would_split_is_refused() {
        let base = tempfile::tempdir().expect("a directory");
        for name in ["a b", "a:b", "$LIB"] {
            assert!(unpack_into(&base.path().join(name)).is_err(), "{name}");
        }
    }
}
