//! The reasons to doubt growth that one stretch shows: what the rest of the history says.
//!
//! One stretch that passes does not outvote the longer ones that see growth slow down, nor a height that was reached and lost
//! before. Called by `verdict` for the longest stretch that `window` passes.

use super::course::Course;
use super::height;
use super::reason::{Evidence, NoGrowth};
use super::series::Series;
use super::thresholds::*;
use super::window::{self, ByLoad};
use super::{LEAST_SECONDS, LONGER};

/// The reason why growth in the last `evidence.seconds` is not called growing, if there is one.
pub(super) fn doubt(series: &Series, evidence: &Evidence) -> Option<NoGrowth> {
    let now = series.last();
    let start = now.at - evidence.seconds;
    if let Some(lost) = height::lost_before(series, start + evidence.seconds / 2.0)
        && !height::is_above(now.live, lost)
    {
        return Some(NoGrowth::BeenHigher(lost));
    }
    if let Some((load, live)) = follows_load(series, evidence.seconds) {
        return Some(NoGrowth::Load(load, live));
    }
    // Objects that get larger are one all the time: their number has no course.
    if evidence.by_size {
        return None;
    }
    longer_slows(series, evidence.seconds).map(NoGrowth::SlowsDown).or_else(|| {
        let course = Course::since(series, beginning(series, start))?;
        match course {
            _ if course.is_even() => None,
            _ if course.slows() => Some(NoGrowth::SlowsDown(course)),
            _ => Some(NoGrowth::Unknown(course)),
        }
    })
}

/// The course of growth that shows no sign of slowing down, but has too few samples to tell it from a set that fills. `None` if that
/// is not so.
pub(super) fn unknown(series: &Series) -> Option<Course> {
    let (now, born) = (series.last(), series.born());
    let course = Course::since(series, born)?;
    let third = series.since((now.at - born) / 3.0).first()?;
    let stays = now.freed() <= THIN_FREED * now.taken && now.taken > third.taken && now.live > third.live;
    let bytes_per_minute = (now.bytes - third.bytes) / (now.at - third.at) * 60.0;
    (stays && bytes_per_minute >= LEAST_BYTES_PER_MINUTE && !course.slows() && !course.is_even()).then_some(course)
}

/// The factors by which load and live objects grew in the shortest stretch, from the one given, that tells whether load explains
/// the growth, if it does.
fn follows_load(series: &Series, seconds: f64) -> Option<(f64, f64)> {
    let whole = series.duration().unwrap_or(0.0);
    let mut length = seconds.min(whole);
    loop {
        match window::by_load(series, length) {
            ByLoad::Yes(load, live) => return Some((load, live)),
            ByLoad::No => return None,
            ByLoad::Unknown if length >= whole => return None,
            ByLoad::Unknown => length = (length * LONGER).min(whole),
        }
    }
}

/// The first of the stretches, from the one given to all of the history, that slows down.
fn longer_slows(series: &Series, seconds: f64) -> Option<Course> {
    let (now, whole) = (series.last().at, series.duration().unwrap_or(0.0));
    let mut length = seconds.min(whole);
    loop {
        if let Some(course) = slows_since(series, now - length) {
            return Some(course);
        }
        if length >= whole {
            return None;
        }
        length = (length * LONGER).min(whole);
    }
}

/// The course since then, if it slows down, and not only because something was loaded at its beginning.
fn slows_since(series: &Series, from: f64) -> Option<Course> {
    let course = Course::since(series, from).filter(Course::slows)?;
    let now = series.last();
    let at = |part: f64| series.since(now.at - from - part * (now.at - from)).first().copied().unwrap_or(now);
    let begin = at(0.0);
    for part in LOADS_WITHIN {
        let end = at(part);
        let (loads, follows) = (
            (end.live - begin.live) / (end.at - begin.at).max(1.0),
            (now.live - end.live) / (now.at - end.at).max(1.0),
        );
        if loads >= LOADS_FASTER * follows
            && now.at - end.at >= LEAST_SECONDS
            && Course::since(series, end.at).is_some_and(|rest| rest.is_even())
        {
            return None;
        }
    }
    Some(course)
}

/// The time at which the growth since `start` began.
fn beginning(series: &Series, start: f64) -> f64 {
    let now = series.last();
    let moments = series.since(now.at - start);
    let first = moments.first().map_or(0.0, |moment| moment.live);
    let low = first + BEGINS * (now.live - first);
    let begun = moments.iter().rev().find(|moment| moment.live <= low).map_or(start, |moment| moment.at);
    if begun - start < 2.0 * BEGINS * (now.at - start) { start } else { begun }
}
