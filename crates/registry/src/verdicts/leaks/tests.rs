//! Sums of callsites of which the truth is known.

use std::sync::Arc;
use std::time::SystemTime;

use super::*;
use crate::Counters;
use crate::verdict::Look;

const EVERY: f64 = 10.0;

/// A callsite with samples at these times, none of which is freed, in a process that allocates evenly for so many seconds.
struct Site {
    callsite: Callsite,
    points: Vec<Point>,
}

fn site(callsite_id: u64, label: &str, stack: &[u64], seconds: f64, live: impl Fn(f64) -> f64) -> Site {
    let callsite = Callsite {
        callsite_id,
        tenant_id: 500,
        ctx_id: 0,
        label: label.into(),
        stack: Arc::from(stack),
        module_generation: 0,
        first_seen_at: SystemTime::UNIX_EPOCH,
        counters: Counters::default(),
    };
    let point = |snapshot: u32| {
        let live_count = live(f64::from(snapshot) * EVERY) as u32;
        let weight = 136.0;
        let (est_count, variance) = (weight * f64::from(live_count), weight * (weight - 1.0) * f64::from(live_count));
        Point {
            snapshot,
            live_count,
            total_count: live_count,
            est_count: est_count as f32,
            est_bytes: est_count * 64.0,
            count_variance: variance as f32,
            bytes_variance: (variance * 4096.0) as f32,
            est_total_count: est_count,
        }
    };
    let mut points: Vec<Point> =
        (1..=(seconds / EVERY) as u32).map(point).filter(|point| point.live_count > 0).collect();
    points.dedup_by_key(|point| point.live_count);
    Site { callsite, points }
}

fn timeline(seconds: f64) -> Timeline {
    let look = |snapshot: u32| {
        let at = f64::from(snapshot) * EVERY;
        Look { snapshot, at, allocated: Some(at * 1e4) }
    };
    Timeline::of_looks((1..=(seconds / EVERY) as u32).map(look).collect(), seconds)
}

/// The suspected leaks: level, shared frames, and callsites.
fn suspects(sites: &[Site], seconds: f64) -> Vec<(LeakLevel, usize, Vec<u64>)> {
    let timeline = timeline(seconds);
    let member = |site: &Site| -> Judgement { timeline.judge(&site.points) };
    let mut members: Vec<Member> = sites
        .iter()
        .map(|site| Member {
            callsite: &site.callsite,
            points: &site.points,
            program_frame: Some(0),
            judgement: member(site),
            place: LeakPlace {
                leak_id: site.callsite.callsite_id,
                level: LeakLevel::Callsite,
                frames: 0..site.callsite.stack.len(),
            },
        })
        .collect();
    judge(&mut members, &timeline, |_, judgement| judgement);
    let mut found: BTreeMap<(LeakLevel, u64), (usize, Vec<u64>)> = BTreeMap::new();
    for member in members.iter().filter(|member| member.judgement.is_suspect) {
        let leak = found.entry((member.place.level, member.place.leak_id)).or_default();
        leak.0 = member.place.frames.len();
        leak.1.push(member.callsite.callsite_id);
    }
    found.into_iter().map(|((level, _), (frames, callsites))| (level, frames, callsites)).collect()
}

/// Samples of a callsite that allocates three a second while it is its turn, for 90 seconds of every 720.
fn tier(number: u64, at: f64) -> f64 {
    let turns = (at / 720.0).floor();
    3.0 * (turns * 90.0 + (at - turns * 720.0 - 90.0 * number as f64).clamp(0.0, 90.0))
}

#[test]
fn a_leak_whose_caller_moves_is_one_from_the_third_minute_on() {
    for seconds in (180..=1500).step_by(60).map(f64::from) {
        let mut sites: Vec<Site> =
            (0..8).map(|number| site(number, "m", &[1, 10 + number, 99], seconds, |at| tier(number, at))).collect();
        sites.push(site(20, "m", &[2, 99], seconds, |_| 40.0));
        let all: Vec<u64> = (0..8).filter(|number| 90.0 * (*number as f64) < seconds - EVERY).collect();
        let found = suspects(&sites, seconds);
        assert!(found.len() == 1 && found[0].0 == LeakLevel::Stack && found[0].1 == 1, "{seconds}: {found:?}");
        assert!(found[0].2.len() + 1 >= all.len(), "{seconds}: {found:?}");
    }
}

#[test]
fn a_leak_of_many_callsites_too_thin_alone_is_named_where_they_meet() {
    let thin =
        |number: u64| site(number, "m", &[30 + number, 7, 99], 600.0, move |at| (at + 9.0 * number as f64) / 40.0);
    let mut sites: Vec<Site> = (0..12).map(thin).collect();
    assert!(suspects(&sites[..1], 600.0).is_empty());
    sites.push(site(20, "m", &[2, 99], 600.0, |_| 40.0));
    let found = suspects(&sites, 600.0);
    assert_eq!(found, [(LeakLevel::Caller, 2, (0..12).collect::<Vec<u64>>())]);
}

#[test]
fn one_callsite_that_explains_all_growth_stays_alone() {
    let sites = [
        site(1, "m", &[5, 6, 99], 600.0, |at| at),
        site(2, "m", &[5, 8, 99], 600.0, |at| 20.0 * (at / 30.0).min(1.0)),
        site(3, "other", &[9, 99], 600.0, |at| 30.0 * (at / 30.0).min(1.0)),
    ];
    assert_eq!(suspects(&sites, 600.0), [(LeakLevel::Callsite, 3, vec![1])]);
}

#[test]
fn what_all_allocate_through_is_no_leak() {
    // Too thin to be known, and beside it what was loaded and comes and goes.
    for seconds in (100..=600).step_by(20).map(f64::from) {
        let sites = [
            site(1, "m", &[5, 6, 99], seconds, |at| at / 5.0),
            site(2, "m", &[5, 8, 99], seconds, |at| 8.0 + (at / 90.0).floor()),
            site(3, "m", &[2, 99], seconds, |_| 9.0),
        ];
        let found = suspects(&sites, seconds);
        assert!(found.iter().all(|(level, ..)| *level == LeakLevel::Callsite), "{seconds}: {found:?}");
    }
}

#[test]
fn what_grows_in_another_ratio_is_not_one_leak() {
    let fast = |at: f64| if at < 300.0 { at } else { 300.0 + 3.0 * (at - 300.0) };
    let sites = |other: fn(f64) -> f64| {
        [
            site(1, "m", &[5, 6, 99], 600.0, fast),
            site(2, "m", &[5, 8, 99], 600.0, other),
            site(3, "m", &[2, 99], 600.0, |_| 9.0),
        ]
    };
    let apart = suspects(&sites(|at| at), 600.0);
    assert_eq!(apart.iter().map(|(level, ..)| *level).collect::<Vec<_>>(), [LeakLevel::Callsite; 2], "{apart:?}");
    let together = suspects(&sites(|at| if at < 300.0 { 0.5 * at } else { 150.0 + 1.5 * (at - 300.0) }), 600.0);
    assert_eq!(together, [(LeakLevel::Stack, 1, vec![1, 2])]);
}

#[test]
fn a_leak_is_named_by_the_end_of_the_stack_that_is_shared() {
    let place = |level| LeakPlace { leak_id: 7, level, frames: 0..2 };
    assert_eq!(place(LeakLevel::Stack).within(5).frames, 0..2);
    assert_eq!(place(LeakLevel::Caller).within(5).frames, 3..5);
    assert_eq!(place(LeakLevel::Caller).within(1).frames, 0..1);
}

#[test]
fn the_number_of_a_leak_is_the_same_in_every_build() {
    let number = digest(LeakLevel::Caller, &(500, 22, "glibc_malloc"), &[0x7f00_1234, 0x5555_0000]);
    assert_eq!(number, 0x8da4_4c66_ec20_73a9);
    let other = |level, label: &(i64, i64, &str), frames: &[u64]| assert_ne!(digest(level, label, frames), number);
    other(LeakLevel::Stack, &(500, 22, "glibc_malloc"), &[0x7f00_1234, 0x5555_0000]);
    other(LeakLevel::Caller, &(501, 22, "glibc_malloc"), &[0x7f00_1234, 0x5555_0000]);
    other(LeakLevel::Caller, &(500, 22, "glibc_malloc"), &[0x5555_0000, 0x7f00_1234]);
}
