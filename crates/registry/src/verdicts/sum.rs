//! The history of several callsites together: their points, added up. Estimates and variances of different samples add up, so a sum
//! is judged like a callsite. Used by `leaks`.

use crate::history::Point;

/// The points of all series together, in the order of snapshots.
pub(super) fn sum<'a>(all: impl IntoIterator<Item = &'a [Point]>) -> Vec<Point> {
    let series: Vec<&[Point]> = all.into_iter().collect();
    let mut changes: Vec<(u32, usize, usize)> = Vec::new();
    for (number, points) in series.iter().enumerate() {
        changes.extend(points.iter().enumerate().map(|(place, point)| (point.snapshot, number, place)));
    }
    changes.sort_unstable();
    let mut present = vec![None; series.len()];
    let mut sums = Vec::new();
    for together in changes.chunk_by(|one, next| one.0 == next.0) {
        for &(_, number, place) in together {
            present[number] = Some(&series[number][place]);
        }
        sums.push(added(together[0].0, present.iter().flatten().copied()));
    }
    sums
}

fn added<'a>(snapshot: u32, points: impl Iterator<Item = &'a Point>) -> Point {
    let mut sum = Point {
        snapshot,
        live_count: 0,
        total_count: 0,
        est_count: 0.0,
        est_bytes: 0.0,
        count_variance: 0.0,
        bytes_variance: 0.0,
        est_total_count: 0.0,
    };
    for point in points {
        sum.live_count = sum.live_count.saturating_add(point.live_count);
        sum.total_count = sum.total_count.saturating_add(point.total_count);
        sum.est_count += point.est_count;
        sum.est_bytes += point.est_bytes;
        sum.count_variance += point.count_variance;
        sum.bytes_variance += point.bytes_variance;
        sum.est_total_count += point.est_total_count;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(snapshot: u32, live_count: u32) -> Point {
        let one = Point { live_count, total_count: live_count, est_count: 2.0, ..added(snapshot, [].into_iter()) };
        Point { est_bytes: f64::from(live_count), ..one }
    }

    #[test]
    fn a_point_holds_until_the_next() {
        let (one, other) = ([point(1, 5), point(4, 7)], [point(2, 1), point(4, 3)]);
        let sums = sum([one.as_slice(), other.as_slice()]);
        let found: Vec<_> = sums.iter().map(|point| (point.snapshot, point.live_count, point.est_count)).collect();
        assert_eq!(found, [(1, 5, 2.0), (2, 6, 4.0), (4, 10, 4.0)]);
        assert_eq!(sums[2].est_bytes, 10.0);
    }
}
