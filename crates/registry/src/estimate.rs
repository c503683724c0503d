//! Estimates of everything that was allocated, from what was sampled, with their standard errors.
//!
//! Sample `i` stands for `w_i` allocations: it was taken with the probability `1 / w_i`, by the rule of `sampler::decide`. Its value `y_i` is 1 for a count and its
//! requested size for bytes. Sums are over the live samples of a callsite, or of any set of callsites.
//!
//! ```text
//! T = sum w_i y_i                      the Horvitz-Thompson estimator (1952), which is unbiased
//! V = sum w_i (w_i - 1) y_i^2          the estimator of its variance if samples were independent (Poisson sampling)
//! Q = sum w_i^2 y_i^2
//! ```
//!
//! Gaps between samples are more regular than those of Poisson sampling. The number of samples in a long series varies by `c`
//! times what independence would give, where `c` is the squared coefficient of variation of a gap (renewal theory: Cox,
//! 1962). For gaps uniform in [min, max] with the mean `G`:
//!
//! ```text
//! c = ((max - min + 1)^2 - 1) / (12 G^2)
//! ```
//!
//! A set of samples is a part of its series `s` (one label on one shard of threads). `K_s` samples of the series, live or not,
//! end a gap, of which `M_s` have no gap of the series before them. Larger allocations have a draw of their own beside the gap,
//! with which they are sampled at the weights `w = 2, 4, 8 ..`: such a sample ends a gap with the probability `w / G`, and gaps
//! decide the part `(w - 1) / (G - 1)` of what it stands for; both are 1 for the weight `G` of small ones, and nothing is left
//! for `w = 1`. With `A_s`, the part of `T` in the series that gaps decide, regular gaps reduce the variance by
//!
//! ```text
//! A_s = sum r_i w_i y_i,  r_i = (w_i - 1) / (G - 1)
//! R   = sum over s of A_s^2 (1 - c) (K_s - M_s) / K_s^2
//! ```
//!
//! A sample that was certain (`w_i = 1`) adds nothing to `V`: an error is 0 only if all samples were certain. It has no variance
//! that could be reduced, which the factor `f` takes into account. The last factor of the error is for the number of samples, which is itself uncertain: for `k` samples of one size it is
//! `(k + 1) / k`.
//!
//! ```text
//! f     = max(0, 1 - (1 - V / Q) / (1 - 1/3))
//! error = sqrt(max(V - f R, V / 12) (1 + Q / T^2))
//! ```
//!
//! The derivation, and how often the interval covers the truth, stand in docs/explanation/estimates.md. This file knows
//! neither tables nor time. Used by `counters`; added up over callsites, labels and processes by the tables.

use std::collections::HashMap;
use std::iter::Sum;
use std::ops::AddAssign;

use heapql_ledger::{CallsiteRecord, Intervals, SHARDS};

/// The largest `c` of any interval: that of gaps drawn uniformly from 1 to a large number.
const WIDEST: f64 = 1.0 / 3.0;
/// No interval is credited with a smaller `c`.
const NARROWEST: f64 = 1.0 / 12.0;

/// An estimate, and the sums that its error is made of. Estimates add up.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Estimate {
    /// The estimate `T`, in objects or bytes.
    pub value: f64,
    /// `V`, the variance if samples were independent.
    independent: f64,
    /// `Q`, the sum of the squares of what each sample stands for.
    squares: f64,
    /// Per shard, the square root of the variance removed because gaps are more regular than Poisson; additive within a label.
    roots: [f32; SHARDS],
    /// The label that `roots` belong to, with its source.
    label: u64,
    /// The variance removed for labels before the last.
    others: f64,
}

impl Estimate {
    /// One standard error, in the unit of the value. Two thirds of such estimates are off by less, and 19 of 20 by less than
    /// 1.96 times as much.
    pub fn error(&self) -> f64 {
        if self.value <= 0.0 {
            return 0.0;
        }
        let certain = (1.0 - self.independent / self.squares) / (1.0 - WIDEST);
        let spared = self.spared() * (1.0 - certain).max(0.0);
        let variance = (self.independent - spared).max(self.independent * NARROWEST);
        (variance * (1.0 + self.squares / (self.value * self.value))).sqrt()
    }

    fn spared(&self) -> f64 {
        self.others + self.roots.iter().map(|&root| f64::from(root).powi(2)).sum::<f64>()
    }
}

/// The sum is exact if estimates come in the order of their labels. Else a label that comes again counts as another, which
/// overstates the error.
impl AddAssign for Estimate {
    fn add_assign(&mut self, other: Estimate) {
        self.value += other.value;
        self.independent += other.independent;
        self.squares += other.squares;
        if self.label == other.label {
            self.others += other.others;
            self.roots.iter_mut().zip(other.roots).for_each(|(root, other)| *root += other);
        } else {
            self.others = self.spared() + other.others;
            (self.label, self.roots) = (other.label, other.roots);
        }
    }
}

impl Sum for Estimate {
    fn sum<I: Iterator<Item = Estimate>>(estimates: I) -> Estimate {
        let mut labels: HashMap<u64, Estimate> = HashMap::new();
        for estimate in estimates {
            *labels.entry(estimate.label).or_insert(Estimate { label: estimate.label, ..Estimate::default() }) +=
                estimate;
        }
        labels.into_values().fold(Estimate::default(), |mut sum, label| {
            sum += label;
            sum
        })
    }
}

/// The samples of a label on one shard of threads, live or not.
#[derive(Clone, Copy, Default)]
struct SampleSeries {
    samples: f64,
    /// The sum over the samples of `1 / (1 - c)`.
    hard: f64,
}

impl SampleSeries {
    /// The square root of `R` for an estimate of 1, if `first` samples have no gap before them.
    fn root(&self, first: f64) -> f64 {
        let spared = self.samples / self.hard;
        (spared * (self.samples - first).max(0.0)).sqrt() / self.samples
    }
}

/// The gaps of the intervals in force.
#[derive(Clone, Copy)]
struct Gaps {
    mean: f64,
    /// `1 - c`
    spared: f64,
}

impl Gaps {
    fn new(intervals: Intervals) -> Gaps {
        let (min, max) = (f64::from(intervals.min), f64::from(intervals.max));
        let mean = (min + max) / 2.0;
        let variation = ((max - min + 1.0).powi(2) - 1.0) / 12.0 / (mean * mean);
        Gaps { mean, spared: 1.0 - variation.max(NARROWEST) }
    }
}

/// How gaps bear on the samples of one weight.
#[derive(Clone, Copy)]
struct Bearing {
    /// The probability that such a sample ends a gap.
    ends_gap: f64,
    /// `r`, the part of what it stands for that gaps decide.
    decided: f64,
    /// `1 - c`
    spared: f64,
}

impl Bearing {
    /// Samples of earlier intervals are taken as if gaps had decided everything, and had been as irregular as any.
    fn new(weight: f64, gaps: Option<Gaps>) -> Bearing {
        match gaps {
            Some(Gaps { mean, spared }) if weight == mean => Bearing { ends_gap: 1.0, decided: 1.0, spared },
            Some(Gaps { mean, spared }) if weight < mean && weight.log2().fract() == 0.0 => {
                Bearing { ends_gap: weight / mean, decided: (weight - 1.0) / (mean - 1.0), spared }
            }
            _ => Bearing { ends_gap: 1.0, decided: 1.0, spared: 1.0 - WIDEST },
        }
    }
}

/// The series of one ledger: for each label and shard, the square root of `R` for an estimate of 1.
pub(crate) struct SeriesContext {
    source: u64,
    gaps: Option<Gaps>,
    roots: HashMap<(u16, u8), f64>,
}

impl SeriesContext {
    /// The series that all records of a source make up, those included of which nothing is live any more. `begun` says how
    /// many threads have begun on each shard.
    pub(crate) fn new(
        source: u64,
        records: &[CallsiteRecord],
        begun: &[u32; SHARDS],
        intervals: Option<Intervals>,
    ) -> SeriesContext {
        let gaps = intervals.map(Gaps::new);
        let mut all: HashMap<(u16, u8), SampleSeries> = HashMap::new();
        for record in records.iter().filter(|record| record.weight > 1.0 && record.total_count > 0) {
            let series = all.entry((record.label, record.shard)).or_default();
            let bearing = Bearing::new(record.weight, gaps);
            let samples = record.total_count as f64 * bearing.ends_gap;
            series.samples += samples;
            series.hard += samples / bearing.spared;
        }
        let mut labels = [0_u32; SHARDS];
        for &(_, shard) in all.keys() {
            if let Some(count) = labels.get_mut(shard as usize) {
                *count += 1;
            }
        }
        let root = |(key, series): ((u16, u8), SampleSeries)| {
            let shard = key.1 as usize;
            // Each other label of the shard has begun at least once.
            let first = begun.get(shard).zip(labels.get(shard));
            let first =
                first.map_or(u32::MAX, |(&begun, &labels)| begun.saturating_sub(labels.saturating_sub(1)).max(1));
            (key, series.root(first.into()))
        };
        SeriesContext { source, gaps, roots: all.into_iter().map(root).collect() }
    }
}

/// Adds up the records of one callsite: its count and its bytes.
#[derive(Default)]
pub(crate) struct EstimateBuilder {
    sums: [Estimate; 2],
    /// `A_s` for each shard, of the count and of the bytes.
    shards: [[f64; SHARDS]; 2],
}

impl EstimateBuilder {
    /// Adds a record, which belongs to the ledger of `context`.
    pub(crate) fn add(&mut self, record: &CallsiteRecord, context: &SeriesContext) {
        let (count, bytes) = (record.live_count as f64, record.live_bytes as f64);
        let weight = record.weight;
        let decided = Bearing::new(weight, context.gaps).decided * weight;
        let both = [(count, count), (bytes, record.live_squares)];
        for ((estimate, shards), (sum, squares)) in self.sums.iter_mut().zip(&mut self.shards).zip(both) {
            estimate.value += weight * sum;
            estimate.independent += (weight * (weight - 1.0) * squares).max(0.0);
            estimate.squares += weight * weight * squares;
            if let Some(shard) = shards.get_mut(record.shard as usize).filter(|_| weight > 1.0) {
                *shard += decided * sum.max(0.0);
            }
        }
    }

    /// The estimates of count and bytes over the records that were added, all of this label.
    pub(crate) fn finish(self, label: u16, context: &SeriesContext) -> [Estimate; 2] {
        let EstimateBuilder { mut sums, shards } = self;
        for (estimate, shards) in sums.iter_mut().zip(shards) {
            for (shard, (root, sum)) in estimate.roots.iter_mut().zip(shards).enumerate() {
                *root = (sum * context.roots.get(&(label, shard as u8)).copied().unwrap_or_default()) as f32;
            }
            // It is never 0, which stands for no label.
            estimate.label = context.source ^ (u64::from(label) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        sums
    }
}
