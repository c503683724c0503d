//! The verdicts on all callsites: the history of each process and its present counters, judged, alone and together (`leaks`).
//!
//! It reads no ledger (its callers pass the callsites) and looks up no name. Called for `leak_suspects`; it needs neither
//! SQL nor a server.

mod leaks;
mod sum;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::estimate::Estimate;
use crate::history::{History, ProcessKey, Track};
use crate::source::{Callsite, Source, SourceState};
use crate::verdict::{Judgement, Timeline, Verdict};
use leaks::Member;
pub use leaks::{LeakLevel, LeakPlace};

/// One callsite with what its history says of it.
#[derive(Clone)]
pub struct CallsiteVerdict {
    /// The process.
    pub source: Arc<Source>,
    /// The callsite, with its present counters.
    pub callsite: Callsite,
    /// The verdict: that of its leak if it belongs to one.
    pub judgement: Judgement,
    /// The verdict of this look on the callsite alone.
    pub seen: Judgement,
    /// The leak that it belongs to.
    pub place: LeakPlace,
    /// Live bytes at the last snapshot, by which callsites that are no suspects are ordered.
    last_bytes: f64,
}

/// Several callsites that are one leak, or may be.
#[derive(Clone)]
pub struct LeakVerdict {
    /// The process.
    pub source: Arc<Source>,
    /// The callsite of which most is live.
    pub largest: Callsite,
    /// The leak; its frames are those of the largest callsite.
    pub place: LeakPlace,
    /// The verdict of this look on their sum.
    pub seen: Judgement,
    /// Estimate of their live bytes, with its standard error.
    pub est_bytes: Estimate,
}

/// The callsites that were judged.
#[derive(Default)]
pub struct Verdicts {
    /// Suspects of living processes come first, then those of ended processes, then all others.
    pub callsites: Vec<CallsiteVerdict>,
    /// Sums of callsites that are or were suspected, or that this look suspects.
    pub leaks: Vec<LeakVerdict>,
    /// The number of callsites with each verdict, those included that were not kept.
    pub counts: BTreeMap<Verdict, usize>,
    /// The longest history of a process among them.
    pub longest: Duration,
    /// The number of snapshots in the history.
    pub snapshots: usize,
}

impl History {
    /// Judges the callsites of processes that the history has, alone and together. `revise` has the last word on each, by its process
    /// and the number of the leak, and `keeps` says which judgements are wanted.
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
            verdicts.add(&source, &callsites, track, &timeline, |leak_id, judgement| {
                revise(track.process, leak_id, judgement)
            });
        }
        verdicts.callsites.retain(|verdict| keeps(&verdict.judgement));
        verdicts.callsites.sort_by(CallsiteVerdict::order);
        verdicts
    }
}

impl Verdicts {
    /// Judges the callsites of one process.
    fn add(
        &mut self,
        source: &Arc<Source>,
        callsites: &[Callsite],
        track: &Track,
        timeline: &Timeline,
        revise: impl Fn(u64, Judgement) -> Judgement,
    ) {
        let modules = source.modules().unwrap_or_default();
        let in_program = |callsite: &Callsite| {
            let is_program = |address: &u64| {
                modules.locate(*address, callsite.module_generation).is_some_and(|(module, _)| module.is_program)
            };
            callsite.stack.iter().position(is_program)
        };
        let (mut members, mut seen) = (Vec::new(), Vec::new());
        for callsite in callsites {
            let Some(points) = track.points(callsite.callsite_id) else { continue };
            let alone = timeline.judge(points);
            let judgement = revise(callsite.callsite_id, alone.clone());
            let place = LeakPlace {
                leak_id: callsite.callsite_id,
                level: LeakLevel::Callsite,
                frames: 0..callsite.stack.len(),
            };
            members.push(Member { callsite, points, program_frame: in_program(callsite), judgement, place });
            seen.push(alone);
        }
        for leak in leaks::judge(&mut members, timeline, revise) {
            let bytes = |member: &&Member| member.callsite.counters.est_bytes.value;
            let of_leak = leak.members.iter().map(|&member| &members[member]);
            let Some(largest) = of_leak.clone().max_by(|one, other| bytes(one).total_cmp(&bytes(other))) else {
                continue;
            };
            // A leak that was judged later may have taken its callsites.
            let is_part = leak.is_suspect && largest.place.leak_id != leak.place.leak_id;
            self.leaks.push(LeakVerdict {
                source: Arc::clone(source),
                largest: largest.callsite.clone(),
                place: leak.place.within(largest.callsite.stack.len()),
                seen: if is_part { leak.seen.of_part() } else { leak.seen },
                est_bytes: of_leak.map(|member| member.callsite.counters.est_bytes).sum(),
            });
        }
        for (member, seen) in members.into_iter().zip(seen) {
            *self.counts.entry(member.judgement.verdict).or_default() += 1;
            let bytes = member.callsite.counters.est_bytes.value;
            self.callsites.push(CallsiteVerdict {
                source: Arc::clone(source),
                callsite: member.callsite.clone(),
                judgement: member.judgement,
                seen,
                place: member.place,
                last_bytes: member.points.last().map_or(bytes, |point| point.est_bytes),
            });
        }
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
