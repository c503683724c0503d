//! What was sampled at one callsite, and what that says of all its allocations.
//!
//! A stack and label may have several records in the ledger (one for each shard of threads, and for each weight): their sum
//! is what everyone outside the ledger sees. It knows neither stacks nor labels. Called by `source`.

use std::iter::Sum;

use heapql_ledger::{CallsiteRecord, Ledger, ReadError};

use crate::estimate::{Builder, Context, Estimate};

#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Counters {
    /// Of samples: how many are live, their requested bytes, and the same of all that were ever taken.
    pub live_count: i64,
    pub live_bytes: i64,
    pub total_count: i64,
    pub total_bytes: i64,
    /// What is live, sampled or not: estimates, each with its standard error.
    pub est_count: Estimate,
    pub est_bytes: Estimate,
    /// How many were ever allocated, and their bytes: estimates.
    pub est_total_count: f64,
    pub est_total_bytes: f64,
}

impl Counters {
    /// Without overflow, which only a damaged ledger's numbers could cause.
    fn add(&mut self, record: &CallsiteRecord) {
        self.live_count = self.live_count.saturating_add(record.live_count);
        self.live_bytes = self.live_bytes.saturating_add(record.live_bytes);
        self.total_count = self.total_count.saturating_add(record.total_count);
        self.total_bytes = self.total_bytes.saturating_add(record.total_bytes);
        self.est_total_count += record.weight * record.total_count as f64;
        self.est_total_bytes += record.weight * record.total_bytes as f64;
    }
}

/// Of several callsites together.
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

/// The records of each stack and label as one: the oldest, which names the callsite for as long as the ledger lasts.
/// `source` tells one ledger from another.
pub(crate) fn merged(ledger: &Ledger, source: u64) -> Result<Vec<(CallsiteRecord, Counters)>, ReadError> {
    let key = |record: &CallsiteRecord| (record.stack_at, record.depth, record.label, record.module_generation);
    // The series last: one that has begun meanwhile makes no sample look more certain than it is.
    let mut records = ledger.callsites()?;
    let context = Context::new(source, &records, &ledger.series()?, ledger.intervals()?);
    // Damage can make counts negative.
    records.retain(|record| record.live_count >= 0 && record.total_count >= record.live_count);
    records.sort_by_key(|record| (key(record), record.id));
    let of = |records: &[CallsiteRecord]| {
        let (mut counters, mut estimates) = (Counters::default(), Builder::default());
        for record in records {
            counters.add(record);
            estimates.add(record);
        }
        [counters.est_count, counters.est_bytes] = estimates.finish(records[0].label, &context);
        (records[0], counters)
    };
    Ok(records.chunk_by(|one, next| key(one) == key(next)).map(of).collect())
}
