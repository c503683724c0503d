//! The reason for which a stretch of time shows growth, or shows none: the numbers, and the sentence made of them.
//!
//! It decides nothing. `window` fills it in and `verdict` asks for the sentence.

use super::Rate;
use super::series::Series;
use super::thresholds::WHOLE;

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
}

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
            NoGrowth::Load(load, live) => format!("live objects grew {live:.1}-fold, but load {load:.1}-fold"),
        }
    }
}

impl Evidence {
    pub(super) fn sentence(&self) -> String {
        let Evidence { growth, seconds, objects, errors, stayed, .. } = self;
        let minutes = seconds / 60.0;
        let (scale, unit) = if growth.per_minute < 1048576.0 { (1024.0, "KiB") } else { (1048576.0, "MiB") };
        let (rate, error) = (growth.per_minute / scale, growth.error / scale);
        if self.by_size {
            return format!(
                "{rate:.1} +-{error:.1} {unit} more per minute for {minutes:.1} min, in objects that get larger"
            );
        }
        let stayed = (100.0 * stayed).clamp(0.0, 100.0);
        format!(
            "{rate:.1} +-{error:.1} {unit} more per minute for {minutes:.1} min without slowing down: {objects:.0} more live \
             objects, {errors:.0} times what chance explains; {stayed:.1}% of what was allocated stayed"
        )
    }
}
