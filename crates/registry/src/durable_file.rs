//! Replaces a file durably: readers see the old contents or the new ones, and so does a machine that lost its power.
//!
//! The format of the contents is the caller's. All files that the reader wing keeps are written through here.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Extension of a file that is being written. A killed process may leave one.
pub const TEMPORARY_EXTENSION: &str = "new";

/// Writes a new file of this mode (less the umask) through `write`, syncs it, renames it to `path`, and syncs the directory. Returns the
/// file, still open. On an error the old file stays.
pub fn replace(path: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let temporary = temporary(path)?;
    let replaced = write_and_rename(&temporary, path, mode, write);
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

fn write_and_rename(
    temporary: &Path,
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let mut file = File::options().write(true).create_new(true).mode(mode).open(temporary)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    File::open(directory(path))?.sync_all()?;
    Ok(file)
}

/// A name in the same directory that no other writer uses.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let number = COUNT.fetch_add(1, Relaxed);
    let temporary = format!(".{name}.{}-{number}.{TEMPORARY_EXTENSION}", std::process::id());
    let temporary = directory(path).join(temporary);
    // An earlier process of this pid may have been killed while it wrote.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(temporary),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str) -> io::Result<File> {
        replace(path, 0o600, |file| file.write_all(text.as_bytes()))
    }

    #[test]
    fn the_new_contents_take_the_place_of_the_old() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        for text in ["first, and longer", "second"] {
            write(&path, text).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_failure_keeps_the_old_contents_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        write(&path, "old").expect("written");
        let failed = replace(&path, 0o600, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no space"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
        assert!(write(&directory.path().join("missing/file"), "text").is_err());
        assert!(write(Path::new("/"), "text").is_err());
    }

    #[test]
    fn several_writers_leave_one_complete_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let texts: Vec<String> = (0..8).map(|number| number.to_string().repeat(5000)).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| write(&path, text).expect("written"));
            }
        });
        let contents = fs::read_to_string(&path).expect("read");
        assert!(texts.contains(&contents), "{} bytes", contents.len());
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
    }
}
