//! The verdicts on all callsites: the history of each process and its present counters, judged.
//!
//! It reads no ledger (its callers pass the callsites) and looks up no name. Called for `leak_suspects`; it needs neither
//! SQL nor a server.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::history::{History, ProcessKey, Track};
use crate::source::{Callsite, Source, SourceState};
use crate::verdict::{Judgement, Timeline, Verdict};

/// One callsite with what its history says of it.
#[derive(Clone)]
pub struct CallsiteVerdict {
    /// The process.
    pub source: Arc<Source>,
    /// The callsite, with its present counters.
    pub callsite: Callsite,
    /// The verdict.
    pub judgement: Judgement,
    /// Live bytes at the last snapshot, by which callsites that are no suspects are ordered.
    last_bytes: f64,
}

/// The callsites that were judged.
#[derive(Default)]
pub struct Verdicts {
    /// Suspects of living processes come first, then those of ended processes, then all others.
    pub callsites: Vec<CallsiteVerdict>,
    /// The number of callsites with each verdict, those included that were not kept.
    pub counts: BTreeMap<Verdict, usize>,
    /// The longest history of a process among them.
    pub longest: Duration,
    /// The number of snapshots in the history.
    pub snapshots: usize,
}

impl History {
    /// Judges the callsites of processes that the history has. `revise` has the last word on each, by its process and number, and
    /// `keeps` says which judgements are wanted.
    pub fn verdicts(
        &self,
        processes: impl IntoIterator<Item = (Arc<Source>, Vec<Callsite>)>,
        revise: impl Fn(ProcessKey, u64, Judgement) -> Judgement,
        keeps: impl Fn(&Judgement) -> bool,
    ) -> Verdicts {
        let (tracks, snapshots) = self.tracks();
        let tracks: HashMap<ProcessKey, Arc<Track>> = tracks.into_iter().map(|track| (track.process, track)).collect();
        let now = SystemTime::now();
        let mut verdicts = Verdicts { snapshots: snapshots.len(), ..Verdicts::default() };
        for (source, callsites) in processes {
            let Some(track) = tracks.get(&ProcessKey::of(&source)) else {
                continue;
            };
            let has_ended = source.state() == SourceState::Dead;
            let timeline = Timeline::new(source.started_at(), has_ended, track, &snapshots, now);
            verdicts.longest = verdicts.longest.max(timeline.duration());
            for callsite in callsites {
                let Some(points) = track.points(callsite.callsite_id) else {
                    continue;
                };
                let judgement = revise(track.process, callsite.callsite_id, timeline.judge(points));
                *verdicts.counts.entry(judgement.verdict).or_default() += 1;
                if keeps(&judgement) {
                    let last_bytes = points.last().map_or(callsite.counters.est_bytes.value, |point| point.est_bytes);
                    verdicts.callsites.push(CallsiteVerdict {
                        source: Arc::clone(&source),
                        callsite,
                        judgement,
                        last_bytes,
                    });
                }
            }
        }
        verdicts.callsites.sort_by(CallsiteVerdict::order);
        verdicts
    }
}

impl CallsiteVerdict {
    fn order(&self, other: &CallsiteVerdict) -> Ordering {
        let key = |row: &CallsiteVerdict| {
            let Judgement { is_suspect, rank_key, .. } = row.judgement;
            let is_alive = row.source.state() == SourceState::Alive;
            (is_suspect, is_alive, if is_suspect { rank_key } else { 0.0 }, row.last_bytes)
        };
        key(other).partial_cmp(&key(self)).unwrap_or(Ordering::Equal)
    }
}
