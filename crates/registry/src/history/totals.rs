//! Sums over all callsites of all processes, for each snapshot. Called for the table `snapshots`.

use super::{History, Snapshot};

/// The sums over all processes at one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotTotals {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Processes whose heap it holds.
    pub processes: usize,
    /// Callsites of which something was live.
    pub callsites: usize,
    /// Estimate of all live objects.
    pub est_count: f64,
    /// Estimate of their requested bytes.
    pub est_bytes: f64,
}

impl History {
    /// The totals of every snapshot, the oldest first.
    pub fn totals(&self) -> Vec<SnapshotTotals> {
        let (tracks, snapshots) = self.tracks();
        let index = SnapshotIndex::new(&snapshots);
        let empty = |snapshot| SnapshotTotals { snapshot, processes: 0, callsites: 0, est_count: 0.0, est_bytes: 0.0 };
        let mut totals: Vec<SnapshotTotals> = snapshots.into_iter().map(empty).collect();
        for track in tracks {
            let first = totals.partition_point(|totals| totals.snapshot.at < track.since);
            totals[first..].iter_mut().for_each(|totals| totals.processes += 1);
            for (_, points) in track.series() {
                let starts = points.iter().map(|point| index.of(point.snapshot));
                let ends = starts.clone().skip(1).chain([totals.len()]);
                for ((point, start), end) in points.iter().zip(starts).zip(ends) {
                    for totals in totals.get_mut(start..end.max(start)).unwrap_or_default() {
                        totals.callsites += usize::from(point.live_count > 0);
                        totals.est_count += f64::from(point.est_count);
                        totals.est_bytes += point.est_bytes;
                    }
                }
            }
        }
        totals
    }
}

/// The place of each snapshot in their list, by its number. Millions of points ask for it.
struct SnapshotIndex {
    first: u32,
    places: Vec<usize>,
    /// The number of snapshots, which is the place of one that is not kept.
    len: usize,
}

impl SnapshotIndex {
    fn new(snapshots: &[Snapshot]) -> SnapshotIndex {
        let first = snapshots.first().map_or(0, |snapshot| snapshot.number);
        let last = snapshots.last().map_or(0, |snapshot| snapshot.number);
        let mut places = vec![snapshots.len(); (last - first) as usize + 1];
        for (place, snapshot) in snapshots.iter().enumerate() {
            places[(snapshot.number - first) as usize] = place;
        }
        SnapshotIndex { first, places, len: snapshots.len() }
    }

    fn of(&self, number: u32) -> usize {
        let place = number.checked_sub(self.first).and_then(|at| self.places.get(at as usize));
        place.copied().unwrap_or(self.len)
    }
}
