//! Which allocations are sampled, and how many a sample stands for.
//!
//! # The rule
//!
//! Every label on every thread has a series of gaps, drawn uniformly from [min, max]; the allocation at the end of a gap is
//! sampled. The series begins inside a gap, at a random moment of it, so each allocation ends a gap with the probability 1/G,
//! where G = (min + max) / 2 is the mean gap. Let C be [`CERTAIN_BYTES`] (1 MiB), s the size of an allocation in bytes, and b
//! the size [`Intervals::byte_rule`] (16 KiB at 16..256). The probability that the allocation is sampled is
//!
//! ```text
//!   s < b:        p = 1/G                                            the gap alone
//!   b <= s < C:   p = 2^-j  for C/2^j <= s < C/2^(j-1), j >= 1       1 - (1 - 1/G)(1 - q): the gap, or a draw of its own
//!   C <= s:       p = 1                                              it is certain, and is not counted
//! ```
//!
//! so the draw of its own has the probability q = (2^-j - 1/G) / (1 - 1/G). It is independent of all others and of the gaps and
//! moves none of them: nothing is put off, and nothing that is due can be lost. Zero mode samples nothing.
//!
//! # The estimator
//!
//! A sample has the weight w = 1/p, which is exact: 2^j, or G in halves. The sum of w over the live samples estimates how many
//! objects are live, the sum of w s their bytes; both are right on average, whatever the program (Horvitz and Thompson, 1952).
//! The reader's half, with the variance, is `registry::estimate`.
//!
//! OceanBase's rule has a deterministic gap, and lets bytes shorten it (`docs/decisions/0015-own-draws-for-larger-sizes.md`).
//!
//! It neither captures nor records. Called by `recorder` when a counter or a size says that something may be due, and by
//! `scope`.

use core::sync::atomic::Ordering::Acquire;

use heapql_ledger::layout::{CERTAIN_BYTES, Control, NEVER};
use heapql_ledger::{CERTAIN, Intervals, Weight};

use crate::thread::{DUE, Thread};

/// Decides about the allocation of `bytes` that the thread has just counted: the weight of the sample to be taken.
#[inline(always)]
pub(crate) fn due(thread: &Thread, control: &Control, bytes: u64) -> Option<Weight> {
    let limit = control.limit.load(Acquire);
    if thread.gaps.limit.get() != limit {
        begin(thread, control, limit);
    }
    let gaps = &thread.gaps;
    if bytes > gaps.small.get() {
        return large(thread, limit, bytes);
    }
    if thread.count.get() < limit || gaps.weight.get() == 0 {
        return None;
    }
    end_gap(thread, limit);
    Some(gaps.weight.get())
}

/// Passes over something that was counted and is no allocation. If a gap ends there, it ends without a sample, so the chance
/// of every allocation stays what it is. False in zero mode.
pub(crate) fn pass_over(thread: &Thread, control: &Control) -> bool {
    let limit = control.limit.load(Acquire);
    if thread.gaps.limit.get() != limit {
        begin(thread, control, limit);
    }
    if thread.gaps.weight.get() == 0 {
        return false;
    }
    if thread.count.get() >= limit {
        next_gap(thread, limit);
    }
    true
}

/// Decides about an allocation whose size has a draw of its own, or is certain.
#[cold]
fn large(thread: &Thread, limit: u64, bytes: u64) -> Option<Weight> {
    let (gaps, count) = (&thread.gaps, thread.count.get());
    if gaps.weight.get() == 0 {
        return None;
    }
    if bytes >= CERTAIN_BYTES {
        thread.count.set(count - 1);
        return Some(CERTAIN);
    }
    let ends_gap = count >= limit;
    if ends_gap {
        end_gap(thread, limit);
    }
    let weight = Intervals::octave_weight(bytes);
    // q = (2^-j - 1/G) / (1 - 1/G), with 2 G = min + max. Neither is 0: `small` is less than C only if 2 G >= 8.
    let twice_mean = gaps.least.get() + gaps.most.get();
    let is_drawn = || below(thread, weight * (twice_mean - 2)) < u64::from(twice_mean - 2 * weight);
    (ends_gap || is_drawn()).then_some(CERTAIN * weight as Weight)
}

/// Begins at a random moment inside a gap. Intervals that no writer could have stored sample nothing.
#[cold]
fn begin(thread: &Thread, control: &Control, limit: u64) {
    let intervals = Intervals::from_word(control.intervals.load(Acquire)).filter(|intervals| !intervals.is_zero());
    let gaps = &thread.gaps;
    gaps.limit.set(limit);
    gaps.fresh.set(true);
    gaps.first.set(false);
    let mut gap = NEVER;
    match intervals {
        Some(intervals @ Intervals { min, max }) => {
            gap = rest_of(thread, min.into(), max.into());
            gaps.least.set(min);
            gaps.most.set(max);
            gaps.small.set(intervals.byte_rule() - 1);
            gaps.weight.set((2 * (min + max)) as Weight);
        }
        None => gaps.weight.set(0),
    }
    // The allocation that has just been counted is the gap's first.
    thread.count.set(limit - gap + 1);
}

/// Ends a gap in a sample, and begins the next.
#[inline(always)]
fn end_gap(thread: &Thread, limit: u64) {
    if thread.gaps.fresh.get() {
        thread.gaps.fresh.set(false);
        thread.gaps.first.set(true);
    }
    next_gap(thread, limit);
}

/// Begins the next gap.
#[inline(always)]
fn next_gap(thread: &Thread, limit: u64) {
    let gaps = &thread.gaps;
    let more = below(thread, gaps.most.get() - gaps.least.get() + 1);
    thread.count.set(limit - u64::from(gaps.least.get()) - more);
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
