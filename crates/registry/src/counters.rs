//! The counters of one callsite: what was sampled there, and the estimates of all its allocations.
//!
//! A stack and label may have several records in the ledger (one for each shard of threads, and for each weight). Everything
//! outside the ledger sees their sum. This file knows neither stacks nor labels. Called by `source`.

use std::iter::Sum;

use heapql_ledger::{CallsiteRecord, Ledger, ReadError};

use crate::estimate::{Estimate, EstimateBuilder, SeriesContext};

/// The counters of one callsite, or the sum over several.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Counters {
    /// Live samples.
    pub live_count: i64,
    /// Requested bytes of the live samples.
    pub live_bytes: i64,
    /// Samples that were ever taken.
    pub total_count: i64,
    /// Requested bytes of all samples that were ever taken.
    pub total_bytes: i64,
    /// Estimate of all live objects, sampled or not.
    pub est_count: Estimate,
    /// Estimate of the requested bytes of all live objects.
    pub est_bytes: Estimate,
    /// Estimate of all objects that were ever allocated.
    pub est_total_count: f64,
    /// Estimate of the requested bytes of all objects that were ever allocated.
    pub est_total_bytes: f64,
}

impl Counters {
    /// Adds a record. Sums saturate, because a damaged ledger may hold any numbers.
    fn add(&mut self, record: &CallsiteRecord) {
        self.live_count = self.live_count.saturating_add(record.live_count);
        self.live_bytes = self.live_bytes.saturating_add(record.live_bytes);
        self.total_count = self.total_count.saturating_add(record.total_count);
        self.total_bytes = self.total_bytes.saturating_add(record.total_bytes);
        self.est_total_count += record.weight * record.total_count as f64;
        self.est_total_bytes += record.weight * record.total_bytes as f64;
    }
}

/// The counters of several callsites together.
impl Sum for Counters {
    fn sum<I: Iterator<Item = Counters>>(all: I) -> Counters {
        let all: Vec<Counters> = all.collect();
        let ints = |get: fn(&Counters) -> i64| all.iter().map(get).fold(0, i64::saturating_add);
        Counters {
            live_count: ints(|counters| counters.live_count),
            live_bytes: ints(|counters| counters.live_bytes),
            total_count: ints(|counters| counters.total_count),
            total_bytes: ints(|counters| counters.total_bytes),
            est_count: all.iter().map(|counters| counters.est_count).sum(),
            est_bytes: all.iter().map(|counters| counters.est_bytes).sum(),
            est_total_count: all.iter().map(|counters| counters.est_total_count).sum(),
            est_total_bytes: all.iter().map(|counters| counters.est_total_bytes).sum(),
        }
    }
}

/// The records of each stack and label, merged into the oldest, whose number names the callsite for as long as the ledger
/// lasts.
/// `source` tells one ledger from another.
pub(crate) fn merged(ledger: &Ledger, source: u64) -> Result<Vec<(CallsiteRecord, Counters)>, ReadError> {
    let key = |record: &CallsiteRecord| (record.stack_at, record.depth, record.label, record.module_generation);
    // The series last: one that has begun meanwhile makes no sample look more certain than it is.
    let mut records = ledger.callsites()?;
    let context = SeriesContext::new(source, &records, &ledger.series()?, ledger.intervals()?);
    // Damage can make counts negative.
    records.retain(|record| record.live_count >= 0 && record.total_count >= record.live_count);
    records.sort_by_key(|record| (key(record), record.id));
    let of = |records: &[CallsiteRecord]| {
        let (mut counters, mut estimates) = (Counters::default(), EstimateBuilder::default());
        for record in records {
            counters.add(record);
            estimates.add(record, &context);
        }
        [counters.est_count, counters.est_bytes] = estimates.finish(records[0].label, &context);
        (records[0], counters)
    };
    Ok(records.chunk_by(|one, next| key(one) == key(next)).map(of).collect())
}
