//! What was sampled at one callsite, and what that says of all its allocations.
//!
//! A stack and label may have several records in the ledger (one for each shard of threads, and for each weight): their sum
//! is what everyone outside the ledger sees. It knows neither stacks nor labels. Called by `source`.

use heapql_ledger::CallsiteRecord;

use crate::estimate::Estimate;

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
    fn of(record: &CallsiteRecord) -> Counters {
        Counters {
            live_count: record.live_count,
            live_bytes: record.live_bytes,
            total_count: record.total_count,
            total_bytes: record.total_bytes,
            est_count: Estimate::of_count(record),
            est_bytes: Estimate::of_bytes(record),
            est_total_count: record.weight * record.total_count as f64,
            est_total_bytes: record.weight * record.total_bytes as f64,
        }
    }

    /// Without overflow, which only a damaged ledger's numbers could cause.
    fn add(&mut self, record: &CallsiteRecord) {
        let other = Counters::of(record);
        self.live_count = self.live_count.saturating_add(other.live_count);
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.total_count = self.total_count.saturating_add(other.total_count);
        self.total_bytes = self.total_bytes.saturating_add(other.total_bytes);
        self.est_count += other.est_count;
        self.est_bytes += other.est_bytes;
        self.est_total_count += other.est_total_count;
        self.est_total_bytes += other.est_total_bytes;
    }
}

/// The records of each stack and label as one: the oldest, which names the callsite for as long as the ledger lasts.
pub(crate) fn merged(mut records: Vec<CallsiteRecord>) -> Vec<(CallsiteRecord, Counters)> {
    let key = |record: &CallsiteRecord| (record.stack_at, record.depth, record.label, record.module_generation);
    // Damage can make counts negative.
    records.retain(|record| record.live_count >= 0 && record.total_count >= record.live_count);
    records.sort_by_key(|record| (key(record), record.id));
    let mut merged: Vec<(CallsiteRecord, Counters)> = Vec::with_capacity(records.len());
    for record in records {
        match merged.last_mut() {
            Some((first, counters)) if key(first) == key(&record) => counters.add(&record),
            _ => merged.push((record, Counters::of(&record))),
        }
    }
    merged
}
