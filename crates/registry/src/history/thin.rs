//! Chooses the snapshots that are kept: all of the last minutes, then one per minute, then one per hour, and every mark,
//! within the memory bound. Called by `history` after every snapshot.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::point::Point;
use super::{HistoryState, Snapshot};

/// A density of snapshots up to an age.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tier {
    /// One snapshot is kept for each stretch of time of this length.
    pub every: Duration,
    /// The tier is for snapshots that are no older.
    pub keep: Duration,
}

/// The densities of snapshots by age, and the bound on the memory of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tiers {
    /// The densest comes first.
    pub tiers: [Tier; 3],
    /// Bound on the bytes of all points.
    pub memory_bytes: usize,
}

impl Tiers {
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Tiers of one snapshot each `every` for 10 minutes (or 60 of them), each minute for 6 hours, and each hour for `keep`.
    pub fn new(every: Duration, keep: Duration, memory_bytes: usize) -> Tiers {
        let dense = Tier { every, keep: (every * 60).min(keep) };
        let minutes = Tier { every: every.max(Tiers::MINUTE), keep: (Tiers::HOUR * 6).min(keep) };
        let hours = Tier { every: every.max(Tiers::HOUR), keep };
        Tiers { tiers: [dense, minutes, hours], memory_bytes }
    }

    /// The interval at which snapshots are to be taken.
    pub fn every(&self) -> Duration {
        self.tiers[0].every
    }

    /// The tier of a snapshot of that age, if it is kept at all.
    fn of_age(&self, age: Duration) -> Option<usize> {
        self.tiers.iter().position(|tier| age <= tier.keep)
    }

    /// The span of time of which a snapshot is the only one kept. The densest tier keeps all.
    fn span(&self, snapshot: &Snapshot, now: SystemTime) -> Option<(usize, u64)> {
        let tier = self.of_age(now.duration_since(snapshot.at).unwrap_or_default())?;
        let seconds = snapshot.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let every = self.tiers[tier].every.as_secs().max(1);
        Some((tier, if tier == 0 { u64::from(snapshot.number) } else { seconds / every }))
    }

    /// Numbers of the snapshots that are not kept any longer. The newest is never one of them.
    fn superfluous(&self, snapshots: &[Snapshot], now: SystemTime) -> Vec<u32> {
        let mut superfluous = Vec::new();
        let mut last = None;
        let newest = snapshots.last().map(|snapshot| snapshot.number);
        for snapshot in snapshots.iter().filter(|snapshot| snapshot.mark.is_none()) {
            let span = self.span(snapshot, now);
            if (span.is_none() || span == last) && Some(snapshot.number) != newest {
                superfluous.push(snapshot.number);
            }
            last = span;
        }
        superfluous
    }
}

/// So many snapshots are removed at once, because each removal goes through all points.
const AT_ONCE: usize = 6;

impl HistoryState {
    pub(super) fn thin(&mut self, tiers: &Tiers, now: SystemTime) {
        let superfluous = tiers.superfluous(&self.snapshots, now);
        if superfluous.len() >= AT_ONCE {
            self.remove(&superfluous);
        }
        if self.bytes() > tiers.memory_bytes {
            self.remove(&superfluous);
            self.shrink(tiers.memory_bytes);
        }
    }

    /// Drops the processes that have ended, then every other snapshot of the older half, until the rest fits.
    fn shrink(&mut self, memory_bytes: usize) {
        while self.bytes() > memory_bytes {
            let ended = self.tracks.values().filter(|track| track.ended_at.is_some());
            if let Some(oldest) = ended.min_by_key(|track| track.ended_at).map(|track| track.process) {
                self.tracks.remove(&oldest);
                self.dropped_processes += 1;
                continue;
            }
            let free: Vec<u32> = self.unmarked().collect();
            let older = free.len().saturating_sub(1).div_ceil(2).max(2);
            let chosen: Vec<u32> = free.iter().take(older).step_by(2).copied().collect();
            // The newest snapshot is needed for what is live now.
            if free.len() < 2 {
                self.drop_largest();
                continue;
            }
            self.dropped_snapshots += chosen.len() as u64;
            self.remove(&chosen);
        }
    }

    fn unmarked(&self) -> impl Iterator<Item = u32> {
        self.snapshots.iter().filter(|snapshot| snapshot.mark.is_none()).map(|snapshot| snapshot.number)
    }

    fn drop_largest(&mut self) {
        let largest = self.tracks.values().max_by_key(|track| track.bytes()).map(|track| track.process);
        if let Some(largest) = largest {
            self.tracks.remove(&largest);
            self.dropped_processes += 1;
        }
    }

    /// Removes snapshots. Changes at a removed snapshot move to the next that is kept.
    fn remove(&mut self, numbers: &[u32]) {
        self.snapshots.retain(|snapshot| numbers.binary_search(&snapshot.number).is_err());
        let kept: Vec<u32> = self.snapshots.iter().map(|snapshot| snapshot.number).collect();
        let next = |number: u32| kept.get(kept.partition_point(|kept| *kept < number)).copied();
        for track in self.tracks.values_mut() {
            let track = Arc::make_mut(track);
            compact(&mut track.whole, next);
            track.series.retain(|_, points| {
                compact(points, next);
                // A callsite that has been empty since the first snapshot that is kept might as well never have been there.
                points.len() > 1 || points.first().is_some_and(|point| point.live_count > 0)
            });
        }
        self.pending_removals.extend(numbers);
        let moved = numbers.iter().filter_map(|number| next(*number));
        self.pending_writes.extend(moved);
    }
}

/// Moves points to the next snapshot that is kept. If several move to one, the last of them stays.
fn compact(points: &mut Vec<Point>, next: impl Fn(u32) -> Option<u32>) {
    let mut write: usize = 0;
    for read in 0..points.len() {
        let Some(snapshot) = next(points[read].snapshot) else {
            continue;
        };
        if write > 0 && points[write - 1].snapshot == snapshot {
            write -= 1;
        }
        points[write] = Point { snapshot, ..points[read] };
        write += 1;
    }
    points.truncate(write);
    if points.capacity() > 2 * points.len() + 4 {
        points.shrink_to(points.len() + 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers() -> Tiers {
        Tiers::new(Duration::from_secs(10), Duration::from_secs(7 * 24 * 3600), usize::MAX)
    }

    fn snapshots(count: u32, every: u64, now: SystemTime) -> Vec<Snapshot> {
        let at = |number: u32| now - Duration::from_secs(u64::from(count - number) * every);
        (1..=count).map(|number| Snapshot { number, at: at(number), mark: None }).collect()
    }

    #[test]
    fn a_week_of_snapshots_leaves_the_documented_number() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let mut all = snapshots(9 * 24 * 360, 10, now);
        all[5].mark = Some("kept".into());
        let superfluous = tiers().superfluous(&all, now);
        all.retain(|snapshot| superfluous.binary_search(&snapshot.number).is_err());
        // 61 within 10 minutes, 350 minutes, 162 hours, the mark; the spans at the seams may count twice.
        assert!((570..=580).contains(&all.len()), "{}", all.len());
        assert_eq!(all.iter().filter(|snapshot| snapshot.mark.is_some()).count(), 1);
    }

    #[test]
    fn points_of_removed_snapshots_move_on() {
        let point = |snapshot, live_count| Point {
            snapshot,
            live_count,
            total_count: 9,
            est_count: 0.0,
            est_bytes: 0.0,
            count_variance: 0.0,
            bytes_variance: 0.0,
            est_total_count: 0.0,
        };
        let mut points = vec![point(1, 1), point(3, 3), point(4, 4), point(8, 8)];
        let kept = [2, 4, 8];
        compact(&mut points, |number| kept.iter().copied().find(|kept| *kept >= number));
        let found: Vec<_> = points.iter().map(|point| (point.snapshot, point.live_count)).collect();
        assert_eq!(found, [(2, 1), (4, 4), (8, 8)]);
    }
}
