//! The growth of each line over the last minute, from earlier polls of its view. The server's history is not used.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::source::TopLine;

/// The time over which growth is measured, or less if the line is younger.
const WINDOW: Duration = Duration::from_secs(60);
/// Minimum time between two kept values, which limits them to 31 per line.
const MIN_SPACING: Duration = Duration::from_secs(2);

/// Tracks the growth of one view's lines. Lines that are missing in a poll are dropped.
#[derive(Default)]
pub(super) struct GrowthTracker {
    seen: HashMap<String, VecDeque<(Instant, i64)>>,
}

impl GrowthTracker {
    /// Records a poll. Returns each line's growth in bytes per minute, or None without an earlier value.
    pub(super) fn record(&mut self, lines: &[TopLine], now: Instant) -> Vec<Option<f64>> {
        let mut before = std::mem::take(&mut self.seen);
        let mut grown = Vec::with_capacity(lines.len());
        for line in lines {
            let mut seen = before.remove(&line.key).unwrap_or_default();
            while seen.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
                seen.pop_front();
            }
            grown.push(seen.front().and_then(|&(at, bytes)| per_minute(line.bytes - bytes, now.duration_since(at))));
            if seen.back().is_none_or(|(at, _)| now.duration_since(*at) >= MIN_SPACING) {
                seen.push_back((now, line.bytes));
            }
            self.seen.insert(line.key.clone(), seen);
        }
        grown
    }
}

fn per_minute(bytes: i64, within: Duration) -> Option<f64> {
    (within > Duration::ZERO).then(|| bytes as f64 * 60.0 / within.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: i64) -> TopLine {
        TopLine { key: "a".to_owned(), name: "a".to_owned(), bytes, count: 1, total: None }
    }

    #[test]
    fn it_is_that_of_the_last_minute() {
        let mut growth = GrowthTracker::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(growth.record(&[line(100)], start), [None]);
        assert_eq!(growth.record(&[line(200)], at(30)), [Some(200.0)]);
        assert_eq!(growth.record(&[line(200)], at(60)), [Some(100.0)]);
        // The first look is too long ago now.
        assert_eq!(growth.record(&[line(200)], at(90)), [Some(0.0)]);
        assert_eq!(growth.record(&[line(100)], at(91)), [Some(-100.0 * 60.0 / 31.0)]);
    }

    #[test]
    fn it_is_bounded_and_forgets() {
        let mut growth = GrowthTracker::default();
        let start = Instant::now();
        for tenths in 0..1000 {
            growth.record(&[line(1)], start + Duration::from_millis(100 * tenths));
        }
        assert!(growth.seen["a"].len() <= 31, "{}", growth.seen["a"].len());
        growth.record(&[], start);
        assert!(growth.seen.is_empty());
    }
}
