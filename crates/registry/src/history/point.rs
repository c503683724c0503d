//! One callsite's counters at one snapshot. They are packed, because hundreds of thousands are kept. Used by `history`, and
//! judged by `verdict`.

use crate::Counters;

/// The counters of one callsite (a stack and label of one process) at one snapshot.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// Number of the snapshot.
    pub snapshot: u32,
    /// Live samples.
    pub live_count: u32,
    /// Samples that were ever taken.
    pub total_count: u32,
    /// Estimate of all live objects.
    pub est_count: f32,
    /// Estimate of the requested bytes of all live objects.
    pub est_bytes: f64,
    /// Variance of `est_count`.
    pub count_variance: f32,
    /// Variance of `est_bytes`.
    pub bytes_variance: f32,
    /// Estimate of all objects that were ever allocated.
    pub est_total_count: f64,
}

impl Point {
    /// The point of these counters. Counts beyond `u32::MAX` stay there.
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
