//! The registry: every process whose ledger lies under one directory, alive or dead, and what is live in each.
//!
//! It reads ledgers when it is asked and keeps no rows of its own. It also keeps the history of their counters, and judges
//! by it which callsites leak. It knows nothing of SQL, of symbols or of other servers. A file that cannot be read is a
//! source that says why, never a missing one. The tables call it for every query, the binary for its verbs.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod counters;
pub mod durable_file;
mod estimate;
mod history;
mod liveness;
mod modules;
mod procfs;
mod retention;
mod source;
mod suspicion;
mod verdict;
mod verdicts;

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use heapql_ledger::{Intervals, Ledger, Sampling};
use parking_lot::Mutex;

pub use counters::Counters;
pub use estimate::Estimate;
pub use heapql_ledger::{ModuleRecord, ReadError};
pub use history::{
    CallsiteChange, CallsiteGrowth, FileChanges, History, MAX_MARKS, Point, ProcessKey, Snapshot, SnapshotTotals, Tier,
    Tiers, TooManyMarks, Track, as_of,
};
pub use modules::ModuleMap;
pub use source::{Callsite, LossCount, Source, SourceState};
pub use suspicion::{SeenGrowth, Suspicion, SuspicionState};
pub use verdict::{Judgement, Rate, Timeline, Verdict};
pub use verdicts::{CallsiteVerdict, LeakLevel, LeakPlace, LeakVerdict, Verdicts};

/// Name of the file from which a process that starts takes its intervals and depth, such as "16 256 32".
pub const INTERVALS_FILE: &str = "intervals";
/// Extension of a ledger.
const LEDGER: &str = "heapql";
/// Prefix of subdirectories that hold ledgers. Each `heapql run` makes one.
pub const RUN_PREFIX: &str = "run-";
/// A file this young may still be in creation.
const CREATION: Duration = Duration::from_secs(5);
/// The interval at which dead processes' files are counted and the oldest removed.
const RETENTION_EVERY: Duration = Duration::from_millis(500);

/// The directory of ledgers, and the bounds on those of dead processes.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// Directory of ledgers and of `run-*` directories of ledgers.
    pub root: PathBuf,
    /// Bound on the number of files of dead processes. Beyond it files are removed, first those that hold nothing, then those
    /// that hold little, then the oldest. `usize::MAX` removes none.
    pub keep_dead_files: usize,
    /// Bound on their bytes, in the same way. `u64::MAX` removes none.
    pub keep_dead_bytes: u64,
}

impl RegistrySettings {
    /// Settings that remove nothing, for reading only.
    pub fn read_only(root: PathBuf) -> RegistrySettings {
        RegistrySettings { root, keep_dead_files: usize::MAX, keep_dead_bytes: u64::MAX }
    }

    /// The bounds of a server: 192 dead processes, 512 MiB. Recorded processes remove the oldest beyond 256, without a look
    /// at what they hold; a server's bounds are lower so that it removes first.
    pub fn serving(root: PathBuf) -> RegistrySettings {
        RegistrySettings { root, keep_dead_files: 192, keep_dead_bytes: 512 << 20 }
    }
}

/// A number about the profiler itself: a row of `self_usage`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Name of the number, in lower case with underscores.
    pub name: &'static str,
    /// The number, in `unit`.
    pub value: i64,
    /// The unit, such as bytes or count.
    pub unit: &'static str,
    /// The meaning of the number, in words.
    pub description: &'static str,
}

/// All sources under one directory.
pub struct Registry {
    settings: RegistrySettings,
    known: Mutex<KnownSources>,
    /// Bytes of stacks kept by all sources together.
    stack_bytes: Arc<AtomicUsize>,
    removed_files: AtomicU64,
    removed_bytes: AtomicU64,
}

#[derive(Default)]
struct KnownSources {
    sources: HashMap<PathBuf, Arc<Source>>,
    retained_at: Option<Instant>,
    /// The time at which a file had last been added to the directory, or removed.
    changed_at: Option<SystemTime>,
}

impl Registry {
    /// Opens a registry over a directory, which it creates (mode 0700) if it is missing. Errors are those of creating it.
    pub fn open(settings: RegistrySettings) -> io::Result<Registry> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&settings.root)?;
        Ok(Registry {
            settings,
            known: Mutex::default(),
            stack_bytes: Arc::default(),
            removed_files: AtomicU64::new(0),
            removed_bytes: AtomicU64::new(0),
        })
    }

    /// The directory of ledgers.
    pub fn root(&self) -> &Path {
        &self.settings.root
    }

    /// Looks at the directory again and returns every source, the oldest first.
    pub fn sources(&self) -> Vec<Arc<Source>> {
        let _span = tracing::info_span!("sources").entered();
        let paths = ledger_paths(&self.settings.root);
        let mut known = self.known.lock();
        let mut found = HashMap::with_capacity(paths.len());
        for path in paths {
            if let Some(source) = self.source(&known, &path) {
                found.insert(path, source);
            }
        }
        known.sources = found;
        let mut sources: Vec<_> = known.sources.values().cloned().collect();
        sources.sort_by_key(|source| (source.created_at(), source.id()));
        let mut replaced = liveness::judge(&mut sources);
        // A child of the image that exec ended may still have it mapped.
        replaced.retain(|source| !source.is_held());
        if known.retained_at.is_none_or(|at| at.elapsed() > RETENTION_EVERY) {
            known.retained_at = Some(Instant::now());
            if self.settings.keep_dead_files != usize::MAX {
                self.forget(&mut known, &replaced);
            }
            self.retain(&mut known, &mut sources);
        }
        sources
    }

    /// Keeps to the bounds while there are no queries, if ledgers have come or gone. Otherwise the processes that start keep to
    /// theirs, and remove the oldest whatever it holds.
    pub fn tidy(&self) {
        let changed_at = std::fs::metadata(&self.settings.root).and_then(|root| root.modified()).ok();
        let before = std::mem::replace(&mut self.known.lock().changed_at, changed_at);
        if before != changed_at {
            self.sources();
        }
    }

    /// The source of a path. A known one that could not be read is read again, because that may have been temporary.
    fn source(&self, known: &KnownSources, path: &Path) -> Option<Arc<Source>> {
        if let Some(source) = known.sources.get(path)
            && source.is_readable()
        {
            return Some(source.clone());
        }
        match Ledger::open(path) {
            Ok(ledger) => Some(Arc::new(Source::new(path, ledger, self.stack_bytes.clone()))),
            Err(ReadError::NotReady) if is_young(path) => None,
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Arc::new(Source::unreadable(path, &error))),
        }
    }

    fn retain(&self, known: &mut KnownSources, sources: &mut Vec<Arc<Source>>) {
        let removed = retention::beyond(&self.settings, sources);
        self.forget(known, &removed);
        sources.retain(|source| !removed.iter().any(|gone| Arc::ptr_eq(gone, source)));
    }

    /// Removes files; what cannot be removed is found again.
    fn forget(&self, known: &mut KnownSources, gone: &[Arc<Source>]) {
        for source in gone {
            if let Err(error) = std::fs::remove_file(source.path()) {
                tracing::debug!(path = %source.path().display(), %error, "cannot remove a ledger");
                continue;
            }
            self.removed_files.fetch_add(1, Relaxed);
            self.removed_bytes.fetch_add(source.ledger_bytes(), Relaxed);
            known.sources.remove(source.path());
        }
    }

    /// Changes the sampling of every live process, and of those that start later. Returns the files and processes for which
    /// it failed, with the errors.
    pub fn set_sampling(&self, sampling: Sampling) -> Vec<(String, io::Error)> {
        let mut failed = Vec::new();
        let root = &self.settings.root;
        // First the file, so that a process that starts in between is not missed.
        for dir in run_dirs(root).into_iter().chain([root.clone()]) {
            if let Err(error) = write_sampling(&dir, sampling) {
                failed.push((dir.join(INTERVALS_FILE).display().to_string(), error));
            }
        }
        for source in self.sources() {
            if source.state() == SourceState::Alive
                && let Err(error) = source.set_sampling(sampling)
            {
                failed.push((format!("process {} ({})", source.pid(), source.command()), error));
            }
        }
        failed
    }

    /// Rows of `self_usage` about what the registry keeps and has dropped.
    pub fn usage(&self) -> Vec<Usage> {
        let sources = self.known.lock().sources.len();
        let row = |name, value: u64, unit, description| Usage { name, value: value as i64, unit, description };
        vec![
            row("sources", sources as u64, "count", "ledgers found: live, dead and unreadable processes"),
            row(
                "stack_cache_bytes",
                self.stack_bytes.load(Relaxed) as u64,
                "bytes",
                "stacks kept so that they need not be read again, at most 256 MiB",
            ),
            row(
                "removed_ledgers",
                self.removed_files.load(Relaxed),
                "count",
                "ledgers removed: of images that exec replaced, and of the oldest dead processes beyond the bounds",
            ),
            row("removed_ledger_bytes", self.removed_bytes.load(Relaxed), "bytes", "size of the removed ledgers"),
        ]
    }
}

/// Replaces the file of intervals in one step, so that a process that starts never reads half of it.
fn write_sampling(dir: &Path, sampling: Sampling) -> io::Result<()> {
    let Sampling { intervals: Intervals { min, max }, depth } = sampling;
    let text = format!("{min} {max} {depth}\n");
    durable_file::replace(&dir.join(INTERVALS_FILE), 0o644, |file| file.write_all(text.as_bytes()))?;
    Ok(())
}

fn is_young(path: &Path) -> bool {
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < CREATION))
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn run_dirs(root: &Path) -> Vec<PathBuf> {
    entries(root)
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(RUN_PREFIX)))
        .filter(|path| path.is_dir())
        .collect()
}

fn ledger_paths(root: &Path) -> Vec<PathBuf> {
    run_dirs(root)
        .iter()
        .map(PathBuf::as_path)
        .chain([root])
        .flat_map(entries)
        .filter(|path| path.extension().is_some_and(|extension| extension == LEDGER))
        .collect()
}
