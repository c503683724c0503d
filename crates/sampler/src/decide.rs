//! When a sample is due: the documented rule, with each gap drawn at random inside [min, max].
//!
//! Per label and thread a sample is due at the gap's end, or, once `min` allocations have passed, as soon as 4 MiB have
//! accumulated; an allocation of 16 MiB or more is always sampled and leaves the counters alone; zero mode samples
//! nothing (OceanBase's rule; the draw is ours, so that no periodic program hides a site). It neither captures nor
//! records. Called by `recorder` when a counter or a size says that something may be due, and by `scope`.

use core::cell::Cell;
use core::sync::atomic::Ordering::Acquire;

use heapql_ledger::Intervals;
use heapql_ledger::layout::{ALWAYS_BYTES, Control, NEVER, SAMPLE_BYTES};

use crate::thread::{DUE, Thread};

/// How many labels one thread's counters are kept apart for. The counters of labels beyond it start anew when they are
/// entered.
const SLOTS: usize = 56;

/// A gap under way. `limit - count` is what is left of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Armed {
    /// The ledger's limit under which it was armed; another one there means that the intervals have changed. 0: never armed.
    pub(crate) limit: u64,
    pub(crate) gap: u64,
    /// Accumulated by allocations that are large enough to matter.
    pub(crate) bytes: u64,
}

/// The gaps of labels that are not current.
pub(crate) struct Slots([Cell<Slot>; SLOTS]);

#[derive(Clone, Copy)]
struct Slot {
    armed: Armed,
    left: u32,
    /// Plus one; 0 is free.
    label: u32,
}

/// Decides about the allocation of `bytes` that the thread has just counted.
pub(crate) fn is_due(thread: &Thread, control: &Control, bytes: u64) -> bool {
    let limit = control.limit.load(Acquire);
    let intervals = Intervals::from_word(control.intervals.load(Acquire));
    if thread.armed.get().limit != limit {
        arm(thread, limit, intervals);
        thread.count.set(thread.count.get() + 1);
    }
    let Some(intervals) = intervals.filter(|intervals| !intervals.is_zero()) else {
        return false;
    };
    if bytes >= ALWAYS_BYTES {
        thread.count.set(thread.count.get() - 1);
        return true;
    }
    if bytes >= intervals.byte_rule() {
        accumulate(thread, u64::from(intervals.min), bytes);
    }
    if thread.count.get() < limit {
        return false;
    }
    arm(thread, limit, Some(intervals));
    true
}

/// Adds bytes; enough of them shorten the gap to `min`, or end it if that has passed.
fn accumulate(thread: &Thread, min: u64, bytes: u64) {
    let mut armed = thread.armed.get();
    armed.bytes += bytes;
    if armed.bytes >= SAMPLE_BYTES && armed.gap > min {
        thread.count.set(thread.count.get() + (armed.gap - min));
        armed.gap = min;
    }
    thread.armed.set(armed);
}

/// Begins a new gap. Intervals that no writer could have stored sample nothing.
fn arm(thread: &Thread, limit: u64, intervals: Option<Intervals>) {
    let gap = match intervals {
        Some(intervals) if !intervals.is_zero() => {
            let span = u64::from(intervals.max - intervals.min) + 1;
            u64::from(intervals.min) + (((random(thread) >> 32) * span) >> 32)
        }
        _ => NEVER,
    };
    thread.armed.set(Armed { limit, gap, bytes: 0 });
    thread.count.set(limit.wrapping_sub(gap));
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

/// Makes `label` current: its own gap goes on where it stopped.
pub(crate) fn switch(thread: &Thread, control: &Control, label: u16) {
    let (from, limit) = (thread.label.get(), control.limit.load(Acquire));
    if from == label {
        return;
    }
    let armed = thread.armed.get();
    if armed.limit == limit {
        let left = limit.saturating_sub(thread.count.get()).min(u32::MAX.into()) as u32;
        thread.slots.of(from).set(Slot { armed, left, label: u32::from(from) + 1 });
    }
    thread.label.set(label);
    let slot = thread.slots.of(label).get();
    if slot.label == u32::from(label) + 1 && slot.armed.limit == limit {
        thread.armed.set(slot.armed);
        thread.count.set(limit - u64::from(slot.left));
    } else {
        thread.armed.set(Armed { limit: 0, gap: 0, bytes: 0 });
        thread.count.set(DUE);
    }
}

impl Slots {
    fn of(&self, label: u16) -> &Cell<Slot> {
        &self.0[label as usize % SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use heapql_ledger::layout::{Header, LIMIT_START, LIMIT_STEP};
    use proptest::prelude::*;

    use super::*;
    use crate::thread;

    fn set(control: &Control, min: u32, max: u32) -> Intervals {
        let intervals = Intervals::new(min, max).expect("valid");
        control.intervals.store(intervals.to_word(), Relaxed);
        control.byte_rule.store(intervals.byte_rule(), Relaxed);
        if control.limit.load(Relaxed) == 0 {
            control.limit.store(LIMIT_START, Relaxed);
        }
        control.limit.fetch_sub(LIMIT_STEP, Relaxed);
        intervals
    }

    /// What the allocation path does.
    fn allocate(control: &Control, bytes: u64) -> bool {
        let due = thread::tick() >= control.limit.load(Relaxed) || bytes >= control.byte_rule.load(Relaxed);
        due && is_due(thread::current(), control, bytes)
    }

    /// On a thread of its own, whose counters are fresh.
    fn on_thread<T: Send>(run: impl FnOnce(&Control) -> T + Send) -> T {
        let run = || {
            let header = Box::new(Header::zeroed());
            run(&header.control)
        };
        std::thread::scope(|scope| scope.spawn(run).join().expect("the thread ends well"))
    }

    fn draw_gaps(control: &Control, count: usize, mut bytes: impl FnMut() -> u64) -> Vec<u32> {
        let (mut gaps, mut gap) = (Vec::new(), 0);
        for _ in 0..count {
            gap += 1;
            if allocate(control, bytes()) {
                gaps.push(gap);
                gap = 0;
            }
        }
        gaps
    }

    proptest! {
        #[test]
        fn every_gap_lies_in_the_interval(min in 1u32..400, more in 0u32..400, sizes in prop::collection::vec(0u64..(8 << 20), 1..50)) {
            let max = min + more;
            let mut sizes = sizes.into_iter().cycle();
            let gaps = on_thread(|control| {
                set(control, min, max);
                draw_gaps(control, 20_000, || sizes.next().expect("endless"))
            });
            prop_assert!(gaps.iter().all(|gap| (min..=max).contains(gap)), "{gaps:?}");
            prop_assert!(gaps.len() >= 20_000 / max as usize - 1);
        }
    }

    #[test]
    fn gaps_of_small_objects_are_spread_over_the_whole_interval() {
        let gaps = on_thread(|control| {
            set(control, 16, 256);
            draw_gaps(control, 2_000_000, || 64)
        });
        let mean = gaps.iter().map(|&gap| f64::from(gap)).sum::<f64>() / gaps.len() as f64;
        // 14,700 draws of standard deviation 69.6: the mean of them has 0.57.
        assert!((mean - 136.0).abs() < 4.0, "{mean}");
        assert!(gaps.contains(&16) && gaps.contains(&256));
    }

    #[test]
    fn four_mebibytes_end_a_gap_after_the_least_interval() {
        let gaps = on_thread(|control| {
            set(control, 16, 256);
            draw_gaps(control, 10_000, || 100 << 10)
        });
        // 41 times 100 KiB is the first sum over 4 MiB; a shorter gap is drawn sometimes.
        assert!(gaps.iter().all(|gap| (16..=41).contains(gap)));
        assert!(gaps.contains(&41));
        let every_sixteenth = on_thread(|control| {
            set(control, 16, 256);
            draw_gaps(control, 10_000, || 3 << 20)
        });
        assert!(every_sixteenth.iter().all(|&gap| gap == 16));
    }

    #[test]
    fn bytes_that_came_early_count_when_the_least_interval_has_passed() {
        let gaps = on_thread(|control| {
            set(control, 16, 256);
            let mut first = [8 << 20].into_iter();
            draw_gaps(control, 300, || first.next().unwrap_or(64))
        });
        assert_eq!(gaps[0], 16);
    }

    #[test]
    fn sixteen_mebibytes_are_always_sampled_and_do_not_count() {
        on_thread(|control| {
            set(control, 100, 100);
            for _ in 0..99 {
                assert!(!allocate(control, 64));
                assert!(allocate(control, 16 << 20));
            }
            assert!(allocate(control, 64), "the hundredth that counts");
        });
    }

    #[test]
    fn zero_mode_samples_nothing_and_full_mode_everything_from_the_next_allocation_on() {
        on_thread(|control| {
            set(control, 10_000, 10_000);
            for _ in 0..100_000 {
                assert!(!allocate(control, 1 << 30));
            }
            set(control, 1, 1);
            for _ in 0..1_000 {
                assert!(allocate(control, 1));
            }
            set(control, 10_000, 10_000);
            assert!(!allocate(control, 1));
            set(control, 7, 7);
            assert_eq!(draw_gaps(control, 70, || 1), [7; 10]);
        });
    }

    #[test]
    fn labels_keep_their_own_gaps() {
        on_thread(|control| {
            set(control, 10, 10);
            let thread = thread::current();
            let mut counted = [0; 3];
            let mut sampled = [0; 3];
            for i in 0..30_000_usize {
                let label = [0, 1, 0, 0, 2, 1, 0][i % 7];
                switch(thread, control, label);
                counted[label as usize] += 1;
                sampled[label as usize] += usize::from(allocate(control, 64));
            }
            for label in 0..3 {
                assert_eq!(sampled[label], counted[label] / 10, "label {label}");
            }
        });
    }
}
