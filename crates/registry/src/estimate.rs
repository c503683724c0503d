//! Estimates of everything that was allocated, from what was sampled, with their standard errors.
//!
//! Sample `i` stands for `w_i` allocations: it was taken with probability `1 / w_i`. Its value `y_i` is 1 for a count and its
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
//! A set of samples is a part of its series `s` (one label on one shard of threads), which has `K_s` samples, live or not, of
//! which `M_s` have no gap of the series before them. With `A_s`, the part of `T` that lies in the series, regular gaps
//! reduce the variance by
//!
//! ```text
//! R = sum over s of A_s^2 (1 - c) (K_s - M_s) / K_s^2
//! ```
//!
//! A sample that was certain (`w_i = 1`) has no variance that could be reduced, which the factor `f` takes into account. The
//! last factor of the error is for the number of samples, which is itself uncertain: for `k` samples of one size it is
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
/// The `c` of the distances in bytes between the samples of larger allocations. No interval is credited with a smaller one.
const NARROWEST: f64 = 1.0 / 12.0;
/// Samples that stand for less are certain, or nearly, and belong to no series.
const LEAST_WEIGHT: f64 = 2.0;

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

/// The series of one ledger: for each label and shard, the square root of `R` for an estimate of 1.
pub(crate) struct SeriesContext {
    source: u64,
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
        let mut all: HashMap<(u16, u8), SampleSeries> = HashMap::new();
        for record in records.iter().filter(|record| record.weight >= LEAST_WEIGHT && record.total_count > 0) {
            let series = all.entry((record.label, record.shard)).or_default();
            let samples = record.total_count as f64;
            series.samples += samples;
            series.hard += samples / spared(record.weight, intervals);
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
        SeriesContext { source, roots: all.into_iter().map(root).collect() }
    }
}

/// `1 - c` for a sample of a weight: by the intervals in force, if it can have come of them. Larger allocations, whose weights
/// are powers of two, are sampled in proportion by the events that bytes make due.
fn spared(weight: f64, intervals: Option<Intervals>) -> f64 {
    let of = |intervals: Intervals| {
        let (min, max) = (f64::from(intervals.min), f64::from(intervals.max));
        let mean = (min + max) / 2.0;
        let variation = ((max - min + 1.0).powi(2) - 1.0) / 12.0 / (mean * mean);
        let by_count = (weight / mean).min(1.0);
        (weight == mean || weight.log2().fract() == 0.0)
            .then(|| 1.0 / (by_count / (1.0 - variation.max(NARROWEST)) + (1.0 - by_count) / (1.0 - NARROWEST)))
    };
    intervals.and_then(of).unwrap_or(1.0 - WIDEST)
}

/// Adds up the records of one callsite: its count and its bytes.
#[derive(Default)]
pub(crate) struct EstimateBuilder {
    sums: [Estimate; 2],
    /// `A_s` for each shard, of the count and of the bytes.
    shards: [[f64; SHARDS]; 2],
}

impl EstimateBuilder {
    pub(crate) fn add(&mut self, record: &CallsiteRecord) {
        let (count, bytes) = (record.live_count as f64, record.live_bytes as f64);
        let weight = record.weight;
        let both = [(count, count), (bytes, record.live_squares)];
        for ((estimate, shards), (sum, squares)) in self.sums.iter_mut().zip(&mut self.shards).zip(both) {
            estimate.value += weight * sum;
            // An allocation so large that it is nearly certain may be counted a little less than once.
            estimate.independent += (weight * (weight - 1.0) * squares).max(0.0);
            estimate.squares += weight * weight * squares;
            if weight >= LEAST_WEIGHT
                && let Some(shard) = shards.get_mut(record.shard as usize)
            {
                *shard += weight * sum.max(0.0);
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
