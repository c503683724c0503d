//! The snapshots of one process as a clock: when each was taken, and what the process had allocated by then.
//!
//! It knows no callsite. Made from a `Track`; used by `verdict` and `series`.

use std::time::{Duration, SystemTime};

use crate::history::{Point, Snapshot, Track, as_of};
use crate::verdict::{Judgement, Verdict, judge};

/// One snapshot of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    pub(crate) snapshot: u32,
    /// Seconds since recording began.
    pub(crate) at: f64,
    /// Estimate of all allocations ever, by callsites of which nothing is live too. `None` if nothing had been seen yet.
    pub(crate) allocated: Option<f64>,
}

/// The snapshots of one process while it lived, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    pub(super) looks: Vec<Look>,
    /// The present, or the end of the process, in seconds since recording began.
    pub(super) now: f64,
    pub(super) has_ended: bool,
}

impl Timeline {
    /// The timeline of a process whose recording began at `started_at`. `snapshots` are all that the history has.
    pub fn new(
        started_at: SystemTime,
        has_ended: bool,
        track: &Track,
        snapshots: &[Snapshot],
        now: SystemTime,
    ) -> Timeline {
        let since = |at: SystemTime| at.duration_since(started_at).unwrap_or_default().as_secs_f64();
        let until = track.ended_at.unwrap_or(now);
        let lived = |snapshot: &&Snapshot| snapshot.at >= track.since && snapshot.at <= until;
        let look = |snapshot: &Snapshot| Look {
            snapshot: snapshot.number,
            at: since(snapshot.at),
            allocated: as_of(track.whole(), snapshot.number).map(|point| point.est_total_count),
        };
        Timeline { looks: snapshots.iter().filter(lived).map(look).collect(), now: since(until), has_ended }
    }

    /// A timeline of these looks, of a process that lives.
    #[cfg(test)]
    pub(crate) fn of_looks(looks: Vec<Look>, now: f64) -> Timeline {
        Timeline { looks, now, has_ended: false }
    }

    /// The newest snapshot that is at least this many seconds old, or 0.
    pub(crate) fn snapshot_before(&self, seconds: f64) -> u32 {
        let after = self.looks.partition_point(|look| look.at <= self.now - seconds);
        after.checked_sub(1).map_or(0, |place| self.looks[place].snapshot)
    }

    /// Snapshots that cut the history into so many pieces of about the same length.
    pub(crate) fn cuts(&self, pieces: usize) -> Vec<u32> {
        let (Some(first), Some(last)) = (self.looks.first(), self.looks.last()) else { return Vec::new() };
        let mut cuts: Vec<u32> = (0..=pieces)
            .map(|cut| {
                let at = first.at + (last.at - first.at) * cut as f64 / pieces as f64;
                let place = self.looks.partition_point(|look| look.at < at).min(self.looks.len() - 1);
                self.looks[place].snapshot
            })
            .collect();
        cuts.dedup();
        cuts
    }

    /// The length of the process's history.
    pub fn duration(&self) -> Duration {
        let first = self.looks.first().map_or(self.now, |look| look.at);
        Duration::try_from_secs_f64(self.now - first).unwrap_or_default()
    }

    /// The verdict on a callsite of the process by its points, which are in the order of their snapshots.
    pub fn judge(&self, points: &[Point]) -> Judgement {
        let mut judgement = judge(points, self);
        if judgement.verdict == Verdict::Watching && self.has_ended {
            // A process that was dead when the server came has no history at all, and none will have more.
            judgement.why = format!(
                "the process has ended, after {} s of history: too little for a verdict; live_by_callsite has what it held",
                self.duration().as_secs()
            );
        }
        judgement
    }

    /// Seconds at which a snapshot was taken. If it is no longer kept, its points count for the next that is.
    pub(super) fn at(&self, snapshot: u32) -> Option<f64> {
        let place = self.looks.partition_point(|look| look.snapshot < snapshot);
        self.looks.get(place).map(|look| look.at)
    }

    pub(super) fn now(&self) -> f64 {
        self.now
    }
}
