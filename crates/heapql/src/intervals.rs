//! Sampling intervals on the command line: from flags and environment, in words, and those in force before a server starts.
//!
//! Their meaning is the sampler's, the rules of the parameters are the server's. Called by the verbs.

use std::fs;

use heapql_ledger::{DEFAULT_DEPTH, Intervals, MAX_DEPTH, MIN_DEPTH, Sampling};
use heapql_registry::{INTERVALS_FILE, Registry, SourceState};

use crate::error::Error;
use crate::stderr::say;

/// A bound from the environment, which also sets it for programs that are recorded without a server.
pub(crate) fn from_environment(name: &str) -> Option<u32> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    let bound = value.parse().ok().filter(|bound| (Intervals::LEAST..=Intervals::MOST).contains(bound));
    if bound.is_none() {
        say!(
            "warning: {name} is ignored: '{value}' is not a whole number in {}..={}",
            Intervals::LEAST,
            Intervals::MOST
        );
    }
    bound
}

/// The intervals of `--min` and `--max`, each of which is in range.
pub(crate) fn from_flags(min: Option<u32>, max: Option<u32>) -> Result<Intervals, Error> {
    let default = Intervals::DEFAULT;
    // One flag alone moves the other's default out of its way.
    let (min, max) = match (min, max) {
        (Some(min), None) => (min, default.max.max(min)),
        (None, Some(max)) => (default.min.min(max), max),
        (min, max) => (min.unwrap_or(default.min), max.unwrap_or(default.max)),
    };
    Intervals::new(min, max).ok_or_else(|| {
        Error::usage(format!("--min {min} is greater than --max {max}")).hint(format!(
            "both lie in {}..={}, and --min is at most --max",
            Intervals::LEAST,
            Intervals::MOST
        ))
    })
}

/// The intervals in words, for the banner.
pub(crate) fn words(intervals: Intervals) -> String {
    match intervals {
        intervals if intervals.is_zero() => "no samples".to_owned(),
        Intervals { min: 1, max: 1 } => "every allocation".to_owned(),
        Intervals { min, max } if min == max => format!("one sample per {min} allocations"),
        Intervals { min, max } => format!("one sample per {min}..{max} allocations"),
    }
}

/// The sampling in force: that of the newest live process, else the one that later processes start with.
pub(crate) fn in_force(registry: &Registry) -> Sampling {
    let mut live = registry.sources();
    live.retain(|source| source.state() == SourceState::Alive);
    let newest = live.iter().rev().find_map(|source| source.intervals());
    let stored = stored(registry).unwrap_or(Sampling::DEFAULT);
    Sampling { intervals: newest.unwrap_or(stored.intervals), ..stored }
}

fn stored(registry: &Registry) -> Option<Sampling> {
    let text = fs::read_to_string(registry.root().join(INTERVALS_FILE)).ok()?;
    let mut words = text.split_whitespace();
    let intervals = Intervals::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?)?;
    let depth =
        words.next().and_then(|depth| depth.parse().ok()).filter(|depth| (MIN_DEPTH..=MAX_DEPTH).contains(depth));
    Some(Sampling { intervals, depth: depth.unwrap_or(DEFAULT_DEPTH) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(min: Option<u32>, max: Option<u32>) -> Option<(u32, u32)> {
        from_flags(min, max).ok().map(|intervals| (intervals.min, intervals.max))
    }

    #[test]
    fn one_flag_moves_the_others_default() {
        assert_eq!(pair(None, None), Some((16, 256)));
        assert_eq!(pair(Some(1), None), Some((1, 256)));
        assert_eq!(pair(Some(10_000), None), Some((10_000, 10_000)));
        assert_eq!(pair(None, Some(1)), Some((1, 1)));
        assert_eq!(pair(Some(5), Some(4)), None);
    }

    #[test]
    fn modes_have_names() {
        let words = |min, max| words(Intervals { min, max });
        assert_eq!(words(10_000, 10_000), "no samples");
        assert_eq!(words(1, 1), "every allocation");
        assert_eq!(words(16, 256), "one sample per 16..256 allocations");
    }
}
