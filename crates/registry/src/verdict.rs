//! Judges whether a callsite leaks: from its history to a verdict, with the sentence that gives the reason.
//!
//! These are pure functions without clock, file or symbols. A verdict is a statistical statement about one callsite. What
//! each test demands, and where its threshold comes from, is in docs/explanation/leaks.md. Called by `verdicts` for all callsites.

mod course;
mod doubt;
mod height;
mod reason;
mod series;
mod thresholds;
mod timeline;
mod window;

use reason::{Evidence, NoGrowth};
use series::Series;
#[cfg(test)]
pub(crate) use timeline::Look;
pub use timeline::Timeline;

use crate::history::Point;

/// The conclusion from the history of a callsite.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It has risen for the whole of some stretch of time, and neither chance nor load explains it.
    Growing,
    /// It rose and has (nearly) stopped.
    Saturating,
    /// It neither rises nor falls beyond chance.
    Steady,
    /// There is too little history, or there are too few samples, to tell.
    Watching,
    /// It falls beyond chance.
    Shrinking,
}

impl Verdict {
    /// The name in the column `verdict`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Growing => "growing",
            Verdict::Saturating => "saturating",
            Verdict::Steady => "steady",
            Verdict::Watching => "watching",
            Verdict::Shrinking => "shrinking",
        }
    }
}

/// A rate with the standard error that sampling gives it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Rate {
    /// Growth in units per minute. It is negative if there is less.
    pub per_minute: f64,
    /// One standard error of `per_minute`.
    pub error: f64,
}

/// A verdict with its reason and its numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason: one sentence with the numbers.
    pub why: String,
    /// Growth of the live bytes over the time that the verdict speaks of.
    pub growth: Rate,
    /// Growth of the number of live objects over the same time.
    pub growth_count: Rate,
    /// Age in seconds that some live sample has at least, in whatever order samples were freed. `None` if none is live.
    pub oldest_age: Option<f64>,
    /// The rank among all callsites, the largest first.
    pub rank_key: f64,
    /// The callsite belongs into a list of suspected leaks.
    pub is_suspect: bool,
}

impl Judgement {
    /// The judgement on what belongs to a larger leak: no suspect of its own.
    pub fn of_part(self) -> Judgement {
        let why = "it is part of a larger leak".to_owned();
        Judgement { verdict: Verdict::Steady, why, is_suspect: false, ..self }
    }
}

/// No verdict but `watching` before this many seconds: a program that loads for a minute must have been seen to stop.
const LEAST_SECONDS: f64 = 98.0;
/// A callsite that is steady for long must grow for a sixth of its history, but for no longer than this.
const LEAST_SECONDS_OF_OLD: f64 = 900.0;
/// Each stretch of time that is looked at is this much longer than the one before.
const LONGER: f64 = 1.4;

/// Judges a callsite by its points, which are in the order of their snapshots. Between two points nothing changed.
pub(crate) fn judge(points: &[Point], timeline: &Timeline) -> Judgement {
    let points: Vec<_> = points.iter().filter_map(|point| Some((timeline.at(point.snapshot)?, point))).collect();
    let series = Series::new(&points, timeline);
    let oldest_age = oldest_age(&points, timeline.now());
    let mut judgement = match series.duration() {
        Some(seconds) if series.age() >= LEAST_SECONDS => of_history(&series, seconds),
        _ => unknown(&series, too_new(series.age())),
    };
    judgement.oldest_age = oldest_age;
    judgement
}

/// The longest stretch that shows growth is the best evidence of it.
fn of_history(series: &Series, seconds: f64) -> Judgement {
    let mut length = (seconds / 6.0).clamp(LEAST_SECONDS, LEAST_SECONDS_OF_OLD).min(seconds);
    let (mut best, mut refusal): (Option<Evidence>, _) = (None, None);
    loop {
        match window::grows(series, length) {
            Ok(evidence) => best = Some(evidence),
            Err(why) => refusal = Some(why.nearest(refusal)),
        }
        if length >= seconds {
            break;
        }
        length = (length * LONGER).min(seconds);
    }
    let doubt = best.as_ref().and_then(|evidence| doubt::doubt(series, evidence));
    match (best, doubt) {
        (Some(evidence), None) => growing(&evidence),
        (_, Some(NoGrowth::Unknown(course))) => unknown(series, NoGrowth::Unknown(course).sentence(series)),
        (_, Some(doubt)) => not_growing(series, Some(doubt)),
        (None, None) if refusal == Some(NoGrowth::TooFewSnapshots) => {
            unknown(series, format!("too few snapshots in {seconds:.0} s of history, a verdict takes ten"))
        }
        (None, None) => not_growing(series, refusal),
    }
}

fn growing(evidence: &Evidence) -> Judgement {
    let Evidence { growth, growth_count, .. } = *evidence;
    Judgement {
        verdict: Verdict::Growing,
        why: evidence.sentence(),
        growth,
        growth_count,
        oldest_age: None,
        rank_key: (growth.per_minute - growth.error).max(growth.per_minute / 10.0).max(f64::MIN_POSITIVE),
        is_suspect: true,
    }
}

fn not_growing(series: &Series, refusal: Option<NoGrowth>) -> Judgement {
    let whole = series.whole();
    if let Some(course) = doubt::unknown(series) {
        return unknown(series, NoGrowth::Unknown(course).sentence(series));
    }
    let (verdict, why) = if let Some(NoGrowth::SlowsDown(_) | NoGrowth::BeenHigher(_)) = refusal {
        let verdict =
            if matches!(refusal, Some(NoGrowth::SlowsDown(_))) { Verdict::Saturating } else { Verdict::Steady };
        (verdict, refusal.map_or_else(String::new, |refusal| refusal.sentence(series)))
    } else if let Some(why) = whole.shrinks() {
        (Verdict::Shrinking, why)
    } else if let Some(why) = whole.saturates() {
        (Verdict::Saturating, why)
    } else {
        (Verdict::Steady, refusal.map_or_else(|| "no growth".to_owned(), |refusal| refusal.sentence(series)))
    };
    let (growth, growth_count) = series.recent();
    Judgement {
        verdict,
        why,
        growth,
        growth_count,
        oldest_age: None,
        rank_key: behind(verdict, series),
        is_suspect: false,
    }
}

fn too_new(seconds: f64) -> String {
    let missing = (LEAST_SECONDS - seconds).ceil();
    format!("{seconds:.0} s of history, a verdict takes {missing:.0} s more")
}

fn unknown(series: &Series, why: String) -> Judgement {
    let (growth, growth_count) = series.recent();
    Judgement {
        verdict: Verdict::Watching,
        why,
        growth,
        growth_count,
        oldest_age: None,
        rank_key: behind(Verdict::Watching, series),
        is_suspect: false,
    }
}

/// The rank of a callsite that is no suspect: below every suspect, by verdict, then by size.
fn behind(verdict: Verdict, series: &Series) -> f64 {
    let class = match verdict {
        Verdict::Growing | Verdict::Saturating => -1.0,
        Verdict::Watching => -2.0,
        Verdict::Steady => -3.0,
        Verdict::Shrinking => -4.0,
    };
    let bytes = series.last().bytes.max(0.0);
    class + bytes / (bytes + f64::from(1 << 30))
}

/// The age that some live sample has at least: at the time of the snapshot that is found, more samples had been taken than
/// have been freed by now.
fn oldest_age(points: &[(f64, &Point)], now: f64) -> Option<f64> {
    let (_, last) = points.last().filter(|(_, point)| point.live_count > 0)?;
    let freed = last.total_count.saturating_sub(last.live_count);
    let (at, _) = points.iter().find(|(_, point)| point.total_count > freed)?;
    Some((now - at).max(0.0))
}

#[cfg(test)]
mod tests;
