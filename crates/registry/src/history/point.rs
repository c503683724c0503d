//! One callsite's counters at one snapshot, packed: hundreds of thousands are kept. Called by `history`.

use crate::Counters;

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// Number of the snapshot.
    pub snapshot: u32,
    /// Of samples.
    pub live_count: u32,
    pub total_count: u32,
    /// Estimates, and the variances of the live ones.
    pub est_count: f32,
    pub est_bytes: f64,
    pub count_variance: f32,
    pub bytes_variance: f32,
    pub est_total_count: f64,
}

impl Point {
    pub fn of(snapshot: u32, counters: &Counters) -> Point {
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Point {
            snapshot,
            live_count: count(counters.live_count),
            total_count: count(counters.total_count),
            est_count: counters.est_count.value as f32,
            est_bytes: counters.est_bytes.value,
            count_variance: counters.est_count.error().powi(2) as f32,
            bytes_variance: counters.est_bytes.error().powi(2) as f32,
            est_total_count: counters.est_total_count,
        }
    }

    /// Whether nothing happened between the two.
    pub(super) fn is_same(&self, other: &Point) -> bool {
        Point { snapshot: other.snapshot, ..*self } == *other
    }
}
