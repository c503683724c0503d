//! The server's history: snapshots when they are due, marks, and the files that keep both across a restart.
//!
//! `heapql_registry::History` decides what is kept and what is dropped, `suspects` what is suspected; the files' format is in `files`.
//! Called by `Server::tick` once a second, and by the tables and functions that read it.

mod files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use heapql_registry::{History, MAX_MARKS, Registry, Snapshot, Tiers, TooManyMarks, Usage};
use parking_lot::Mutex;

use crate::failure::{Failure, FailureKind};
use crate::parameters;
use crate::parameters::Parameters;
use crate::suspects::Suspects;
use crate::symbols::StackNames;
use files::Files;

/// The longest name of a mark, in bytes.
const MAX_NAME: usize = 64;

/// The history of one server, with the files that keep it.
pub struct ServerHistory {
    history: History,
    files: Option<Files>,
    suspects: Suspects,
    /// Held while a snapshot is taken, so that files are written in the order of the snapshots.
    due_at: Mutex<Option<Instant>>,
}

/// Programs do things every 10 seconds, too: snapshots at even distances would see the same moment of each round, and
/// take a round for a trend. So each is early or late by up to a quarter.
fn uneven(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.75..1.25))
}

impl ServerHistory {
    /// With what the folder has of sources that are still there.
    pub fn open(folder: Option<PathBuf>, suspect_folder: Option<PathBuf>, registry: &Registry) -> ServerHistory {
        let recorded = ServerHistory {
            history: History::default(),
            files: folder.map(Files::new),
            suspects: Suspects::open(suspect_folder),
            due_at: Mutex::new(None),
        };
        if let Some(files) = &recorded.files {
            recorded.history.restore(files.load(), &registry.sources());
        }
        recorded
    }

    /// The snapshots and marks in memory.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The suspects of all times.
    pub fn suspects(&self) -> &Suspects {
        &self.suspects
    }

    /// Takes a snapshot if one is due, and looks at its suspects.
    pub fn tick(&self, registry: &Registry, parameters: &Parameters, names: &StackNames) {
        let tiers = tiers(parameters);
        let mut due_at = self.due_at.lock();
        if due_at.is_some_and(|at| Instant::now() < at) {
            registry.tidy();
            return;
        }
        *due_at = Some(Instant::now() + uneven(tiers.every()));
        self.take(registry, parameters, names);
    }

    /// Takes a snapshot, due or not, and looks at its suspects.
    pub fn look_now(&self, registry: &Registry, parameters: &Parameters, names: &StackNames) {
        let _held = self.due_at.lock();
        self.take(registry, parameters, names);
    }

    fn take(&self, registry: &Registry, parameters: &Parameters, names: &StackNames) {
        let (sources, now) = (registry.sources(), SystemTime::now());
        self.history.take(&sources, now, &tiers(parameters));
        self.write();
        self.suspects.look(&self.history, &sources, || names.namers(parameters), now);
    }

    /// Takes a snapshot now and gives it a name of 1 to 64 bytes.
    pub fn mark(&self, name: &str, registry: &Registry, parameters: &Parameters) -> Result<Snapshot, Failure> {
        let wrong = |message: String| Failure::new(FailureKind::Query, message);
        if name.is_empty() || name.len() > MAX_NAME {
            let shown: String = name.chars().take(MAX_NAME).collect();
            let message = format!("'{shown}' cannot be the name of a mark: it must have 1 to {MAX_NAME} bytes");
            return Err(wrong(message).hint("for example: SELECT mark('before')"));
        }
        let _held = self.due_at.lock();
        let marked = self.history.mark(name, &registry.sources(), SystemTime::now(), &tiers(parameters));
        let snapshot = marked.map_err(|TooManyMarks| {
            wrong(format!("there are {MAX_MARKS} marks already")).hint("SELECT unmark('name') forgets one")
        })?;
        self.write();
        Ok(snapshot)
    }

    /// False if there is no such mark.
    pub fn unmark(&self, name: &str) -> bool {
        let _held = self.due_at.lock();
        let found = self.history.unmark(name);
        self.write();
        found
    }

    fn write(&self) {
        let pending = self.history.pending();
        if let Some(files) = &self.files {
            files.apply(pending);
        }
    }

    /// Rows of `self_usage` about the history.
    pub fn usage(&self) -> Vec<Usage> {
        let mut rows = self.history.usage();
        rows.extend(self.files.iter().flat_map(Files::usage));
        rows.extend(self.suspects.usage());
        rows
    }

    /// A moment as users write it: the name of a mark, a time, or how long ago ("10m", "90 s", "2 hours").
    pub fn moment(&self, text: &str) -> Result<Arc<Snapshot>, Failure> {
        let snapshots = self.history.snapshots();
        let text = text.trim();
        if let Some(marked) = snapshots.iter().find(|snapshot| snapshot.mark.as_deref() == Some(text)) {
            return Ok(Arc::new(marked.clone()));
        }
        let Some(at) = time(text) else {
            let marks: Vec<_> = snapshots.iter().filter_map(|snapshot| snapshot.mark.as_deref()).collect();
            let marks = if marks.is_empty() { "there are no marks".to_owned() } else { marks.join(", ") };
            let shown: String = text.chars().take(MAX_NAME).collect();
            let message = format!("'{shown}' is neither a mark nor a time (marks: {marks})");
            return Err(Failure::new(FailureKind::Query, message).hint(
                "a mark is set by SELECT mark('name'); a time is '2026-11-23 10:00:00' (UTC), or '10 minutes' for that \
                 long ago",
            ));
        };
        let distance = |snapshot: &&Snapshot| match snapshot.at.duration_since(at) {
            Ok(later) => later,
            Err(earlier) => earlier.duration(),
        };
        let nearest = snapshots.iter().min_by_key(distance).cloned().map(Arc::new);
        nearest.ok_or_else(|| {
            Failure::new(FailureKind::Query, "there is no snapshot yet")
                .hint("a running server takes one every _history_snapshot_interval seconds")
        })
    }
}

fn tiers(parameters: &Parameters) -> Tiers {
    let number = |spec| u64::from(parameters.number(spec));
    Tiers::new(
        Duration::from_secs(number(&parameters::HISTORY_INTERVAL)),
        Duration::from_secs(3600 * number(&parameters::HISTORY_HOURS)),
        (number(&parameters::HISTORY_MEMORY) as usize) << 20,
    )
}

fn time(text: &str) -> Option<SystemTime> {
    ago(text).and_then(|ago| SystemTime::now().checked_sub(ago)).or_else(|| absolute(text))
}

fn ago(text: &str) -> Option<Duration> {
    let text = text.trim_start_matches('-').trim_end_matches(" ago").trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(unit)?))
}

/// As timestamps are printed, in UTC.
fn absolute(text: &str) -> Option<SystemTime> {
    let nanos = arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text).ok()?;
    let since = Duration::from_nanos(u64::try_from(nanos).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_users_write_them() {
        for (text, seconds) in [("10m", 600), ("90 s", 90), ("-2 hours", 7200), ("5 minutes ago", 300), ("7d", 604_800)]
        {
            assert_eq!(ago(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "10", "m", "ten m", "10 parsecs", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(ago(text), None, "{text}");
        }
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        assert_eq!(absolute("1970-01-02 00:00:00"), Some(at));
        assert_eq!(absolute("1970-01-02T00:00:00Z"), Some(at));
        assert_eq!(absolute("yesterday"), None);
    }
}
