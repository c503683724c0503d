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

use core::sync::atomic::Ordering::Acquire;

use heapql_ledger::layout::{ALWAYS_BYTES, Control, NEVER, SAMPLE_BYTES};
use heapql_ledger::{CERTAIN, Intervals, Weight};

use crate::thread::{DUE, Thread};

/// Decides about the allocation of `bytes` that the thread has just counted: the weight of the sample to be taken.
#[inline(always)]
pub(crate) fn due(thread: &Thread, control: &Control, bytes: u64) -> Option<Weight> {
    let limit = control.limit.load(Acquire);
    if thread.gaps.limit.get() != limit {
        begin(thread, control, limit);
    }
    let (gaps, count) = (&thread.gaps, thread.count.get());
    if bytes > gaps.small.get() || count < gaps.ready.get() || gaps.deferred.get() != 0 {
        return odd(thread, limit, bytes);
    }
    if count < limit || gaps.weight.get() == 0 {
        return None;
    }
    next_gap(thread, limit);
    Some(gaps.weight.get())
}

/// With an allocation that is large, or close behind a sample.
#[cold]
fn odd(thread: &Thread, limit: u64, bytes: u64) -> Option<Weight> {
    let (gaps, count) = (&thread.gaps, thread.count.get());
    if gaps.weight.get() == 0 {
        return None;
    }
    if bytes >= ALWAYS_BYTES {
        thread.count.set(count - 1);
        return Some(CERTAIN);
    }
    let large = if bytes > gaps.small.get() { bytes } else { 0 };
    let is_full = gaps.most.get() == 1;
    let mut by_bytes = if is_full { 0 } else { pass(thread, large) };
    if by_bytes > 0 {
        let is_early = count < gaps.ready.get() + u64::from(gaps.longer.get());
        let before = gaps.early.replace(if is_early { gaps.early.get().saturating_add(by_bytes) } else { 0 });
        by_bytes = if is_early { 0 } else { by_bytes.saturating_add(before) };
    }
    let by_count = count >= limit;
    if by_count && count < gaps.ready.get() {
        let more = gaps.ready.get() - count;
        gaps.deferred.set(gaps.deferred.get() + more as u32);
        gaps.ready.set(limit);
        thread.count.set(limit - more);
        return None;
    }
    if !by_count && by_bytes == 0 {
        return None;
    }
    let least = gaps.least.get();
    gaps.longer.set(if least > 1 { below(thread, least / 8 + 2) as u32 } else { 0 });
    gaps.ready.set(count + u64::from(least));
    let deferred = by_count.then(|| gaps.deferred.replace(0));
    if by_count {
        next_gap(thread, limit);
    }
    Some(if is_full { CERTAIN } else { weight(thread, large, deferred, by_bytes) })
}

/// How often the distance of larger allocations ends within `bytes` more.
fn pass(thread: &Thread, bytes: u64) -> u32 {
    let (mut rest, mut left, mut events) = (bytes, thread.gaps.bytes.get(), 0);
    while rest >= left {
        rest -= left;
        left = SAMPLE_BYTES / 2 + below(thread, SAMPLE_BYTES as u32 + 1);
        events += 1;
    }
    thread.gaps.bytes.set(left - rest);
    events
}

/// In quarters: events, by the number of them that the allocation would see on average. An event of the mean gap that was
/// put off stands for the allocations by which it was, too.
fn weight(thread: &Thread, bytes: u64, by_count: Option<u32>, by_bytes: u32) -> Weight {
    let both = u64::from(thread.gaps.least.get() + thread.gaps.most.get());
    let events = by_count.map_or(0, |deferred| both + 2 * u64::from(deferred)) + u64::from(by_bytes) * both;
    // With a fraction of 12 bits.
    let quarters = events.saturating_mul((4 * SAMPLE_BYTES) << 12) / (2 * SAMPLE_BYTES + both * bytes);
    if quarters == u64::from(thread.gaps.weight.get()) << 12 {
        return thread.gaps.weight.get();
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
    let gaps = &thread.gaps;
    gaps.limit.set(limit);
    for counter in [&gaps.deferred, &gaps.early, &gaps.longer] {
        counter.set(0);
    }
    gaps.ready.set(0);
    gaps.fresh.set(true);
    let mut gap = NEVER;
    match intervals {
        Some(Intervals { min, max }) => {
            gap = rest_of(thread, min.into(), max.into());
            gaps.bytes.set(rest_of(thread, SAMPLE_BYTES / 2, SAMPLE_BYTES / 2 * 3));
            gaps.least.set(min);
            gaps.most.set(max);
            gaps.small.set(Intervals { min, max }.byte_rule() - 1);
            gaps.weight.set((2 * (min + max)) as Weight);
        }
        None => gaps.weight.set(0),
    }
    // The allocation that has just been counted is the gap's first.
    thread.count.set(limit - gap + 1);
}

/// Begins the next gap behind a sample.
#[inline(always)]
fn next_gap(thread: &Thread, limit: u64) {
    let gaps = &thread.gaps;
    let more = below(thread, gaps.most.get() - gaps.least.get() + 1);
    thread.count.set(limit - u64::from(gaps.least.get()) - more);
    gaps.ready.set(limit - more);
}

/// The rest, at a random moment, of a gap drawn uniformly from `least..=most`: 1 or more. Longer gaps hold more
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
    let place = core::ptr::from_ref(thread) as u64;
    (place ^ heapql_ledger::clock(libc::CLOCK_MONOTONIC).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Makes `label` current: its own gaps go on where they stopped.
pub(crate) fn switch(thread: &Thread, control: &Control, label: u16) {
    let (from, limit) = (thread.label.get(), control.limit.load(Acquire));
    if from == label {
        return;
    }
    if thread.gaps.limit.get() == limit {
        let slot = thread.saved_gaps.of(from);
        slot.gaps.set(&thread.gaps);
        slot.left.set(limit.saturating_sub(thread.count.get()).min(u32::MAX.into()) as u32);
        slot.label.set(u32::from(from) + 1);
    }
    thread.label.set(label);
    let slot = thread.saved_gaps.of(label);
    if slot.label.get() == u32::from(label) + 1 && slot.gaps.limit.get() == limit {
        thread.gaps.set(&slot.gaps);
        thread.count.set(limit - u64::from(slot.left.get()));
    } else {
        thread.gaps.forget();
        thread.count.set(DUE);
    }
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
