//! Past suspects on disk: one JSON file for each process that has any, written whole and renamed.
//!
//! Several servers may share the folder: a file's name is its process's. It bounds nothing (`suspects` does).

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use heapql_registry::ProcessKey;
use heapql_registry::durable_file::{self, TEMPORARY_EXTENSION};

use super::record::SuspectRecord;

const EXTENSION: &str = "json";
/// No file is longer, unless it is damaged or forged.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// An incomplete file of this age has no writer any more.
const LEFT_AFTER: Duration = Duration::from_secs(600);

pub(super) struct Files {
    folder: PathBuf,
    failed: AtomicU64,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Files {
        Files { folder, failed: AtomicU64::new(0) }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    fn path(&self, process: ProcessKey) -> PathBuf {
        self.folder.join(format!("{}-{}.{EXTENSION}", process.pid, process.created_at))
    }

    pub(super) fn write(&self, process: ProcessKey, records: &[SuspectRecord]) {
        let path = self.path(process);
        let written = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).and_then(|()| {
            let text = serde_json::to_vec_pretty(records)?;
            durable_file::replace(&path, 0o600, |file| file.write_all(&text))
        });
        if let Err(error) = written {
            self.failed.fetch_add(1, Relaxed);
            tracing::warn!(path = %path.display(), %error, "past suspects cannot be written");
        }
    }

    pub(super) fn remove(&self, process: ProcessKey) {
        // One that was never written is as good as removed.
        let _ = fs::remove_file(self.path(process));
    }

    /// The records of every file that can be read and is named as its records say.
    pub(super) fn load(&self) -> Vec<(ProcessKey, Vec<SuspectRecord>)> {
        let mut loaded = Vec::new();
        for path in fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let metadata = fs::metadata(&path);
            if extension == TEMPORARY_EXTENSION {
                // Another server may be writing it, unless it is old: then its writer was killed.
                let age = metadata.and_then(|file| file.modified()).map(|at| at.elapsed().unwrap_or_default());
                if age.is_ok_and(|age| age >= LEFT_AFTER) {
                    let _ = fs::remove_file(&path);
                }
                continue;
            }
            // Reading anything but a file, such as a FIFO, could wait for ever.
            let is_small = metadata.is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE_BYTES);
            let read = || serde_json::from_slice::<Vec<SuspectRecord>>(&fs::read(&path).ok()?).ok();
            match (extension == EXTENSION && is_small).then(read).flatten() {
                Some(records) if records.first().is_some_and(|first| self.path(first.process()) == path) => {
                    loaded.push((records[0].process(), records));
                }
                _ => {
                    self.failed.fetch_add(1, Relaxed);
                    tracing::warn!(path = %path.display(), "past suspects cannot be read");
                }
            }
        }
        loaded
    }
}
