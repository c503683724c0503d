//! The rule: where samples fall, and that what they stand for adds up to what was allocated.

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

/// The allocation path: the weight if the allocation is sampled.
fn weigh(control: &Control, bytes: u64) -> Option<Weight> {
    let may_be = thread::tick() >= control.limit.load(Relaxed) || bytes >= control.byte_rule.load(Relaxed);
    may_be.then(|| due(thread::current(), control, bytes)).flatten()
}

fn allocate(control: &Control, bytes: u64) -> bool {
    weigh(control, bytes).is_some()
}

/// On a thread of its own, whose counters are fresh.
fn on_thread<T: Send>(run: impl FnOnce(&Control) -> T + Send) -> T {
    let run = || {
        let header = Box::new(Header::zeroed());
        run(&header.control)
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("the thread ends well"))
}

/// The first is cut short by where it began.
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
    /// Sizes without a draw of their own.
    #[test]
    fn every_gap_lies_in_the_interval(min in 1u32..400, more in 0u32..400, shares in prop::collection::vec(0f64..1.0, 1..50)) {
        let max = min + more;
        let rule = Intervals::new(min, max).expect("valid").byte_rule();
        let mut sizes = shares.into_iter().map(|share| (share * rule as f64) as u64).cycle();
        let gaps = on_thread(|control| {
            set(control, min, max);
            draw_gaps(control, 20_000, || sizes.next().expect("endless"))
        });
        prop_assert!((1..=max).contains(&gaps[0]), "{}", gaps[0]);
        prop_assert!(gaps[1..].iter().all(|gap| (min..=max).contains(gap)), "{gaps:?}");
        prop_assert!(gaps.len() >= 20_000 / max as usize - 1);
    }

    /// Any sizes: larger ones are sampled in between, never instead.
    #[test]
    fn no_gap_is_longer_than_the_interval(min in 1u32..400, more in 0u32..400, sizes in prop::collection::vec(0u64..CERTAIN_BYTES, 1..50)) {
        let max = min + more;
        let mut sizes = sizes.into_iter().cycle();
        let gaps = on_thread(|control| {
            set(control, min, max);
            draw_gaps(control, 20_000, || sizes.next().expect("endless"))
        });
        prop_assert!(gaps.iter().all(|gap| (1..=max).contains(gap)), "{gaps:?}");
    }
}

fn mean(of: &[u32]) -> f64 {
    of.iter().map(|&one| f64::from(one)).sum::<f64>() / of.len() as f64
}

#[test]
fn gaps_of_small_objects_are_spread_over_the_whole_interval() {
    let gaps = on_thread(|control| {
        set(control, 16, 256);
        draw_gaps(control, 2_000_000, || 64)
    });
    // 14,700 draws of standard deviation 69.6: the mean of them has 0.57.
    assert!((mean(&gaps) - 136.0).abs() < 4.0, "{}", mean(&gaps));
    assert!(gaps.contains(&16) && gaps.contains(&256));
}

#[test]
fn each_octave_of_sizes_is_sampled_with_the_inverse_of_its_weight() {
    for (min, max) in [(16, 256), (1, 16), (8, 8), (5_000, 9_999)] {
        let rule = Intervals::new(min, max).expect("valid").byte_rule();
        let mut octave = rule;
        while octave < CERTAIN_BYTES {
            for bytes in [octave, octave + octave / 2, 2 * octave - 1] {
                let weight = Intervals::octave_weight(bytes);
                assert!(u64::from(weight) * bytes >= CERTAIN_BYTES && u64::from(weight) * bytes < 2 * CERTAIN_BYTES);
                let all = 200_000_u32;
                let sampled = on_thread(|control| {
                    set(control, min, max);
                    thread::current().random.set(bytes);
                    let weights: Vec<Weight> = (0..all).filter_map(|_| weigh(control, bytes)).collect();
                    assert!(weights.iter().all(|&one| one == CERTAIN * weight as Weight), "{bytes}: {weights:?}");
                    weights.len()
                });
                let expected = f64::from(all) / f64::from(weight);
                let off = (sampled as f64 - expected).abs();
                assert!(off < 5.0 * expected.sqrt(), "{min}..{max}, {bytes} bytes: {sampled}, not {expected}");
            }
            octave *= 2;
        }
    }
}

#[test]
fn a_mebibyte_and_more_is_always_sampled_and_does_not_count() {
    on_thread(|control| {
        set(control, 100, 100);
        while !allocate(control, 64) {}
        for i in 0..99 {
            assert!(!allocate(control, 64));
            assert_eq!(weigh(control, CERTAIN_BYTES << (i % 8)), Some(CERTAIN));
        }
        assert!(allocate(control, 64), "the hundredth that counts");
    });
}

#[test]
fn what_is_passed_over_takes_no_chance_from_what_is_not() {
    let runs = 40_000;
    let mut sampled = [0_u32; 8];
    for run in 1..=runs {
        on_thread_reused(run, |control| {
            set(control, 4, 12);
            for (at, sampled) in sampled.iter_mut().enumerate() {
                *sampled += u32::from(allocate(control, 64));
                for _ in 0..at % 3 {
                    thread::tick();
                    pass_over(thread::current(), control);
                }
            }
        });
    }
    let expected = f64::from(runs) / 8.0;
    for (at, &sampled) in sampled.iter().enumerate() {
        let off = (f64::from(sampled) - expected).abs();
        assert!(off < 5.0 * expected.sqrt(), "allocation {at}: {sampled}, not {expected}");
    }
}

/// On this thread, whose gaps begin anew, with draws of their own.
fn on_thread_reused(run: u32, act: impl FnOnce(&Control)) {
    let header = Box::new(Header::zeroed());
    let thread = thread::current();
    thread.gaps.forget();
    thread.count.set(DUE);
    thread.random.set(u64::from(run).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    act(&header.control);
}

/// Few large blocks, in any order among small ones, over all draws: the mean is the truth, and what is certain is exact.
#[test]
fn a_few_large_blocks_are_estimated_without_bias() {
    const KIB: u64 = 1 << 10;
    let programs: [(&str, &[(u64, u32)]); 6] = [
        ("10 of 12 MiB", &[(12 << 20, 10)]),
        ("20 of 6 MiB", &[(6 << 20, 20)]),
        ("64 of 5 MiB", &[(5 << 20, 64)]),
        ("30 of 700 KiB", &[(700 * KIB, 30)]),
        ("small ones and 20 of 300 KiB", &[(40, 700), (300 * KIB, 20), (40, 300)]),
        (
            "sizes around every bound",
            &[(16 * KIB - 1, 9), (16 * KIB, 9), (512 * KIB - 1, 9), (512 * KIB, 9), (1024 * KIB - 1, 9)],
        ),
    ];
    let runs = 4_000;
    for (name, program) in programs {
        let truth: u64 = program.iter().map(|&(bytes, count)| bytes * u64::from(count)).sum();
        let (mut sum, mut squares) = (0.0, 0.0);
        for run in 1..=runs {
            on_thread_reused(run, |control| {
                set(control, 16, 256);
                let all = program.iter().flat_map(|&(bytes, count)| (0..count).map(move |_| bytes));
                let weighed = all.filter_map(|bytes| Some(f64::from(weigh(control, bytes)?) / 4.0 * bytes as f64));
                let share = weighed.sum::<f64>() / truth as f64;
                (sum, squares) = (sum + share, squares + share * share);
            });
        }
        let mean = sum / f64::from(runs);
        let error = ((squares / f64::from(runs) - mean * mean).max(0.0) / f64::from(runs)).sqrt();
        assert!((mean - 1.0).abs() <= 4.0 * error + 1e-9, "{name}: {mean} +- {error}");
        assert!(
            program.iter().any(|&(bytes, _)| bytes < CERTAIN_BYTES) || error < 1e-9,
            "{name}: nothing is left to chance"
        );
    }
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
        let gaps = draw_gaps(control, 70, || 1);
        assert!(gaps[0] <= 7 && gaps[1..].iter().all(|&gap| gap == 7), "{gaps:?}");
    });
}

#[test]
fn labels_keep_their_own_gaps() {
    on_thread(|control| {
        set(control, 10, 10);
        let thread = thread::current();
        let mut counted = [0_usize; 3];
        let mut sampled = [0_usize; 3];
        for i in 0..30_000_usize {
            let label = [0, 1, 0, 0, 2, 1, 0][i % 7];
            switch(thread, control, label);
            counted[label as usize] += 1;
            sampled[label as usize] += usize::from(allocate(control, 64));
        }
        for label in 0..3 {
            assert!(sampled[label].abs_diff(counted[label] / 10) <= 1, "label {label}: {sampled:?} of {counted:?}");
        }
    });
}

/// Allocations of one site, as a function of when and of a random number: 0 if it has none then.
type Site = fn(u64, u64) -> u64;

/// The truth about one site, and each run's estimate from its samples: count and bytes.
struct Estimates {
    truth: [f64; 2],
    runs: Vec<[f64; 2]>,
}

fn estimate(min: u32, max: u32, sites: &[Site], runs: u64, allocations: u64) -> Vec<Estimates> {
    let mut estimates: Vec<Estimates> = sites.iter().map(|_| Estimates { truth: [0.0; 2], runs: Vec::new() }).collect();
    for run in 1..=runs {
        on_thread(|control| {
            set(control, min, max);
            thread::current().random.set(run.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            // The program is the same in all runs.
            let mut program = 88_172_645_463_325_252_u64;
            estimates.iter_mut().for_each(|site| (site.truth, _) = ([0.0; 2], site.runs.push([0.0; 2])));
            for at in 0..allocations {
                for (site, estimates) in sites.iter().zip(&mut estimates) {
                    program ^= program << 13;
                    program ^= program >> 7;
                    program ^= program << 17;
                    let bytes = site(at, program);
                    if bytes == 0 {
                        continue;
                    }
                    let weight = weigh(control, bytes).map_or(0.0, |weight| f64::from(weight) / f64::from(CERTAIN));
                    let run = estimates.runs.last_mut().expect("pushed");
                    for (i, share) in [1.0, bytes as f64].into_iter().enumerate() {
                        estimates.truth[i] += share;
                        run[i] += weight * share;
                    }
                }
            }
        });
    }
    estimates
}

/// The mean over the runs as a share of the truth, and its standard error.
fn compare(estimates: &Estimates, i: usize) -> (f64, f64) {
    let count = estimates.runs.len() as f64;
    let mean = estimates.runs.iter().map(|run| run[i]).sum::<f64>() / count;
    let variance = estimates.runs.iter().map(|run| (run[i] - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean / estimates.truth[i], (variance / count).sqrt() / estimates.truth[i])
}

/// In every mode and for every program the estimates are right on average. (The doubtful are those with few samples; with
/// a fixed interval a periodic program makes each run all wrong, and only the mean of many right.)
#[test]
fn what_samples_stand_for_adds_up_to_what_was_allocated() {
    let small: Site = |_, random| 16 + random % 2_000;
    let skewed: Site = |_, random| 1 << (4 + (random.trailing_zeros() + (random >> 40).trailing_zeros()).min(20));
    let alternating: [Site; 4] = [|_, _| 64, |_, _| 100, |_, _| 64, |_, _| 1_000];
    let bursty: [Site; 2] =
        [|at, _| if at % 1_000 < 100 { 300 } else { 0 }, |at, _| if at % 1_000 < 100 { 0 } else { 40 }];
    let large: [Site; 3] =
        [|_, _| 48, |at, _| if at % 50 == 0 { 200 << 10 } else { 0 }, |at, _| if at % 333 == 7 { 3 << 20 } else { 0 }];
    let huge: [Site; 2] = [|_, random| (2 << 20) + random % (4 << 20), |_, _| 5 << 20];
    let programs: [&[Site]; 6] = [&[small], &[skewed, skewed], &alternating, &bursty, &large, &huge];
    for (min, max) in [(16, 256), (1, 9_999), (1, 16), (8, 24)] {
        for (program, sites) in programs.iter().enumerate() {
            for (site, estimates) in estimate(min, max, sites, 40, 20_000).iter().enumerate() {
                for (i, what) in ["count", "bytes"].into_iter().enumerate() {
                    let (share, error) = compare(estimates, i);
                    let line = format!("{min}..{max} program {program} site {site}: {what} {share:.3} +- {error:.3}");
                    println!("{line}");
                    assert!((share - 1.0).abs() < 4.5 * error + 0.01, "{line}");
                }
            }
        }
    }
}

/// Labels are entered at random, for fewer allocations than the least interval: more of them than there are places.
#[test]
fn short_visits_of_many_labels_are_sampled_as_often_as_one_long_one() {
    for labels in [20_u16, 200, 500] {
        let (mut sampled, mut counted) = (vec![0_u32; labels.into()], vec![0_u32; labels.into()]);
        on_thread(|control| {
            set(control, 16, 256);
            let thread = thread::current();
            let mut dice = 1_u64;
            for _ in 0..500_000 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let label = (dice >> 33) as usize % usize::from(labels);
                switch(thread, control, label as u16);
                for _ in 0..5 {
                    counted[label] += 1;
                    sampled[label] += u32::from(allocate(control, 64));
                }
            }
        });
        for (label, (&sampled, &counted)) in sampled.iter().zip(&counted).enumerate() {
            // The variance is at most that of independent draws.
            let expected = f64::from(counted) / 136.0;
            let off = (f64::from(sampled) - expected).abs();
            assert!(off < 6.0 * expected.sqrt(), "label {label} of {labels}: {sampled} samples, not {expected}");
        }
        let (all, expected) = (f64::from(sampled.iter().sum::<u32>()), 2_500_000.0 / 136.0);
        assert!((all - expected).abs() < 6.0 * expected.sqrt(), "{labels} labels: {all} samples, not {expected}");
    }
}
