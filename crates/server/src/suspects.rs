//! The suspects of all times: what was suspected, since when, what was said, and why it was cleared, in memory and on disk.
//!
//! A record outlives its process, its ledger, thinning and the server. The state of a suspicion is `registry::Suspicion`'s; the
//! files are `files`'. Called after every snapshot, and by the tables `leak_verdicts` and `past_suspects`.

mod files;
mod record;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use heapql_registry::{
    Callsite, CallsiteVerdict, History, Judgement, LeakLevel, LeakPlace, LeakVerdict, ProcessKey, Source, SourceState,
    Suspicion, SuspicionState, Usage,
};
use parking_lot::Mutex;

use crate::symbols::Namers;
use files::Files;
pub use record::SuspectRecord;

/// The most processes that have records, and the most records of one process. The oldest go first.
const MAX_PROCESSES: usize = 256;
const MAX_RECORDS: usize = 64;
/// Records that only were confirmed are written this often.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// The suspects of one server, and those that earlier servers kept in the same folder.
pub struct Suspects {
    files: Option<Files>,
    state: Mutex<State>,
}

/// A process, and the number of a leak of it.
type LeakKey = (ProcessKey, u64);

#[derive(Default)]
struct State {
    /// The suspicions, by process and number of the leak.
    suspicions: HashMap<LeakKey, Suspicion>,
    processes: BTreeMap<ProcessKey, ProcessRecords>,
    has_looked: bool,
    /// Dead processes that have been looked at after their end.
    finished: HashSet<ProcessKey>,
    dropped: u64,
}

#[derive(Default)]
struct ProcessRecords {
    records: Vec<SuspectRecord>,
    written_at: Option<SystemTime>,
    is_changed: bool,
}

impl Suspects {
    /// The records that the folder has. `None` keeps them in memory only.
    pub fn open(folder: Option<PathBuf>) -> Suspects {
        let files = folder.map(Files::new);
        let mut state = State::default();
        for (process, records) in files.iter().flat_map(Files::load) {
            for record in records.iter().filter(|record| record.is_open()) {
                state.suspicions.insert((process, record.leak_id), record.suspicion());
            }
            let written_at = Some(SystemTime::now());
            state.processes.insert(process, ProcessRecords { records, written_at, is_changed: false });
        }
        Suspects { files, state: Mutex::new(state) }
    }

    /// Looks at the newest snapshot. `sources` are all that there are; `namers` are made only for a new suspect.
    pub(crate) fn look(
        &self,
        history: &History,
        sources: &[Arc<Source>],
        namers: impl Fn() -> Namers,
        now: SystemTime,
    ) {
        let mut looked: Vec<(Arc<Source>, Vec<Callsite>)> = Vec::new();
        for source in sources {
            let process = ProcessKey::of(source);
            let is_wanted = match source.state() {
                SourceState::Alive => !source.is_own(),
                SourceState::Dead => !self.state.lock().finished.contains(&process),
                SourceState::Unreadable(_) => false,
            };
            if is_wanted && let Ok(callsites) = source.callsites_where(|_| true) {
                looked.push((Arc::clone(source), callsites));
            }
        }
        let ended: Vec<_> = looked.iter().filter(|(source, _)| source.state() == SourceState::Dead).collect();
        let ended: Vec<ProcessKey> = ended.into_iter().map(|(source, _)| ProcessKey::of(source)).collect();
        let processes = looked.iter().map(|(source, _)| ProcessKey::of(source)).collect();
        let verdicts =
            history.verdicts(looked, |process, leak_id, judgement| self.revise(process, leak_id, judgement), |_| true);
        let suspects: Vec<LeakVerdict> = verdicts.callsites.iter().map(alone).chain(verdicts.leaks).collect();
        let mut new = Vec::new();
        let mut state = self.state.lock();
        state.has_looked = true;
        for suspect in &suspects {
            state.look(suspect, now, &mut new);
        }
        let judged = suspects.iter().map(|leak| (ProcessKey::of(&leak.source), leak.place.leak_id)).collect();
        state.miss(&processes, &judged, now);
        state.finished.extend(ended);
        let there = sources.iter().map(|source| ProcessKey::of(source)).collect();
        let alive = sources.iter().filter(|source| source.state() == SourceState::Alive);
        state.end_all_but(&alive.map(|source| ProcessKey::of(source)).collect(), &there);
        drop(state);
        // Names take their time, and nobody waits for them.
        if !new.is_empty() {
            let mut namers = namers();
            let records: Vec<_> =
                new.into_iter().map(|(verdict, since)| record::new(verdict, since, now, &mut namers)).collect();
            self.state.lock().add(records);
        }
        self.write(now);
    }

    /// The judgement that holds of a leak, where one look alone says `judgement`.
    pub fn revise(&self, process: ProcessKey, leak_id: u64, judgement: Judgement) -> Judgement {
        let state = self.state.lock();
        match state.suspicions.get(&(process, leak_id)) {
            Some(suspicion) => suspicion.revise(judgement, SystemTime::now()),
            // A statement may see growth before the next look does.
            None if state.has_looked => Suspicion::default().revise(judgement, SystemTime::now()),
            // Nobody has looked at the history that a server was started with.
            None => judgement,
        }
    }

    /// Since when a leak is suspected, and when its growth was last seen.
    pub fn standing(&self, process: ProcessKey, leak_id: u64) -> Option<(SystemTime, SystemTime)> {
        let state = self.state.lock();
        let suspicion = state.suspicions.get(&(process, leak_id))?;
        let SuspicionState::Suspected(since) = suspicion.state() else { return None };
        Some((*since, suspicion.seen()?.at))
    }

    /// All records, those of processes that are gone included.
    pub fn records(&self) -> Vec<SuspectRecord> {
        self.state.lock().processes.values().flat_map(|process| process.records.iter().cloned()).collect()
    }

    fn write(&self, now: SystemTime) {
        let mut state = self.state.lock();
        let dropped = state.bound();
        let Some(files) = &self.files else { return };
        let mut due = Vec::new();
        for (process, kept) in &mut state.processes {
            let is_due = kept.written_at.is_none_or(|at| now.duration_since(at).is_ok_and(|ago| ago >= WRITTEN_EVERY));
            if kept.is_changed || is_due && kept.records.iter().any(SuspectRecord::is_open) {
                (kept.is_changed, kept.written_at) = (false, Some(now));
                due.push((*process, kept.records.clone()));
            }
        }
        drop(state);
        due.iter().for_each(|(process, records)| files.write(*process, records));
        dropped.iter().for_each(|process| files.remove(*process));
    }

    /// Rows of `self_usage` about the records.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let state = self.state.lock();
        let row = |name, value: u64, unit, description| Usage { name, value: value as i64, unit, description };
        let records = state.processes.values().map(|process| process.records.len() as u64).sum();
        vec![
            row("suspects_kept", records, "count", "rows of past_suspects: at most 64 of a process, of 256 processes"),
            row(
                "suspects_dropped",
                state.dropped,
                "count",
                "rows of past_suspects that were dropped, the oldest first",
            ),
            row(
                "suspects_failed_files",
                self.files.as_ref().map_or(0, Files::failed),
                "count",
                "files of past suspects that could not be written or read",
            ),
        ]
    }
}

/// A callsite as a leak of its own. One that belongs to a larger leak is none.
fn alone(verdict: &CallsiteVerdict) -> LeakVerdict {
    let callsite = &verdict.callsite;
    let seen = verdict.seen.clone();
    let seen = if verdict.place.level == LeakLevel::Callsite { seen } else { seen.of_part() };
    let frames = 0..callsite.stack.len();
    let place = LeakPlace { leak_id: callsite.callsite_id, level: LeakLevel::Callsite, frames };
    LeakVerdict {
        source: Arc::clone(&verdict.source),
        largest: callsite.clone(),
        place,
        seen,
        est_bytes: callsite.counters.est_bytes,
    }
}

/// Changes the newest record of a leak, if it is open.
fn update(processes: &mut BTreeMap<ProcessKey, ProcessRecords>, key: LeakKey, change: impl FnOnce(&mut SuspectRecord)) {
    let Some(kept) = processes.get_mut(&key.0) else { return };
    let of_leak = kept.records.iter_mut().filter(|record| record.leak_id == key.1);
    if let Some(record) = of_leak.max_by_key(|record| record.suspected_at())
        && record.is_open()
    {
        change(record);
        kept.is_changed |= !record.is_open();
    }
}

impl State {
    fn look<'a>(&mut self, verdict: &'a LeakVerdict, now: SystemTime, new: &mut Vec<(&'a LeakVerdict, SystemTime)>) {
        let process = ProcessKey::of(&verdict.source);
        let key = (process, verdict.place.leak_id);
        if !verdict.seen.is_suspect && !self.suspicions.contains_key(&key) {
            return;
        }
        let suspicion = self.suspicions.entry(key).or_default();
        let was_suspected = suspicion.is_suspected();
        suspicion.look(now, &verdict.seen, verdict.est_bytes.value);
        match suspicion.state() {
            SuspicionState::Suspected(since) if !was_suspected => new.push((verdict, *since)),
            SuspicionState::Unsuspected => {}
            _ => update(&mut self.processes, key, |record| record.update(verdict, suspicion)),
        }
    }

    /// Leaks of processes that were looked at, which this look did not judge.
    fn miss(&mut self, processes: &HashSet<ProcessKey>, judged: &HashSet<LeakKey>, now: SystemTime) {
        for (key, suspicion) in &mut self.suspicions {
            if processes.contains(&key.0) && !judged.contains(key) {
                suspicion.miss(now);
                update(&mut self.processes, *key, |record| record.clear(suspicion));
            }
        }
    }

    fn add(&mut self, records: Vec<SuspectRecord>) {
        for record in records {
            let kept = self.processes.entry(record.process()).or_default();
            kept.records.push(record);
            kept.is_changed = true;
        }
    }

    /// Suspects of processes that do not live any more stay as they were, and say so.
    fn end_all_but(&mut self, alive: &HashSet<ProcessKey>, there: &HashSet<ProcessKey>) {
        for (process, kept) in &mut self.processes {
            // A process without a ledger here may be another server's.
            let is_elsewhere = || Path::new("/proc").join(process.pid.to_string()).exists();
            if !alive.contains(process) && (there.contains(process) || !is_elsewhere()) {
                for record in kept.records.iter_mut().filter(|record| record.is_open() && !record.has_ended) {
                    record.has_ended = true;
                    kept.is_changed = true;
                }
            }
        }
        self.suspicions.retain(|(process, _), _| there.contains(process));
        self.finished.retain(|process| there.contains(process));
    }

    /// Drops what is beyond the bounds: processes that began first, and of one process what was suspected first.
    fn bound(&mut self) -> Vec<ProcessKey> {
        for kept in self.processes.values_mut() {
            let beyond = kept.records.len().saturating_sub(MAX_RECORDS);
            kept.records.drain(..beyond);
            self.dropped += beyond as u64;
        }
        let mut oldest: Vec<ProcessKey> = self.processes.keys().copied().collect();
        oldest.sort_by_key(|process| process.created_at);
        oldest.truncate(oldest.len().saturating_sub(MAX_PROCESSES));
        for process in &oldest {
            self.dropped += self.processes.remove(process).map_or(0, |kept| kept.records.len() as u64);
        }
        oldest
    }
}

#[cfg(test)]
mod tests;
