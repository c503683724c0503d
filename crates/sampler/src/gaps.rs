//! The gaps under way: of the thread's current label, and of the labels that it will return to.
//!
//! Only the state: `decide` draws gaps and judges by them. Part of the thread's block, touched inside the guard only.

use core::cell::Cell;

use heapql_ledger::Weight;

/// How many labels one thread's counters are kept apart for. Those of another label in the same place begin anew, with
/// phases drawn again, which changes no probability.
const SLOTS: usize = 32;

/// Two gaps under way. `limit - count` is what is left of the one of allocations.
#[derive(Clone)]
pub(crate) struct Gaps {
    /// The ledger's limit under which the gaps were drawn; another one there means that the intervals have changed. 0: none were.
    pub(crate) limit: Cell<u64>,
    /// Where `count` stands when `min` allocations have passed since the last sample.
    pub(crate) ready: Cell<u64>,
    /// The bytes that larger allocations may still ask for until the next event.
    pub(crate) bytes: Cell<u64>,
    /// The number of allocations by which the gap was put off.
    pub(crate) deferred: Cell<u32>,
    /// Events of larger allocations that fell too early.
    pub(crate) early: Cell<u32>,
    /// The intervals, what is no larger allocation, and the weight of a sample of one.
    pub(crate) least: Cell<u32>,
    pub(crate) most: Cell<u32>,
    pub(crate) small: Cell<u64>,
    pub(crate) weight: Cell<Weight>,
    /// No sample has come of it yet.
    pub(crate) fresh: Cell<bool>,
    /// How much longer than `ready` these have to wait: a few, at random, so that no periodic program hides a site.
    pub(crate) longer: Cell<u32>,
}

impl Gaps {
    /// Has the gaps drawn anew at the next allocation.
    pub(crate) fn forget(&self) {
        self.limit.set(0);
    }

    /// Whether this is the first sample since the gaps were drawn: asked once per sample.
    #[inline(always)]
    pub(crate) fn is_first_sample(&self) -> bool {
        self.fresh.get() && self.fresh.replace(false)
    }

    pub(crate) fn set(&self, other: &Gaps) {
        let Gaps { limit, ready, bytes, deferred, early, longer, least, most, small, weight, fresh } = other;
        self.limit.set(limit.get());
        self.ready.set(ready.get());
        self.bytes.set(bytes.get());
        self.deferred.set(deferred.get());
        self.early.set(early.get());
        self.longer.set(longer.get());
        self.least.set(least.get());
        self.most.set(most.get());
        self.small.set(small.get());
        self.weight.set(weight.get());
        self.fresh.set(fresh.get());
    }
}

/// The gaps of labels that are not current.
pub(crate) struct SavedGaps([LabelSlot; SLOTS]);

/// The gaps of one label that is not current.
pub(crate) struct LabelSlot {
    pub(crate) gaps: Gaps,
    /// How many allocations are left of the gap.
    pub(crate) left: Cell<u32>,
    /// The label's number plus one; 0 is free.
    pub(crate) label: Cell<u32>,
}

impl SavedGaps {
    /// The place for a label's gaps, which labels share.
    pub(crate) fn of(&self, label: u16) -> &LabelSlot {
        &self.0[label as usize % SLOTS]
    }
}
