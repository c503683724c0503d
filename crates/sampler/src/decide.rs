//! When a sample is due, and how many allocations it stands for: the documented rule, drawn at random inside [min, max].
//!
//! Per label and thread there are two series of events, each with its phase drawn at random, so that at any moment its next
//! event is as likely as at any other. One comes every (min + max) / 2 allocations on average, after gaps drawn uniformly
//! from [min, max]. The other, in full mode absent, comes every 4 MiB on average of what larger allocations asked for,
//! after distances drawn uniformly from 2..6 MiB. An allocation on which an event falls is sampled if `min` allocations
//! have passed since the last sample; else an event of the first series is put off until they have, and one of the second
//! is made up for by the next that falls late enough. An allocation of 16 MiB or more is always sampled and leaves the counters alone; zero mode
//! samples nothing. (OceanBase's rule; the draws are ours, so that no periodic program hides a site.)
//!
//! On an allocation of `bytes` there fall `1/G + bytes/4 MiB` events on average, G being the mean gap, so a sample counts
//! for the inverse of that per event: an estimate made of these weights is right on average whatever the program's sizes
//! and order (Horvitz and Thompson's). The weights are rounded to powers of two, up or down at random in proportion,
//! which keeps the average and leaves few different ones to a callsite.
//!
//! It neither captures nor records. Called by `recorder` when a counter or a size says that something may be due, and by
//! `scope`.

use core::cell::Cell;
use core::sync::atomic::Ordering::Acquire;

use heapql_ledger::layout::{ALWAYS_BYTES, Control, NEVER, SAMPLE_BYTES};
use heapql_ledger::{CERTAIN, Intervals, Weight};

use crate::thread::{DUE, Thread};

/// How many labels one thread's counters are kept apart for. Those of another label in the same place begin anew, with
/// phases drawn again, which changes no probability.
const SLOTS: usize = 32;

/// Two gaps under way. `limit - count` is what is left of the one of allocations.
#[derive(Clone)]
pub(crate) struct Armed {
    /// The ledger's limit under which it was armed; another one there means that the intervals have changed. 0: never armed.
    limit: Cell<u64>,
    /// Where `count` stands when `min` allocations have passed since the last sample.
    ready: Cell<u64>,
    /// What larger allocations may still ask for until the next event.
    bytes: Cell<u64>,
    /// By how much the gap of allocations was put off.
    deferred: Cell<u32>,
    /// Events of larger allocations that fell too early.
    early: Cell<u32>,
    /// The intervals, what is no larger allocation, and the weight of a sample of one.
    least: Cell<u32>,
    most: Cell<u32>,
    small: Cell<u64>,
    weight: Cell<Weight>,
    /// No sample has come of it yet.
    fresh: Cell<bool>,
    /// How much longer than `ready` these have to wait: a few, at random, so that no periodic program hides a site.
    longer: Cell<u32>,
}

impl Armed {
    /// Anew at the next allocation.
    pub(crate) fn forget(&self) {
        self.limit.set(0);
    }

    /// Whether this is the first sample since it was armed: asked once per sample.
    #[inline(always)]
    pub(crate) fn is_first_sample(&self) -> bool {
        self.fresh.get() && self.fresh.replace(false)
    }

    fn set(&self, other: &Armed) {
        let Armed { limit, ready, bytes, deferred, early, longer, least, most, small, weight, fresh } = other;
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
pub(crate) struct Slots([Slot; SLOTS]);

struct Slot {
    armed: Armed,
    left: Cell<u32>,
    /// Plus one; 0 is free.
    label: Cell<u32>,
}

/// Decides about the allocation of `bytes` that the thread has just counted: the weight of the sample to be taken.
#[inline(always)]
pub(crate) fn due(thread: &Thread, control: &Control, bytes: u64) -> Option<Weight> {
    let limit = control.limit.load(Acquire);
    if thread.armed.limit.get() != limit {
        begin(thread, control, limit);
    }
    let (armed, count) = (&thread.armed, thread.count.get());
    if bytes > armed.small.get() || count < armed.ready.get() || armed.deferred.get() != 0 {
        return odd(thread, limit, bytes);
    }
    if count < limit || armed.weight.get() == 0 {
        return None;
    }
    next_gap(thread, limit);
    Some(armed.weight.get())
}

/// With an allocation that is large, or close behind a sample.
#[cold]
fn odd(thread: &Thread, limit: u64, bytes: u64) -> Option<Weight> {
    let (armed, count) = (&thread.armed, thread.count.get());
    if armed.weight.get() == 0 {
        return None;
    }
    if bytes >= ALWAYS_BYTES {
        thread.count.set(count - 1);
        return Some(CERTAIN);
    }
    let large = if bytes > armed.small.get() { bytes } else { 0 };
    let is_full = armed.most.get() == 1;
    let mut by_bytes = if is_full { 0 } else { pass(thread, large) };
    if by_bytes > 0 {
        let is_early = count < armed.ready.get() + u64::from(armed.longer.get());
        let before = armed.early.replace(if is_early { armed.early.get().saturating_add(by_bytes) } else { 0 });
        by_bytes = if is_early { 0 } else { by_bytes.saturating_add(before) };
    }
    let by_count = count >= limit;
    if by_count && count < armed.ready.get() {
        let more = armed.ready.get() - count;
        armed.deferred.set(armed.deferred.get() + more as u32);
        armed.ready.set(limit);
        thread.count.set(limit - more);
        return None;
    }
    if !by_count && by_bytes == 0 {
        return None;
    }
    let least = armed.least.get();
    armed.longer.set(if least > 1 { below(thread, least / 8 + 2) as u32 } else { 0 });
    armed.ready.set(count + u64::from(least));
    let deferred = by_count.then(|| armed.deferred.replace(0));
    if by_count {
        next_gap(thread, limit);
    }
    Some(if is_full { CERTAIN } else { weight(thread, large, deferred, by_bytes) })
}

/// How often the distance of larger allocations ends within `bytes` more.
fn pass(thread: &Thread, bytes: u64) -> u32 {
    let (mut rest, mut left, mut events) = (bytes, thread.armed.bytes.get(), 0);
    while rest >= left {
        rest -= left;
        left = SAMPLE_BYTES / 2 + below(thread, SAMPLE_BYTES as u32 + 1);
        events += 1;
    }
    thread.armed.bytes.set(left - rest);
    events
}

/// In quarters: events, by the number of them that the allocation would see on average. An event of the mean gap that was
/// put off stands for the allocations by which it was, too.
fn weight(thread: &Thread, bytes: u64, by_count: Option<u32>, by_bytes: u32) -> Weight {
    let both = u64::from(thread.armed.least.get() + thread.armed.most.get());
    let events = by_count.map_or(0, |deferred| both + 2 * u64::from(deferred)) + u64::from(by_bytes) * both;
    // With a fraction of 12 bits.
    let quarters = events.saturating_mul((4 * SAMPLE_BYTES) << 12) / (2 * SAMPLE_BYTES + both * bytes);
    if quarters == u64::from(thread.armed.weight.get()) << 12 {
        return thread.armed.weight.get();
    }
    let quarters = quarters.clamp(1 << 12, 1 << 27);
    let power = quarters.ilog2();
    let up = below(thread, 1 << power) < quarters - (1 << power);
    1 << (power - 12 + u32::from(up)).min(15)
}

/// Begins at a random moment between two events of each series. Intervals that no writer could have stored sample nothing.
#[cold]
fn begin(thread: &Thread, control: &Control, limit: u64) {
    let intervals = Intervals::from_word(control.intervals.load(Acquire)).filter(|intervals| !intervals.is_zero());
    let armed = &thread.armed;
    armed.limit.set(limit);
    for counter in [&armed.deferred, &armed.early, &armed.longer] {
        counter.set(0);
    }
    armed.ready.set(0);
    armed.fresh.set(true);
    let mut gap = NEVER;
    match intervals {
        Some(Intervals { min, max }) => {
            gap = rest_of(thread, min.into(), max.into());
            armed.bytes.set(rest_of(thread, SAMPLE_BYTES / 2, SAMPLE_BYTES / 2 * 3));
            armed.least.set(min);
            armed.most.set(max);
            armed.small.set(Intervals { min, max }.byte_rule() - 1);
            armed.weight.set((2 * (min + max)) as Weight);
        }
        None => armed.weight.set(0),
    }
    // The allocation that has just been counted is the gap's first.
    thread.count.set(limit - gap + 1);
}

/// Begins the next gap behind a sample.
#[inline(always)]
fn next_gap(thread: &Thread, limit: u64) {
    let armed = &thread.armed;
    let more = below(thread, armed.most.get() - armed.least.get() + 1);
    thread.count.set(limit - u64::from(armed.least.get()) - more);
    armed.ready.set(limit - more);
}

/// What is left, at a random moment, of a gap drawn uniformly from `least..=most`: 1 or more. Longer gaps hold more
/// moments.
fn rest_of(thread: &Thread, least: u64, most: u64) -> u64 {
    // The gap: the sum of all from `least` to it reaches a random part of the sum of all.
    let sum = |to: u64| to * (to + 1) / 2;
    let all = sum(most) - sum(least - 1);
    let part = sum(least - 1) + share(thread, all) + 1;
    let below = ((8 * part + 1).isqrt() - 1) / 2;
    let gap = if sum(below) < part { below + 1 } else { below };
    1 + share(thread, gap)
}

/// A number below `bound`, all alike.
fn share(thread: &Thread, bound: u64) -> u64 {
    ((u128::from(random(thread)) * u128::from(bound)) >> 64) as u64
}

/// As [`share`], for less.
#[inline(always)]
fn below(thread: &Thread, bound: u32) -> u64 {
    ((random(thread) >> 32) * u64::from(bound)) >> 32
}

/// wyrand: passes the usual tests of randomness for one multiplication.
fn random(thread: &Thread) -> u64 {
    if thread.random.get() == 0 {
        thread.random.set(seed(thread));
    }
    let state = thread.random.get().wrapping_add(0xa076_1d64_78bd_642f);
    thread.random.set(state);
    let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
    (product as u64) ^ ((product >> 64) as u64)
}

fn seed(thread: &Thread) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable; clock_gettime is async-signal-safe.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let place = core::ptr::from_ref(thread) as u64;
    (place ^ (now.tv_nsec as u64).rotate_left(32) ^ now.tv_sec as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Makes `label` current: its own gaps go on where they stopped.
pub(crate) fn switch(thread: &Thread, control: &Control, label: u16) {
    let (from, limit) = (thread.label.get(), control.limit.load(Acquire));
    if from == label {
        return;
    }
    if thread.armed.limit.get() == limit {
        let slot = thread.slots.of(from);
        slot.armed.set(&thread.armed);
        slot.left.set(limit.saturating_sub(thread.count.get()).min(u32::MAX.into()) as u32);
        slot.label.set(u32::from(from) + 1);
    }
    thread.label.set(label);
    let slot = thread.slots.of(label);
    if slot.label.get() == u32::from(label) + 1 && slot.armed.limit.get() == limit {
        thread.armed.set(&slot.armed);
        thread.count.set(limit - u64::from(slot.left.get()));
    } else {
        thread.armed.forget();
        thread.count.set(DUE);
    }
}

impl Slots {
    fn of(&self, label: u16) -> &Slot {
        &self.0[label as usize % SLOTS]
    }
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
