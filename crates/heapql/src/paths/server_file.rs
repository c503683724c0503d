//! The file by which verbs find a running server: its endpoints, in the directory of its ledgers. It holds no secrets.
//!
//! The server holds a lock on the file. The lock ends with the process and is visible from other pid namespaces, so a file without a lock
//! was left by a killed server. Written by `service`, read by the verbs that ask a server (`client`).

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use heapql_registry::{RUN_PREFIX, durable_file};

use crate::endpoints::Endpoints;
use crate::error::Error;

const PREFIX: &str = "server-";
const SUFFIX: &str = ".json";
/// Maximum size that is read. A file has less than a hundred bytes.
const MAX_BYTES: u64 = 4 << 10;
/// Maximum number of servers that are listed.
const MAX_FOUND: usize = 64;

/// The file, which exists while its server runs.
pub(crate) struct ServerFile {
    path: PathBuf,
    _locked: File,
}

impl ServerFile {
    /// Writes the file in one step. It is locked before it gets its name.
    pub(crate) fn write(dir: &Path, endpoints: &Endpoints) -> Result<ServerFile, Error> {
        let path = dir.join(format!("{PREFIX}{}{SUFFIX}", endpoints.pid));
        let written = durable_file::replace(&path, 0o600, |file| {
            file.try_lock().map_err(io::Error::from)?;
            file.write_all(serde_json::to_string(endpoints)?.as_bytes())
        });
        match written {
            Ok(file) => Ok(ServerFile { path, _locked: file }),
            Err(error) => Err(Error::new(format!("cannot write '{}': {error}", path.display()))),
        }
    }
}

impl Drop for ServerFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A server that is running.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RunningServer {
    pub(crate) endpoints: Endpoints,
    /// The directory that it serves: the root, or that of one run.
    pub(crate) dir: PathBuf,
    started_at: SystemTime,
}

/// The servers of `root` itself, and those of its runs, each newest first. Removes the files of servers that have ended.
pub(crate) fn running_servers(root: &Path) -> (Vec<RunningServer>, Vec<RunningServer>) {
    let runs = entries(root).filter(|path| name(path).is_some_and(|name| name.starts_with(RUN_PREFIX)));
    (newest_first(running_in(root)), newest_first(runs.flat_map(|dir| running_in(&dir)).collect()))
}

fn newest_first(mut found: Vec<RunningServer>) -> Vec<RunningServer> {
    found.sort_by_key(|server| std::cmp::Reverse(server.started_at));
    found.truncate(MAX_FOUND);
    found
}

fn running_in(dir: &Path) -> Vec<RunningServer> {
    let files =
        entries(dir).filter(|path| name(path).is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)));
    files.filter_map(|path| read(dir, &path)).collect()
}

fn read(dir: &Path, path: &Path) -> Option<RunningServer> {
    let file = File::open(path).ok()?;
    match file.try_lock_shared() {
        // No server holds the lock.
        Ok(()) => {
            let _ = fs::remove_file(path);
            return None;
        }
        Err(TryLockError::WouldBlock) => {}
        // A file system without locks: better a server that does not answer than none.
        Err(TryLockError::Error(_)) => {}
    }
    let mut text = String::new();
    (&file).take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let started_at = file.metadata().and_then(|found| found.modified()).ok()?;
    Some(RunningServer { endpoints: serde_json::from_str(&text).ok()?, dir: dir.to_owned(), started_at })
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Removes the files of killed servers in a directory.
pub(super) fn remove_stale(dir: &Path) {
    running_in(dir);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn endpoints(port: u16) -> Endpoints {
        Endpoints { postgres: Some(([127, 0, 0, 1], port).into()), pid: std::process::id(), ..Endpoints::default() }
    }

    fn ports(found: &[RunningServer]) -> Vec<u16> {
        found.iter().filter_map(|server| Some(server.endpoints.postgres?.port())).collect()
    }

    #[test]
    fn it_is_found_while_it_is_held() {
        let root = tempfile::tempdir().expect("a directory");
        let run = root.path().join(format!("{RUN_PREFIX}1"));
        fs::create_dir(&run).expect("created");
        let own = ServerFile::write(root.path(), &endpoints(1)).expect("written");
        let of_run = ServerFile::write(&run, &endpoints(2)).expect("written");
        let (servers, runs) = running_servers(root.path());
        assert_eq!((ports(&servers), ports(&runs)), (vec![1], vec![2]));
        assert_eq!(runs[0].dir, run);
        let path = own.path.clone();
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        drop((own, of_run));
        assert!(!path.exists());
        assert_eq!(running_servers(root.path()), (vec![], vec![]));
    }

    #[test]
    fn one_that_nobody_holds_is_removed_and_nonsense_is_ignored() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("server-1.json");
        fs::write(&path, "{\"postgres\":\"127.0.0.1:1\",\"pid\":1}").expect("written");
        assert_eq!(running_servers(root.path()).0, vec![]);
        assert!(!path.exists());
        let held = File::create(&path).expect("created");
        held.lock().expect("locked");
        fs::write(&path, "nonsense").expect("written");
        assert_eq!(running_servers(root.path()).0, vec![]);
        assert!(path.exists());
    }
}
