//! Whether a callsite leaks: from its history to a verdict and the sentence that gives the reason.
//!
//! Pure functions: no clock, no file, no symbols. A verdict is a statistical statement about one callsite; what each test
//! demands, and where its threshold comes from, is in docs/explanation/leaks.md. Called by `catalog` for `leak_suspects`.

mod reason;
mod series;
mod thresholds;
mod window;

use reason::{Evidence, Refusal};
use series::Series;

/// What was estimated of one callsite (a stack and label of one process) at one snapshot, over all allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Seconds since recording of the process began.
    pub at: f64,
    pub live_count: f64,
    pub live_bytes: f64,
    pub live_count_variance: f64,
    pub live_bytes_variance: f64,
    /// Ever allocated here, sampled or not.
    pub total_count: f64,
    pub samples_live: u64,
    /// Ever sampled here.
    pub samples_total: u64,
}

/// What the whole process had ever allocated at one snapshot, by callsites of which nothing is live, too. Its instants are
/// all snapshots there are: at one without a [`Point`] the callsite was as at the one before, or had not been seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessPoint {
    pub at: f64,
    pub total_count: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It rises, has done so for the whole of some stretch of time, and neither chance nor load explains it.
    Growing,
    /// It rose and has (nearly) stopped.
    Saturating,
    Steady,
    /// Too little history to tell.
    New,
    Shrinking,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Growing => "growing",
            Verdict::Saturating => "saturating",
            Verdict::Steady => "steady",
            Verdict::New => "new",
            Verdict::Shrinking => "shrinking",
        }
    }
}

/// A rate with the standard error that sampling gives it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Rate {
    pub per_minute: f64,
    pub error: f64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    pub verdict: Verdict,
    /// One sentence with the numbers.
    pub why: String,
    /// Of live bytes and of live objects, over the time that the verdict speaks of.
    pub growth: Rate,
    pub growth_count: Rate,
    /// Seconds: some live sample is at least this old, in whatever order samples were freed.
    pub oldest_age: Option<f64>,
    /// Suspects are ordered by this, the largest first.
    pub rank_key: f64,
    pub is_suspect: bool,
}

/// No verdict but `new` before this many seconds: a program that loads for a minute must have been seen to stop.
const LEAST_SECONDS: f64 = 98.0;
/// What is steady for long must grow for long: a sixth of the history, but no longer than this.
const LEAST_SECONDS_OF_OLD: f64 = 900.0;
/// Each stretch of time that is looked at is this much longer than the one before.
const LONGER: f64 = 1.4;

/// `points` and `process` in order of time; `now` in seconds since recording began.
pub fn judge(points: &[Point], process: &[ProcessPoint], now: f64) -> Judgement {
    let series = Series::new(points, process);
    let oldest_age = oldest_age(points, now);
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
    match best {
        Some(evidence) => growing(&evidence),
        None if refusal == Some(Refusal::TooFewSnapshots) => {
            unknown(series, format!("too few snapshots in {seconds:.0} s of history, a verdict takes ten"))
        }
        None => not_growing(series, refusal),
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

fn not_growing(series: &Series, refusal: Option<Refusal>) -> Judgement {
    let whole = series.whole();
    let (verdict, why) = if let Some(why) = whole.shrinks() {
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
        verdict: Verdict::New,
        why,
        growth,
        growth_count,
        oldest_age: None,
        rank_key: behind(Verdict::New, series),
        is_suspect: false,
    }
}

/// Below every suspect: by verdict, then by size.
fn behind(verdict: Verdict, series: &Series) -> f64 {
    let class = match verdict {
        Verdict::Growing | Verdict::Saturating => -1.0,
        Verdict::New => -2.0,
        Verdict::Steady => -3.0,
        Verdict::Shrinking => -4.0,
    };
    let bytes = series.last().bytes.max(0.0);
    class + bytes / (bytes + f64::from(1 << 30))
}

/// By the time of a snapshot `taken` samples had been taken and by now fewer are `freed`, so one of them lives.
fn oldest_age(points: &[Point], now: f64) -> Option<f64> {
    let last = points.last().filter(|point| point.samples_live > 0)?;
    let freed = last.samples_total.saturating_sub(last.samples_live);
    let by = points.iter().find(|point| point.samples_total > freed)?;
    Some((now - by.at).max(0.0))
}

#[cfg(test)]
mod tests;
