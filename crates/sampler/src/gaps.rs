//! The gaps under way: of the thread's current label, and of the labels that it will return to.
//!
//! Only the state: `decide` draws gaps and judges by them. Part of the thread's block, touched inside the guard only.

use core::cell::Cell;

use heapql_ledger::Weight;

/// How many labels one thread's counters are kept apart for. Those of another label in the same place begin anew, with
/// phases drawn again, which changes no probability.
const SLOTS: usize = 32;

/// A gap under way. `limit - count` is what is left of it.
#[derive(Clone)]
pub(crate) struct Gaps {
    /// The ledger's limit under which the gap was drawn; another one there means that the intervals have changed. 0: none was.
    pub(crate) limit: Cell<u64>,
    /// The intervals.
    pub(crate) least: Cell<u32>,
    pub(crate) most: Cell<u32>,
    /// The largest size in bytes that has no chance but its gap.
    pub(crate) small: Cell<u64>,
    /// The weight of a sample of such a size; 0 samples nothing.
    pub(crate) weight: Cell<Weight>,
    /// No gap has ended in a sample yet.
    pub(crate) fresh: Cell<bool>,
    /// The sample that is being taken is the first that a gap ended in.
    pub(crate) first: Cell<bool>,
}

impl Gaps {
    /// Has the gaps drawn anew at the next allocation.
    pub(crate) fn forget(&self) {
        self.limit.set(0);
    }

    /// Whether the sample that is being taken is the first that a gap ended in: asked once per sample.
    #[inline(always)]
    pub(crate) fn is_first_sample(&self) -> bool {
        self.first.get() && self.first.replace(false)
    }

    pub(crate) fn set(&self, other: &Gaps) {
        let Gaps { limit, least, most, small, weight, fresh, first } = other;
        self.limit.set(limit.get());
        self.least.set(least.get());
        self.most.set(most.get());
        self.small.set(small.get());
        self.weight.set(weight.get());
        self.fresh.set(fresh.get());
        self.first.set(first.get());
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
