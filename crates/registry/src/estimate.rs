//! What samples say of everything that was allocated, and how wrong that may be.
//!
//! A sample that stands for `w` allocations was taken with probability `1 / w`. The sum of these weights is right on average
//! (Horvitz and Thompson, 1952), and for samples taken independently the sum of `w (w - 1)` is its variance. Gaps between
//! samples are more even than chance: the number of samples in a long series varies by `c` times what chance would have,
//! `c` being the squared coefficient of variation of the gaps (renewal theory). What is estimated is a part of its series, so
//! of the `1 - c` that chance would add, it is spared the share that it has in the series. The derivation, and how often the
//! interval covers the truth, stand in docs/explanation/estimates.md.
//!
//! It knows neither tables nor time. Used by `counters`; added up over callsites, labels and processes by `catalog`.

use std::collections::HashMap;
use std::iter::Sum;
use std::ops::AddAssign;

use heapql_ledger::{CallsiteRecord, Intervals, SHARDS};

/// The squared coefficient of variation of gaps drawn uniformly from 1 to anything, which no interval exceeds; and of the
/// distances between the samples of larger allocations, below which no fixed interval is believed.
const WIDEST: f64 = 1.0 / 3.0;
const NARROWEST: f64 = 1.0 / 12.0;
/// Those that stand for less are certain, or nearly: they are apart from the series.
const LEAST_WEIGHT: f64 = 2.0;

/// What an error is made of.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Estimate {
    pub value: f64,
    /// The variance if samples were independent.
    independent: f64,
    /// The sum of the squares of what each sample stands for.
    squares: f64,
    /// The roots of what even gaps spare of it, by shard: they add up within a label.
    roots: [f32; SHARDS],
    label: u64,
    /// What is spared of labels before the last.
    others: f64,
}

impl Estimate {
    /// One standard error: two thirds of such estimates are off by less, and 19 of 20 by less than 1.96 of it. With few
    /// samples their number itself is uncertain: one more is allowed for.
    pub fn error(&self) -> f64 {
        if self.value <= 0.0 {
            return 0.0;
        }
        // Nothing is spared of what independent samples would not have either: one in so many is certain.
        let certain = (1.0 - self.independent / self.squares) / (1.0 - WIDEST);
        let spared = self.spared() * (1.0 - certain).max(0.0);
        let variance = (self.independent - spared).max(self.independent * NARROWEST);
        (variance * (1.0 + self.squares / (self.value * self.value))).sqrt()
    }

    fn spared(&self) -> f64 {
        self.others + self.roots.iter().map(|&root| f64::from(root).powi(2)).sum::<f64>()
    }
}

/// In the order of labels it is exact; else a label that comes again counts as another, which overstates the error.
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

/// All that was sampled of a label on one shard of threads.
#[derive(Clone, Copy, Default)]
struct Series {
    samples: f64,
    /// The samples, each divided by what it spares.
    hard: f64,
}

impl Series {
    /// What the root of the spared variance is of an estimate of 1, if `first` samples have no gap before them.
    fn root(&self, first: f64) -> f64 {
        let spared = self.samples / self.hard;
        (spared * (self.samples - first).max(0.0)).sqrt() / self.samples
    }
}

/// Against what the records of one ledger are to be seen: what a sample spares, by label and shard.
pub(crate) struct Context {
    source: u64,
    roots: HashMap<(u16, u8), f64>,
}

impl Context {
    /// Of all records of a source, those included of which nothing is live any more.
    pub(crate) fn new(
        source: u64,
        records: &[CallsiteRecord],
        begun: &[u32; SHARDS],
        intervals: Option<Intervals>,
    ) -> Context {
        let mut all: HashMap<(u16, u8), Series> = HashMap::new();
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
        let root = |(key, series): ((u16, u8), Series)| {
            let shard = key.1 as usize;
            // Each other label of the shard has begun at least once.
            let first = begun.get(shard).zip(labels.get(shard));
            let first =
                first.map_or(u32::MAX, |(&begun, &labels)| begun.saturating_sub(labels.saturating_sub(1)).max(1));
            (key, series.root(first.into()))
        };
        Context { source, roots: all.into_iter().map(root).collect() }
    }
}

/// What even gaps spare of the variance of what a sample of a weight says: by the intervals in force, if it can have come
/// of them. Larger allocations, whose weights are powers of two, are sampled in proportion by the other series of events.
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
pub(crate) struct Builder {
    sums: [Estimate; 2],
    /// What the samples of each shard stand for.
    shards: [[f64; SHARDS]; 2],
}

impl Builder {
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

    /// Count and bytes of what `add` has seen, which was all of this label.
    pub(crate) fn finish(self, label: u16, context: &Context) -> [Estimate; 2] {
        let Builder { mut sums, shards } = self;
        for (estimate, shards) in sums.iter_mut().zip(shards) {
            for (shard, (root, sum)) in estimate.roots.iter_mut().zip(shards).enumerate() {
                *root = (sum * context.roots.get(&(label, shard as u8)).copied().unwrap_or_default()) as f32;
            }
            // Never 0, which is nothing's.
            estimate.label = context.source ^ (u64::from(label) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        sums
    }
}
