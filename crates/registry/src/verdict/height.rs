//! The heights that a callsite reached and lost: what has been as high before, and fell, is expected to fall again.
//!
//! A collector that has not run, a pool that is trimmed and a batch look like a leak from one fall to the next. It judges no growth
//! (`window` does). Used by `verdict`.

use super::series::{Moment, Series};
use super::thresholds::*;

/// The largest number of live samples that was lost again by most before `until`, in seconds. `None` if nothing fell by that
/// much.
pub(super) fn lost_before(series: &Series, until: f64) -> Option<f64> {
    let (mut highest, mut lost) = (0.0f64, None);
    for Moment { at, live, .. } in series.moments() {
        if *at > until {
            break;
        }
        highest = highest.max(*live);
        if *live <= LOST * highest && highest - live > LOST_ERRORS * (highest + live).sqrt() {
            lost = Some(highest);
        }
    }
    lost
}

/// Whether there are clearly more live samples than the height that was lost.
pub(super) fn is_above(live: f64, lost: f64) -> bool {
    live > ABOVE * lost + ABOVE_ERRORS * (live + lost).sqrt()
}
