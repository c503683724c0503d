//! Every callsite's counters over time: snapshots that are dense for the last minutes and sparse before, under a bound.
//!
//! Only changes are kept: a callsite that did nothing takes no memory, however often it is looked at. A process is kept as
//! long as its ledger, which alone knows its stacks. It has no clock and no thread (the binary's service calls it), writes
//! no file (the server does) and judges nothing (`verdict` does).

mod growth;
mod point;
mod thin;
mod totals;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

pub use growth::CallsiteGrowth;
pub use point::Point;
pub use thin::{Tier, Tiers};
pub use totals::SnapshotTotals;

use crate::source::{Source, SourceState};
use crate::{Counters, Usage};

/// The most marks there can be. Each keeps a snapshot for as long as the server runs.
pub const MAX_MARKS: usize = 64;
/// No callsite has this number.
pub(crate) const WHOLE: u64 = u64::MAX;
/// Overhead of a series beside its points, in bytes.
const SERIES_BYTES: usize = 96;

/// The identity of one process among all that ever were.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProcessKey {
    /// Number of the process.
    pub pid: i32,
    /// Time at which its recording began, in nanoseconds since 1970.
    pub created_at: u64,
}

impl ProcessKey {
    /// The key of a source's process.
    pub fn of(source: &Source) -> ProcessKey {
        ProcessKey { pid: source.pid(), created_at: source.created_at() }
    }
}

/// One look at all processes.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// Later snapshots have greater numbers.
    pub number: u32,
    /// Time at which it was taken.
    pub at: SystemTime,
    /// Its name, if it was taken as a mark, which is kept.
    pub mark: Option<Arc<str>>,
}

/// One changed callsite of one snapshot.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CallsiteChange {
    /// The process.
    pub process: ProcessKey,
    /// Number of the callsite. `u64::MAX` stands for all callsites of the process together.
    pub callsite_id: u64,
    /// The counters at the snapshot.
    pub point: Point,
}

/// The changes that files need so that they hold the history.
#[derive(Default, Debug)]
pub struct FileChanges {
    /// Snapshots to write, each with all its changes. A file that is there is replaced.
    pub write: Vec<(Snapshot, Vec<CallsiteChange>)>,
    /// Numbers of snapshots whose files are to be removed.
    pub remove: Vec<u32>,
}

/// A process's callsites over time.
#[derive(Clone, Debug)]
pub struct Track {
    /// The process.
    pub process: ProcessKey,
    /// Time of the first snapshot that found it dead.
    pub ended_at: Option<SystemTime>,
    /// Time of the first snapshot that has it.
    pub since: SystemTime,
    series: HashMap<u64, Vec<Point>>,
    /// The sums over all callsites, those of which nothing was ever seen live included.
    whole: Vec<Point>,
}

#[derive(Default)]
struct HistoryState {
    snapshots: Vec<Snapshot>,
    /// The tracks are shared with readers. One that changes while it is read is copied.
    tracks: BTreeMap<ProcessKey, Arc<Track>>,
    next: u32,
    pending_writes: Vec<u32>,
    pending_removals: Vec<u32>,
    dropped_snapshots: u64,
    dropped_processes: u64,
}

/// The history of all processes.
pub struct History {
    kept: Mutex<HistoryState>,
}

impl Default for History {
    fn default() -> History {
        History { kept: Mutex::new(HistoryState { next: 1, ..HistoryState::default() }) }
    }
}

impl History {
    /// Takes a snapshot of every source. A dead one is looked at once more, and then stays as it was.
    pub fn take(&self, sources: &[Arc<Source>], at: SystemTime, tiers: &Tiers) -> Snapshot {
        self.record(sources, at, tiers, None)
    }

    /// Forgets the name of a mark. Its snapshot is then kept as long as any other. Returns false if there is no such mark.
    pub fn unmark(&self, name: &str) -> bool {
        let mut kept = self.kept.lock();
        let Some(marked) = kept.snapshots.iter_mut().find(|snapshot| snapshot.mark.as_deref() == Some(name)) else {
            return false;
        };
        marked.mark = None;
        let number = marked.number;
        kept.pending_writes.push(number);
        true
    }

    /// Takes a snapshot with a name, which is kept. If an older one has that name, it loses it.
    pub fn mark(
        &self,
        name: &str,
        sources: &[Arc<Source>],
        at: SystemTime,
        tiers: &Tiers,
    ) -> Result<Snapshot, TooManyMarks> {
        let marks = self.kept.lock().snapshots.iter().filter(|snapshot| snapshot.mark.is_some()).count();
        if !self.unmark(name) && marks >= MAX_MARKS {
            return Err(TooManyMarks);
        }
        Ok(self.record(sources, at, tiers, Some(name.into())))
    }

    fn record(&self, sources: &[Arc<Source>], at: SystemTime, tiers: &Tiers, mark: Option<Arc<str>>) -> Snapshot {
        // Ledgers are read before the lock is taken: readers do not wait for them.
        let ended = self.ended();
        let read = |source: &Arc<Source>| {
            let process = ProcessKey::of(source);
            let state = source.state();
            let is_over = ended.contains(&process);
            if matches!(state, SourceState::Unreadable(_)) || is_over {
                return None;
            }
            Some((process, state == SourceState::Dead, source.counters().ok()?))
        };
        let looked: Vec<_> = sources.iter().filter_map(read).collect();
        let mut kept = self.kept.lock();
        kept.forget_all_but(sources);
        let snapshot = Snapshot { number: kept.next, at, mark };
        kept.next += 1;
        for (process, is_dead, counters) in looked {
            let track = kept.track(process, at);
            track.add(snapshot.number, &counters);
            track.ended_at = is_dead.then_some(at);
        }
        kept.snapshots.push(snapshot.clone());
        kept.pending_writes.push(snapshot.number);
        kept.thin(tiers, at);
        snapshot
    }

    fn ended(&self) -> Vec<ProcessKey> {
        let kept = self.kept.lock();
        kept.tracks.values().filter(|track| track.ended_at.is_some()).map(|track| track.process).collect()
    }

    /// The snapshots that are kept, the oldest first.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.kept.lock().snapshots.clone()
    }

    /// The tracks of all processes, in the order of their keys, and the snapshots that their points name.
    pub fn tracks(&self) -> (Vec<Arc<Track>>, Vec<Snapshot>) {
        let kept = self.kept.lock();
        (kept.tracks.values().cloned().collect(), kept.snapshots.clone())
    }

    fn track(&self, process: ProcessKey) -> Option<Arc<Track>> {
        self.kept.lock().tracks.get(&process).cloned()
    }

    /// The counters of a process's callsites at a snapshot, by callsite number. A process that was not there yet has none.
    pub fn as_of(&self, process: ProcessKey, snapshot: &Snapshot) -> HashMap<u64, Point> {
        let track = self.track(process).filter(|track| track.since <= snapshot.at);
        track.iter().flat_map(|track| track.as_of(snapshot.number)).map(|(id, point)| (id, *point)).collect()
    }

    /// The files that have to be written and removed since the last call.
    pub fn pending(&self) -> FileChanges {
        let mut kept = self.kept.lock();
        let mut numbers = std::mem::take(&mut kept.pending_writes);
        numbers.sort_unstable();
        numbers.dedup();
        let remove = std::mem::take(&mut kept.pending_removals);
        let write = numbers.into_iter().filter_map(|number| kept.snapshot_with_changes(number)).collect();
        FileChanges { write, remove }
    }

    /// Restores what files had, the oldest snapshot first. Processes that `sources` does not have are left out, because
    /// nothing knows their stacks any more.
    pub fn restore(&self, snapshots: Vec<(Snapshot, Vec<CallsiteChange>)>, sources: &[Arc<Source>]) {
        let mut kept = self.kept.lock();
        let there: HashMap<_, _> = sources.iter().map(|source| (ProcessKey::of(source), source.state())).collect();
        for (snapshot, changes) in snapshots {
            for CallsiteChange { process, callsite_id, point } in changes {
                let Some(state) = there.get(&process) else {
                    continue;
                };
                let track = kept.track(process, snapshot.at);
                // The exact time of death is unknown; the last changed snapshot is used.
                track.ended_at = (*state == SourceState::Dead).then_some(snapshot.at);
                let point = Point { snapshot: snapshot.number, ..point };
                match callsite_id {
                    WHOLE => track.whole.push(point),
                    id => track.series.entry(id).or_default().push(point),
                }
            }
            kept.next = kept.next.max(snapshot.number + 1);
            kept.snapshots.push(snapshot);
        }
    }

    /// Rows of `self_usage` about the history.
    pub fn usage(&self) -> Vec<Usage> {
        let kept = self.kept.lock();
        let row = |name, value: u64, unit, description| Usage { name, value: value as i64, unit, description };
        vec![
            row("history_bytes", kept.bytes() as u64, "bytes", "memory of the history, at most _history_memory_limit"),
            row("history_snapshots", kept.snapshots.len() as u64, "count", "snapshots kept; they grow sparse with age"),
            row(
                "history_dropped_snapshots",
                kept.dropped_snapshots,
                "count",
                "snapshots dropped before their time to stay within _history_memory_limit",
            ),
            row(
                "history_dropped_processes",
                kept.dropped_processes,
                "count",
                "processes whose history was dropped: with their ledgers, or to stay within _history_memory_limit",
            ),
        ]
    }
}

/// The error for a mark beyond [`MAX_MARKS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyMarks;

impl Track {
    fn add(&mut self, number: u32, counters: &[(u64, Counters)]) {
        let whole = Point::of(number, &counters.iter().map(|(_, counters)| *counters).sum());
        if !self.whole.last().is_some_and(|last| last.is_same(&whole)) {
            self.whole.push(whole);
        }
        for (id, counters) in counters {
            let point = Point::of(number, counters);
            match self.series.get_mut(id) {
                Some(points) if points.last().is_some_and(|last| last.is_same(&point)) => {}
                Some(points) => points.push(point),
                // A callsite that had come and gone before the first look says nothing about growth.
                None if point.live_count == 0 => {}
                None => drop(self.series.insert(*id, vec![point])),
            }
        }
    }

    /// The sums over all callsites, those of which nothing was ever seen live included.
    pub fn whole(&self) -> &[Point] {
        &self.whole
    }

    /// Each callsite with its points, the oldest first. Between two points nothing changed.
    pub fn series(&self) -> impl Iterator<Item = (u64, &[Point])> {
        self.series.iter().map(|(id, points)| (*id, points.as_slice()))
    }

    /// The points of a callsite, the oldest first. `None` if it is not kept.
    pub fn points(&self, callsite_id: u64) -> Option<&[Point]> {
        self.series.get(&callsite_id).map(Vec::as_slice)
    }

    /// The counters of each callsite at a snapshot.
    pub fn as_of(&self, number: u32) -> impl Iterator<Item = (u64, &Point)> {
        self.series().filter_map(move |(id, points)| Some((id, as_of(points, number)?)))
    }

    fn bytes(&self) -> usize {
        self.series.values().map(|points| SERIES_BYTES + points.capacity() * size_of::<Point>()).sum()
    }
}

/// The point that holds at a snapshot: the last that is not younger.
pub fn as_of(points: &[Point], number: u32) -> Option<&Point> {
    let after = points.partition_point(|point| point.snapshot <= number);
    points.get(after.checked_sub(1)?)
}

impl HistoryState {
    fn bytes(&self) -> usize {
        self.tracks.values().map(|track| track.bytes()).sum()
    }

    /// The track of a process, which is new if it is not kept yet.
    fn track(&mut self, process: ProcessKey, since: SystemTime) -> &mut Track {
        let new = || Arc::new(Track { process, ended_at: None, since, series: HashMap::new(), whole: Vec::new() });
        Arc::make_mut(self.tracks.entry(process).or_insert_with(new))
    }

    /// A ledger that cannot be read for the moment may be that of any process of its pid.
    fn forget_all_but(&mut self, sources: &[Arc<Source>]) {
        let before = self.tracks.len();
        let is_readable = |source: &&Arc<Source>| !matches!(source.state(), SourceState::Unreadable(_));
        let (readable, unreadable): (Vec<_>, Vec<_>) = sources.iter().partition(is_readable);
        let there: HashSet<ProcessKey> = readable.into_iter().map(|source| ProcessKey::of(source)).collect();
        let pids: HashSet<i32> = unreadable.into_iter().map(|source| source.pid()).collect();
        self.tracks.retain(|process, _| there.contains(process) || pids.contains(&process.pid));
        self.dropped_processes += (before - self.tracks.len()) as u64;
    }

    fn snapshot_with_changes(&self, number: u32) -> Option<(Snapshot, Vec<CallsiteChange>)> {
        let at = self.snapshots.binary_search_by_key(&number, |snapshot| snapshot.number).ok()?;
        let changes = self.tracks.values().flat_map(|track| {
            track.series().chain([(WHOLE, track.whole())]).filter_map(move |(callsite_id, points)| {
                let at = points.binary_search_by_key(&number, |point| point.snapshot).ok()?;
                Some(CallsiteChange { process: track.process, callsite_id, point: points[at] })
            })
        });
        Some((self.snapshots[at].clone(), changes.collect()))
    }
}
