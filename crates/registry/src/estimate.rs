//! What samples say of everything that was allocated, and how wrong that may be.
//!
//! A sample that stands for `w` allocations was taken with probability `1 / w`. The sum of these weights is right on average
//! (Horvitz and Thompson, 1952), and for samples taken independently the sum of `w (w - 1)` is its variance. Gaps between
//! samples are more even than chance: the number of samples in a long series varies by `c` times what chance would have,
//! `c` being the squared coefficient of variation of the gaps (renewal theory). What is estimated is a part of its series, so
//! of the `1 - c` that chance would add, it is spared the share that it has in the series. The derivation, and how often the
//! interval covers the truth, stand in docs/estimates.md.
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
    /// What even gaps take off the variance: of each shard alone, which adds up over whatever is added up.
    spared: f64,
    /// And of all shards of one label together: the root of it adds up within the label.
    label: u64,
    root: f64,
    /// Of the labels before the last.
    others: f64,
}

impl Estimate {
    /// One standard error: two thirds of such estimates are off by less, and 19 of 20 by less than 1.96 of it. With few
    /// samples their number itself is uncertain: one more is allowed for.
    pub fn error(&self) -> f64 {
        if self.value <= 0.0 {
            return 0.0;
        }
        let spared = self.spared.max(self.others + self.root * self.root);
        let variance = (self.independent - spared).max(self.independent * NARROWEST);
        (variance * (1.0 + self.squares / (self.value * self.value))).sqrt()
    }
}

/// In the order of labels it is exact; else a label that comes again counts as another, which overstates the error.
impl AddAssign for Estimate {
    fn add_assign(&mut self, other: Estimate) {
        self.value += other.value;
        self.independent += other.independent;
        self.squares += other.squares;
        self.spared += other.spared;
        self.others += other.others;
        if self.label == other.label {
            self.root += other.root;
        } else {
            self.others += self.root * self.root;
            (self.label, self.root) = (other.label, other.root);
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

/// All that was sampled of a label, on one shard of threads or on all.
#[derive(Clone, Copy, Default)]
struct Series {
    samples: f64,
    allocations: f64,
    /// Samples that have no gap before them.
    first: f64,
    /// The largest that some of its gaps may have.
    variation: f64,
}

impl Series {
    /// What the root of the spared variance is of an estimate of 1.
    fn root(&self) -> f64 {
        let spared = (1.0 - self.variation - self.samples / self.allocations).max(0.0);
        let gaps = (self.samples - self.first).max(0.0);
        if self.samples > 0.0 { (spared * gaps).sqrt() / self.samples } else { 0.0 }
    }

    fn add(&mut self, other: &Series) {
        self.samples += other.samples;
        self.allocations += other.allocations;
        self.first += other.first;
        self.variation = self.variation.max(other.variation);
    }
}

/// Against what the records of one ledger are to be seen.
pub(crate) struct Context {
    source: u64,
    /// Roots by label and shard, and by label.
    shards: HashMap<(u16, u8), f64>,
    labels: HashMap<u16, f64>,
}

impl Context {
    /// Of all records of a source, those included of which nothing is live any more.
    pub(crate) fn new(
        source: u64,
        records: &[CallsiteRecord],
        series: &[u32; SHARDS],
        intervals: Option<Intervals>,
    ) -> Context {
        let mut shards: HashMap<(u16, u8), Series> = HashMap::new();
        for record in records.iter().filter(|record| record.weight >= LEAST_WEIGHT && record.total_count > 0) {
            let shard = shards.entry((record.label, record.shard)).or_default();
            let samples = record.total_count as f64;
            let variation = variation(record.weight, intervals);
            shard.add(&Series { samples, allocations: samples * record.weight, first: 0.0, variation });
        }
        let mut labels_of = [0_u32; SHARDS];
        let mut labels: HashMap<u16, Series> = HashMap::new();
        for &(_, shard) in shards.keys() {
            if let Some(count) = labels_of.get_mut(shard as usize) {
                *count += 1;
            }
        }
        for (&(label, shard), of) in &mut shards {
            // Each other label of the shard has begun at least once.
            let begun = series.get(shard as usize).zip(labels_of.get(shard as usize));
            let begun = begun.map_or(u32::MAX, |(&begun, &labels)| begun.saturating_sub(labels.saturating_sub(1)));
            of.first = f64::from(begun.max(1)).min(of.samples);
            labels.entry(label).or_default().add(of);
        }
        Context {
            source,
            shards: shards.into_iter().map(|(key, series)| (key, series.root())).collect(),
            labels: labels.into_iter().map(|(label, series)| (label, series.root())).collect(),
        }
    }
}

/// That of the gaps of which samples of a weight came: those of the intervals in force, if they can be. Weights of larger
/// allocations are powers of two.
fn variation(weight: f64, intervals: Option<Intervals>) -> f64 {
    let of = |intervals: Intervals| {
        let (min, max) = (f64::from(intervals.min), f64::from(intervals.max));
        let mean = (min + max) / 2.0;
        let now = ((max - min + 1.0).powi(2) - 1.0) / 12.0 / (mean * mean);
        (weight == mean || weight.log2().fract() == 0.0).then_some(now.max(NARROWEST))
    };
    intervals.and_then(of).unwrap_or(WIDEST)
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
        for (i, (sum, squares)) in [(count, count), (bytes, record.live_squares)].into_iter().enumerate() {
            let estimate = &mut self.sums[i];
            estimate.value += weight * sum;
            // An allocation so large that it is nearly certain may be counted a little less than once.
            estimate.independent += (weight * (weight - 1.0) * squares).max(0.0);
            estimate.squares += weight * weight * squares;
            if weight >= LEAST_WEIGHT
                && let Some(shard) = self.shards[i].get_mut(record.shard as usize)
            {
                *shard += weight * sum.max(0.0);
            }
        }
    }

    /// Count and bytes of what `add` has seen, which was all of this label.
    pub(crate) fn finish(self, label: u16, context: &Context) -> [Estimate; 2] {
        let Builder { mut sums, shards } = self;
        let of_label = context.labels.get(&label).copied().unwrap_or_default();
        for (estimate, shards) in sums.iter_mut().zip(shards) {
            let of_shard = |shard: usize| context.shards.get(&(label, shard as u8)).copied().unwrap_or_default();
            estimate.spared = shards.iter().enumerate().map(|(shard, sum)| (sum * of_shard(shard)).powi(2)).sum();
            estimate.root = shards.iter().sum::<f64>() * of_label;
            // Positive, so that no label is that of nothing.
            estimate.label = context.source ^ (u64::from(label) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        sums
    }
}
