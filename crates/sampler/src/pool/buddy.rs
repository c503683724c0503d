//! Spans of 2^k units out of the range, by the buddy system: every operation is at most one step per order.
//!
//! Its state is the units' table and the list heads here; every method wants the pool's lock as a witness. It does not know
//! what a span is used for. Called by `pool`.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use heapql_ledger::LockGuard;

use super::range::Range;
use super::unit::Unit;

/// 1 TiB in units of 64 KiB is one span of order 24.
const ORDERS: usize = 25;
/// Added to the order of a span's first unit while it is in use.
const USED: u8 = 0x80;

/// The first free span of each order, plus one.
pub(super) struct Buddy([AtomicU32; ORDERS]);

impl Buddy {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; ORDERS])
    }

    /// Takes over what the range has newly adopted, as one free span. `false` if there is no more.
    pub(super) fn adopt(&self, range: &Range, lock: &LockGuard) -> bool {
        let Some((first, count)) = range.adopt() else {
            return false;
        };
        if let Some(unit) = range.unit(first) {
            unit.order.store(count.ilog2() as u8 + 1 + USED, Relaxed);
        }
        self.free(range, lock, first);
        true
    }

    /// The first unit of a span of at least `units` units. The lowest half of what is split is used first.
    pub(super) fn allocate(&self, range: &Range, lock: &LockGuard, units: usize) -> Option<u32> {
        let wanted = units.max(1).checked_next_power_of_two()?.ilog2() as usize;
        let has = |&order: &usize| self.0.get(order).is_some_and(|head| head.load(Relaxed) != 0);
        let mut order = loop {
            match (wanted..ORDERS).find(has) {
                Some(order) => break order,
                None if self.adopt(range, lock) => {}
                None => return None,
            }
        };
        let at = self.0.get(order)?.load(Relaxed) - 1;
        self.unlink(range, at, order);
        while order > wanted {
            order -= 1;
            self.push(range, at + (1 << order), order);
        }
        range.unit(at)?.order.store(wanted as u8 + 1 + USED, Relaxed);
        Some(at)
    }

    /// Ends a span and joins it with its free neighbours.
    pub(super) fn free(&self, range: &Range, _lock: &LockGuard, span: u32) {
        let Some(state) = range.unit(span).map(|unit| unit.order.load(Relaxed)) else {
            return;
        };
        if state <= USED {
            return;
        }
        let (mut at, mut order) = (span, (state - USED - 1) as usize);
        clear(range, at);
        while order + 1 < ORDERS {
            let other = at ^ (1 << order);
            let free = range.unit(other).is_some_and(|unit| unit.order.load(Relaxed) as usize == order + 1);
            if !free {
                break;
            }
            self.unlink(range, other, order);
            at = at.min(other);
            order += 1;
        }
        self.push(range, at, order);
    }

    fn push(&self, range: &Range, at: u32, order: usize) {
        let (Some(unit), Some(head)) = (range.unit(at), self.0.get(order)) else {
            return;
        };
        let first = head.load(Relaxed);
        unit.order.store(order as u8 + 1, Relaxed);
        unit.previous.store(0, Relaxed);
        unit.next.store(first, Relaxed);
        if let Some(first) = first.checked_sub(1).and_then(|first| range.unit(first)) {
            first.previous.store(at + 1, Relaxed);
        }
        head.store(at + 1, Relaxed);
    }

    fn unlink(&self, range: &Range, at: u32, order: usize) {
        let (Some(unit), Some(head)) = (range.unit(at), self.0.get(order)) else {
            return;
        };
        unlink_between(range, unit, head);
        clear(range, at);
    }
}

/// Takes a unit out of the doubly linked list that begins at `head`.
pub(super) fn unlink_between(range: &Range, unit: &Unit, head: &AtomicU32) {
    let (previous, next) = (unit.previous.load(Relaxed), unit.next.load(Relaxed));
    match previous.checked_sub(1).and_then(|previous| range.unit(previous)) {
        Some(previous) => previous.next.store(next, Relaxed),
        None => head.store(next, Relaxed),
    }
    if let Some(next) = next.checked_sub(1).and_then(|next| range.unit(next)) {
        next.previous.store(previous, Relaxed);
    }
}

fn clear(range: &Range, at: u32) {
    if let Some(unit) = range.unit(at) {
        unit.order.store(0, Relaxed);
    }
}
