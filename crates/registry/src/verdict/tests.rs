//! Verdicts on simulated programs of which the truth is known, and on histories written by hand.

mod kinds;
mod simulator;

use std::time::Instant;

use kinds::{Kind, LEAKS, SLOW_LEAKS, SLOW_STEADY, STEADY};
use proptest::prelude::*;
use simulator::{Program, site};

use super::timeline::Look;
use super::*;

const NORMAL: (u64, u64) = (16, 256);

/// The verdicts over many runs of a program.
struct RunOutcome {
    /// When the leak was first named.
    named: Vec<Option<f64>>,
    /// The first verdict of each run that suspects a callsite that does not leak.
    wrong: Vec<String>,
    /// Share of the looks at which such a callsite is suspected.
    wrong_share: f64,
}

impl RunOutcome {
    fn share_by(&self, seconds: f64) -> f64 {
        let named = self.named.iter().filter(|at| at.is_some_and(|at| at <= seconds)).count();
        named as f64 / self.named.len() as f64
    }
}

fn run(kind: &Kind, seeds: u64, gaps: (u64, u64)) -> RunOutcome {
    let mut outcome = RunOutcome { named: Vec::new(), wrong: Vec::new(), wrong_share: 0.0 };
    let mut looks = 0.0;
    for seed in 1..=seeds {
        let mut program = Program::new((kind.sites)(seed), gaps, seed);
        let (mut named, mut wrong) = (None, None);
        while program.now() < kind.seconds {
            program.step();
            looks += 1.0;
            let mut is_wrong = false;
            for site in 0..program.sites() {
                let judgement = program.judge(site);
                if !judgement.is_suspect {
                    continue;
                }
                if kind.leaks && site == 0 {
                    named = named.or(Some(program.now()));
                } else if program.now() >= kind.from {
                    is_wrong = true;
                    let said = || format!("seed {seed}, callsite {site}, {:.0} s: {}", program.now(), judgement.why);
                    wrong = wrong.or_else(|| Some(said()));
                }
            }
            outcome.wrong_share += f64::from(u8::from(is_wrong));
        }
        outcome.named.push(named);
        outcome.wrong.extend(wrong);
    }
    outcome.wrong_share /= looks;
    outcome
}

#[test]
fn leaks_are_named_and_nothing_else() {
    // (by 5 minutes, by 10), a little below what `rates` finds with many seeds.
    let shares = [
        (1.0, 1.0),
        (0.2, 0.75),
        (0.0, 0.0),
        (0.6, 0.95),
        (0.25, 0.85),
        (0.0, 0.55),
        (0.1, 0.8),
        (0.0, 0.85),
        (0.85, 1.0),
        (0.5, 0.95),
        (1.0, 1.0),
        (0.75, 1.0),
        (0.0, 0.45),
        (0.4, 0.9),
    ];
    assert_eq!(shares.len(), LEAKS.len() + SLOW_LEAKS.len());
    for (kind, (by_5, by_10)) in LEAKS.iter().chain(SLOW_LEAKS).zip(shares) {
        let outcome = run(kind, 30, NORMAL);
        let found = (outcome.share_by(300.0), outcome.share_by(600.0));
        assert!(found.0 >= by_5 && found.1 >= by_10, "{}: {found:?}", kind.name);
        assert!(outcome.wrong.is_empty(), "{}: {:?}", kind.name, outcome.wrong);
    }
}

#[test]
fn what_does_not_leak_is_not_suspected() {
    let (mut runs, mut wrong) = (0, Vec::new());
    for kind in STEADY {
        let outcome = run(kind, 40, NORMAL);
        runs += outcome.named.len();
        // Queues of 90 seconds have been seen full for no more than 10 when the first verdict falls.
        assert!(outcome.wrong.len() <= 3, "{}: {:?}", kind.name, outcome.wrong);
        wrong.extend(outcome.wrong);
    }
    assert!(wrong.len() * 100 <= runs, "{} of {runs}: {wrong:?}", wrong.len());
}

/// A kind, the share of runs with a suspect, and the share of looks with one, that must not be exceeded.
#[test]
fn what_fills_ever_more_slowly_is_hardly_suspected() {
    let bounds = [(0.1, 0.002), (0.7, 0.03), (0.0, 0.0), (0.05, 0.001), (0.2, 0.005), (0.3, 0.02), (0.9, 0.05)];
    assert_eq!(bounds.len(), SLOW_STEADY.len());
    for (kind, (runs, looks)) in SLOW_STEADY.iter().zip(bounds) {
        let outcome = run(kind, 40, NORMAL);
        let share = outcome.wrong.len() as f64 / outcome.named.len() as f64;
        assert!(share <= runs && outcome.wrong_share <= looks, "{}: {share}, {:?}", kind.name, outcome.wrong);
    }
}

/// Prints the table of docs/explanation/leaks.md: `cargo test -p heapql-registry -- --ignored --nocapture rates`.
#[test]
#[ignore = "a table for the documents, a minute of work"]
fn rates() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
    };
    let seeds = number("HEAPQL_TEST_SEEDS", 300);
    let gaps = (number("HEAPQL_TEST_MIN", NORMAL.0), number("HEAPQL_TEST_MAX", NORMAL.1));
    println!(
        "| leak | by 2 min | by 3 min | by 5 min | by 10 min | by 25 min | runs with a wrong suspect |\n|---|---|---|---|---|---|---|"
    );
    for kind in LEAKS.iter().chain(SLOW_LEAKS) {
        let outcome = run(kind, seeds, gaps);
        let shares = [120.0, 180.0, 300.0, 600.0, 1500.0].map(|by| format!("{:.0}%", 100.0 * outcome.share_by(by)));
        println!("| {} | {} | {} |", kind.name, shares.join(" | "), outcome.wrong.len());
    }
    println!(
        "\n| no leak | runs of {seeds} with a suspect within the time that it is watched | looks with one |\n|---|---|---|"
    );
    let mut all = Vec::new();
    for kind in STEADY.iter().chain(SLOW_STEADY) {
        let outcome = run(kind, seeds, gaps);
        println!("| {} | {} | {:.1}% |", kind.name, outcome.wrong.len(), 100.0 * outcome.wrong_share);
        all.extend(outcome.wrong);
    }
    println!("\n{}", all.join("\n"));
}

/// Prints a number of docs/explanation/leaks.md, in a release build.
#[test]
#[ignore = "a number for the documents"]
fn cost() {
    let at = |snapshot: u32| f64::from(snapshot) * 60.0;
    let look = |snapshot| Look { snapshot, at: at(snapshot), allocated: Some(at(snapshot) * 1e4) };
    let timeline = Timeline { looks: (1..=1000).map(look).collect(), now: at(1000), has_ended: false };
    let points: Vec<_> = (1..=1000).map(|number| point(number, 1000 + number % 17, number * 100)).collect();
    let begun = Instant::now();
    for _ in 0..5000 {
        std::hint::black_box(judge(&points, &timeline));
    }
    println!("5,000 callsites of 1,000 snapshots: {:?}", begun.elapsed());
}

/// Seconds between two snapshots.
const EVERY: f64 = 10.0;

fn point(snapshot: u32, live: u32, total: u32) -> Point {
    let (weight, count) = (136.0, f64::from(live));
    let variance = weight * (weight - 1.0) * count;
    Point {
        snapshot,
        live_count: live,
        total_count: total,
        est_count: (weight * count) as f32,
        est_bytes: weight * count * 64.0,
        count_variance: variance as f32,
        bytes_variance: (variance * 4096.0) as f32,
        est_total_count: weight * f64::from(total),
    }
}

/// The snapshots of these points, of a process that allocates evenly, as it lives `now`.
fn timeline(points: &[Point], now: f64) -> Timeline {
    let at = |snapshot: u32| f64::from(snapshot) * EVERY;
    let look = |point: &Point| Look {
        snapshot: point.snapshot,
        at: at(point.snapshot),
        allocated: Some(at(point.snapshot) * 1e4),
    };
    Timeline { looks: points.iter().map(look).collect(), now, has_ended: false }
}

/// A history of which `live` and `total` say how many samples live, and were ever taken, at a time in seconds.
fn history(from: u32, to: u32, live: impl Fn(f64) -> f64, total: impl Fn(f64) -> f64) -> Vec<Point> {
    let at = |snapshot: u32| f64::from(snapshot) * EVERY;
    (from..=to).map(|snapshot| point(snapshot, live(at(snapshot)) as u32, total(at(snapshot)) as u32)).collect()
}

fn judged(points: &[Point]) -> Judgement {
    judge(points, &timeline(points, points.last().map_or(0.0, |point| f64::from(point.snapshot) * EVERY)))
}

#[test]
fn nothing_is_said_of_a_short_history_but_what_is_missing() {
    let judgement = judged(&history(1, 7, |at| at, |at| at));
    assert_eq!(judgement.verdict, Verdict::Watching);
    assert_eq!(judgement.why, "70 s of history, a verdict takes 28 s more");
    assert!(!judgement.is_suspect);
    assert_eq!(judged(&[]).verdict, Verdict::Watching);
}

#[test]
fn a_callsite_is_new_in_an_old_process_and_where_nobody_looked_often() {
    let judgement = judged(&history(1, 60, |at| (at - 550.0).max(0.0), |at| (at - 550.0).max(0.0)));
    assert_eq!(judgement.why, "50 s of history, a verdict takes 48 s more");
    let few: Vec<_> = history(1, 30, |at| at, |at| at).into_iter().step_by(6).collect();
    assert_eq!(judged(&few).verdict, Verdict::Watching);
    assert!(judged(&few).why.starts_with("too few snapshots"), "{}", judged(&few).why);
}

#[test]
fn a_leak_grows_and_says_by_how_much() {
    let judgement = judged(&history(1, 15, |at| at, |at| at));
    assert_eq!(judgement.verdict, Verdict::Growing, "{}", judgement.why);
    assert!(judgement.is_suspect);
    // 60 samples per minute, of 136 objects of 64 bytes.
    assert!((judgement.growth.per_minute / (60.0 * 136.0 * 64.0) - 1.0).abs() < 0.02, "{judgement:?}");
    assert!((judgement.growth_count.per_minute / (60.0 * 136.0) - 1.0).abs() < 0.02, "{judgement:?}");
    assert!(judgement.why.contains("KiB more per minute"), "{}", judgement.why);
}

#[test]
fn what_fills_and_stops_saturates() {
    let judgement = judged(&history(1, 30, |at| 5.0 * at.min(60.0), |at| 10.0 * at));
    assert_eq!(judgement.verdict, Verdict::Saturating, "{}", judgement.why);
    assert!(judgement.why.starts_with("rose to 40800 live objects"), "{}", judgement.why);
}

#[test]
fn what_is_given_back_shrinks() {
    let judgement = judged(&history(1, 30, |at| 1000.0 - 3.0 * at, |at| 1000.0 + at));
    assert_eq!(judgement.verdict, Verdict::Shrinking, "{}", judgement.why);
}

#[test]
fn a_server_that_comes_late_does_not_take_what_it_finds_for_growth() {
    let judgement = judged(&history(360, 400, |_| 5000.0, |at| 10.0 * at));
    assert_eq!(judgement.verdict, Verdict::Steady, "{}", judgement.why);
    let judgement = judged(&history(360, 400, |at| 5000.0 + (at - 3600.0) * 3.0, |at| 40.0 * at));
    assert_eq!(judgement.verdict, Verdict::Growing, "{}", judgement.why);
}

#[test]
fn what_was_steady_for_hours_has_to_grow_for_longer() {
    let points = history(1, 720, |at| 1000.0 + (at - 7000.0).max(0.0), |at| 3000.0 + 10.0 * at);
    assert_eq!(judged(&points[..712]).verdict, Verdict::Steady);
    let longer = history(1, 900, |at| 1000.0 + (at - 7000.0).max(0.0), |at| 3000.0 + 10.0 * at);
    assert_eq!(judged(&longer).verdict, Verdict::Growing, "{}", judged(&longer).why);
}

#[test]
fn a_buffer_that_is_reallocated_as_it_grows_is_a_leak() {
    let points: Vec<_> = history(1, 30, |_| 1.0, |at| at)
        .into_iter()
        .map(|point| Point { est_bytes: f64::from(point.snapshot) * EVERY * 100_000.0, bytes_variance: 0.0, ..point })
        .collect();
    let judgement = judged(&points);
    assert_eq!(judgement.verdict, Verdict::Growing, "{}", judgement.why);
    assert!(judgement.why.contains("objects that get larger"), "{}", judgement.why);
}

/// Fewer samples that stand for more, as when the intervals are changed, are no growth.
#[test]
fn other_intervals_are_no_growth() {
    let mut program = Program::new(vec![site(|_| 2000.0, |at, random| at + random.exponential(2.0))], (1, 3), 7);
    for snapshot in 0..60 {
        if snapshot == 20 {
            program.set_gaps((16, 256));
        }
        program.step();
        let judgement = program.judge(0);
        assert!(!judgement.is_suspect, "{snapshot}: {}", judgement.why);
    }
}

#[test]
fn points_are_only_needed_where_something_changed() {
    let points = history(1, 40, |at| (at / 30.0).floor() * 20.0, |at| (at / 30.0).floor() * 20.0);
    let mut changed = points.clone();
    changed.dedup_by_key(|point| point.total_count);
    assert!(changed.len() < points.len() / 2);
    let (all, few) = (judged(&points), judge(&changed, &timeline(&points, 400.0)));
    assert_eq!(all, few);
    assert_eq!(all.verdict, Verdict::Growing, "{}", all.why);
}

#[test]
fn some_sample_is_as_old_as_what_was_freed_cannot_explain() {
    // 100 at the start, 10 freed since, and whichever these are, one of the first 11 is left.
    let points = [point(1, 8, 8), point(2, 100, 100), point(20, 90, 100)];
    assert_eq!(judge(&points, &timeline(&points, 205.0)).oldest_age, Some(185.0));
    let gone = [point(1, 8, 8), point(2, 0, 8)];
    assert_eq!(judge(&gone, &timeline(&gone, 30.0)).oldest_age, None);
}

#[test]
fn suspects_stand_before_all_others_the_worst_first() {
    let slow = judged(&history(1, 30, |at| at, |at| at));
    let fast = judged(&history(1, 30, |at| 3.0 * at, |at| 3.0 * at));
    let large = judged(&history(1, 30, |_| 1e6, |at| 1e6 + at));
    assert!(fast.rank_key > slow.rank_key && slow.rank_key > large.rank_key);
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(-1e300), -1e3..1e9f64]
}

proptest! {
    /// A damaged ledger's numbers may be anything.
    #[test]
    fn any_history_has_a_verdict(
        counts in prop::collection::vec((any_number(), any_number(), any_number(), any_number(), any::<u32>(), any::<u32>()), 0..60),
        steps in prop::collection::vec(any_number(), 0..60),
    ) {
        let points: Vec<_> = counts.iter().enumerate().map(|(number, &(live, bytes, variance, total, live_count, total_count))| Point {
            snapshot: number as u32, live_count, total_count, est_count: live as f32, est_bytes: bytes,
            count_variance: variance as f32, bytes_variance: variance as f32, est_total_count: total,
        }).collect();
        let looks = steps.iter().enumerate()
            .map(|(number, &total)| Look { snapshot: number as u32, at: number as f64 * EVERY, allocated: Some(total) }).collect();
        let judgement = judge(&points, &Timeline { looks, now: 600.0, has_ended: false });
        prop_assert!(!judgement.why.is_empty() && !judgement.rank_key.is_nan());
    }
}
