//! Counters of what the cluster's port has refused, for `self_usage`. They decide nothing; `incoming`, `authenticator` and
//! `exchange` count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use heapql_server::cluster::Usage;

/// One counter per kind of refusal; [`RefusalCounts::list`] describes them.
#[derive(Debug, Default)]
pub(crate) struct RefusalCounts {
    pub(crate) strangers: AtomicU64,
    pub(crate) clocks: AtomicU64,
    pub(crate) crowded: AtomicU64,
    pub(crate) silent: AtomicU64,
    pub(crate) members_full: AtomicU64,
}

impl RefusalCounts {
    pub(crate) fn add(counter: &AtomicU64, number: usize) {
        counter.fetch_add(number as u64, Relaxed);
    }

    /// One row of `self_usage` for each number.
    pub(crate) fn list(&self) -> Vec<Usage> {
        let row = |name, counter: &AtomicU64, description| {
            let value = i64::try_from(counter.load(Relaxed)).unwrap_or(i64::MAX);
            Usage { name, value, unit: "count", description }
        };
        vec![
            row(
                "cluster_refused_strangers",
                &self.strangers,
                "requests to the cluster's port without a proof of its secret",
            ),
            row("cluster_refused_clocks", &self.clocks, "requests of servers whose clocks are more than 5 minutes off"),
            row(
                "cluster_refused_connections",
                &self.crowded,
                "connections to the cluster's port beyond what it takes at once",
            ),
            row(
                "cluster_dropped_silent",
                &self.silent,
                "connections to the cluster's port that were dropped as no server spoke on them",
            ),
            row(
                "cluster_refused_members",
                &self.members_full,
                "servers that there was no room for in the list of members",
            ),
        ]
    }
}
