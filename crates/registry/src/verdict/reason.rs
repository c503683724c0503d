//! The reason for which a stretch of time shows growth, or shows none: the numbers, and the sentence made of them.
//!
//! It decides nothing. `window` fills it in and `verdict` asks for the sentence.

use super::course::Course;
use super::series::Series;
use super::thresholds::WHOLE;
use super::{LEAST_SECONDS, Rate};

/// The reason for which a stretch shows no growth. The later it stands here, the nearer the stretch came to show some.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub(super) enum NoGrowth {
    TooFewSnapshots,
    /// Growth, in objects, and its standard error.
    Chance(f64, f64),
    Falls,
    /// Growth per minute before, and in the last third.
    Slows(f64, f64),
    /// Factors by which load and live objects grew.
    Load(f64, f64),
    /// Bytes per minute.
    Little(f64),
    /// The course of a stretch that slows down.
    SlowsDown(Course),
    /// The course of what may slow down or not.
    Unknown(Course),
    /// Live samples that there were before, and were freed.
    BeenHigher(f64),
}

/// Load that changed by less than this on a logarithmic scale is called even.
const EVEN_LOAD: f64 = 0.15;
/// The next look is about so many seconds away.
const EVERY_SECONDS: f64 = 10.0;

/// The numbers of a stretch that shows growth.
pub(super) struct Evidence {
    pub(super) growth: Rate,
    pub(super) growth_count: Rate,
    pub(super) seconds: f64,
    pub(super) objects: f64,
    pub(super) errors: f64,
    /// Share of all objects allocated in that time that stayed.
    pub(super) stayed: f64,
    pub(super) by_size: bool,
    /// Allocations of the whole process per minute in the first third and in the last, if they are known.
    pub(super) load: Option<(f64, f64)>,
}

impl NoGrowth {
    pub(super) fn nearest(self, other: Option<NoGrowth>) -> NoGrowth {
        other.filter(|other| *other > self).unwrap_or(self)
    }

    pub(super) fn sentence(self, series: &Series) -> String {
        let objects = series.unit;
        match self {
            NoGrowth::TooFewSnapshots => "too few snapshots".to_owned(),
            NoGrowth::Chance(_, _) if series.last().live == 0.0 => "nothing of it is live".to_owned(),
            NoGrowth::Chance(growth, error) => format!(
                "live objects changed by {:.0} +-{:.0}, which may be chance: {WHOLE} times the error would not",
                growth * objects,
                error * objects
            ),
            NoGrowth::Falls => "live objects rise and fall back".to_owned(),
            NoGrowth::Slows(before, last) => {
                format!("grew by {:.0} objects per minute, lately by {:.0}", before * objects, last * objects)
            }
            NoGrowth::Little(rate) => format!("grows by {rate:.0} bytes per minute, too little to matter"),
            NoGrowth::BeenHigher(lost) => format!(
                "{:.0} live objects, but {:.0} have been live before, and most of them were freed",
                series.last().live * objects,
                lost * objects
            ),
            NoGrowth::SlowsDown(course) => slows_down(&course, objects),
            NoGrowth::Unknown(course) => not_known_yet(&course, objects),
            NoGrowth::Load(load, live) => format!("live objects grew {live:.1}-fold, but load {load:.1}-fold"),
        }
    }
}

fn slows_down(course: &Course, unit: f64) -> String {
    let half_life = course.half_life().unwrap_or(f64::INFINITY);
    let limit = course.limit().unwrap_or(f64::INFINITY);
    format!(
        "grows ever more slowly: growth halves every {}, and would stop near {:.0} live objects",
        duration(half_life),
        limit * unit
    )
}

/// The sentence for too few samples: the time after which it will be known, at this interval and if all were sampled.
fn not_known_yet(course: &Course, unit: f64) -> String {
    let needed = course.seconds * course.missing();
    let here = (needed - course.seconds).max(EVERY_SECONDS);
    let finer = (needed / unit).max(LEAST_SECONDS);
    let why =
        format!("grows, in too few samples to tell it from what fills and stops: known in about {}", duration(here));
    if finer < here { format!("{why}, or in {} if every allocation were sampled", duration(finer)) } else { why }
}

/// How load changed meanwhile.
fn load_changed(before: f64, lately: f64) -> String {
    if (lately / before).ln().abs() < EVEN_LOAD {
        format!("; load was even, {lately:.0} allocations per minute")
    } else {
        format!("; load went from {before:.0} to {lately:.0} allocations per minute")
    }
}

/// A time as people say it.
fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 100.0 => format!("{seconds:.0} s"),
        _ if seconds < 6000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

impl Evidence {
    pub(super) fn sentence(&self) -> String {
        let Evidence { growth, seconds, objects, errors, stayed, .. } = self;
        let load = self.load.map(|(before, lately)| load_changed(before, lately)).unwrap_or_default();
        let minutes = seconds / 60.0;
        let (scale, unit) = if growth.per_minute < 1048576.0 { (1024.0, "KiB") } else { (1048576.0, "MiB") };
        let (rate, error) = (growth.per_minute / scale, growth.error / scale);
        if self.by_size {
            return format!(
                "{rate:.1} +-{error:.1} {unit} more per minute for {minutes:.1} min, in objects that get larger{load}"
            );
        }
        let stayed = (100.0 * stayed).clamp(0.0, 100.0);
        format!(
            "{rate:.1} +-{error:.1} {unit} more per minute for {minutes:.1} min without slowing down: {objects:.0} more live \
             objects, {errors:.0} times what chance explains; {stayed:.1}% of what was allocated stayed{load}"
        )
    }
}
