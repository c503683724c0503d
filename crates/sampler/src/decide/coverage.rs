//! Whether the truth lies where estimates say: whole programs, with frees, through the real decision, a real ledger and the
//! real reader, over many seeds. The error of a callsite, of a label and of a process.
//!
//! The programs are the same in all runs; only the draws differ. docs/explanation/estimates.md prints what the ignored test measures.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

use heapql_ledger::layout::{HeaderPage, SHARDS};
use heapql_ledger::{CallsiteKey, LabelId, MIN_BYTES, Sampling, Writer};
use heapql_registry::{Callsite, Estimate, Registry};

use super::*;
use crate::thread;

/// One allocation.
#[derive(Clone, Copy, Default)]
struct Allocation {
    bytes: u32,
    site: u16,
    label: u8,
    /// It is never freed.
    lives: bool,
}

/// One step of a thread: the `at`-th of `all` allocations, with a random number.
type Behaviour = fn(at: u64, all: u64, random: u64) -> Allocation;

/// Threads, one after the other, each with its part of the allocations.
struct Program {
    name: &'static str,
    threads: Vec<(Behaviour, u64)>,
    /// How many times more allocations than others.
    more: u64,
    fit: Fit,
}

/// How often the interval is meant to cover the truth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// 95 times of 100.
    True,
    /// More often: what the ledger knows of the series does not say how even it is where the program's objects are.
    Over,
    /// Less often: there are too few samples of the few large objects that make up the sum.
    Under,
}

/// A label is never freed, or of each object a random tenth lives on.
fn site(site: u16, bytes: u64) -> Allocation {
    Allocation { bytes: bytes as u32, site, label: 0, lives: true }
}

fn tenth(random: u64, of: Allocation) -> Allocation {
    Allocation { lives: random >> 40 & 0xffff < 6554, ..of }
}

fn uniform(random: u64) -> u64 {
    16 + random % 2_000
}

/// Half of them of 16 bytes, a quarter of 32, and so on.
fn skewed(random: u64, largest: u32) -> u64 {
    16 << random.trailing_zeros().min(largest)
}

/// The sampled bytes of skewed sizes need many samples before their errors are anything like normal.
const SKEWED: u64 = 30;

fn programs() -> Vec<Program> {
    let of = |name, threads: &[(Behaviour, u64)]| Program { name, threads: threads.to_vec(), more: 1, fit: Fit::True };
    let over = |name, threads: &[(Behaviour, u64)]| Program { fit: Fit::Over, ..of(name, threads) };
    let more = |name, threads: &[(Behaviour, u64)]| Program { more: SKEWED, ..of(name, threads) };
    vec![
        of("one size, nothing freed", &[(|_, _, _| site(0, 64), 100)]),
        of("one size, a tenth lives", &[(|_, _, random| tenth(random, site(0, 64)), 100)]),
        of("sizes 16..2015, uniform, a tenth lives", &[(|_, _, random| tenth(random, site(0, uniform(random))), 100)]),
        more(
            "sizes 16..512, skewed, two sites, nothing freed",
            &[(|_, _, random| site((random >> 63) as u16, skewed(random, 5)), 100)],
        ),
        more(
            "sizes 16..512, skewed, a tenth lives",
            &[(|_, _, random| tenth(random, site(0, skewed(random, 5))), 100)],
        ),
        Program {
            more: SKEWED,
            fit: Fit::Under,
            ..of("sizes 16..4096, skewed", &[(|_, _, random| tenth(random, site(0, skewed(random, 8))), 100)])
        },
        of("four sites by turns, nothing freed", &[(|at, _, _| site(at as u16 % 4, 40 + at % 4 * 100), 100)]),
        of(
            "four sites by turns, one freed",
            &[(|at, _, _| Allocation { lives: at % 4 != 0, ..site(at as u16 % 4, 64) }, 100)],
        ),
        of("two threads, a site each", &[(|_, _, _| site(0, 64), 50), (|_, _, _| site(1, 200), 50)]),
        of(
            "three threads, two sites",
            &[
                (|_, _, random| site((random % 10 < 3) as u16, 64), 40),
                (|_, _, random| site((random % 10 < 3) as u16, 64), 40),
                (|_, _, random| tenth(random, site((random % 10 < 5) as u16, 64)), 20),
            ],
        ),
        of(
            "two labels by turns",
            &[(|at, _, _| Allocation { label: (at % 3 == 0) as u8, ..site((at % 3 == 0) as u16, 64) }, 100)],
        ),
        over("bursts of 100 in 1,000", &[(|at, _, _| if at % 1_000 < 100 { site(0, 300) } else { site(1, 40) }, 100)]),
        over("one site after the other", &[(|at, all, _| site((at * 3 / all) as u16, 64), 100)]),
        over(
            "a cache of the last tenth",
            &[(|at, all, _| Allocation { lives: at * 10 >= all * 9, ..site(0, 64) }, 100)],
        ),
        of(
            "large ones among small",
            &[(
                |at, _, _| match at % 50 {
                    0 => site(0, 200 << 10),
                    25 if at % 4 == 1 => site(1, 1 << 20),
                    _ => site(2, 48),
                },
                100,
            )],
        ),
        over("200 threads", &[((|at, _, _| site(at as u16 % 2, 64)) as Behaviour, 1); 200]),
        over("twenty threads", &[((|at, _, _| site(at as u16 % 2, 64)) as Behaviour, 5); 20]),
    ]
}

/// The truth or the estimate for a site, a label or all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Of {
    Site(u16),
    Label(u8),
    All,
}

/// The sum over one program: count and bytes of all that it has.
fn truth(traces: &[Vec<Allocation>]) -> BTreeMap<Of, [f64; 2]> {
    let mut truth: BTreeMap<Of, [f64; 2]> = BTreeMap::new();
    for allocation in traces.iter().flatten().filter(|allocation| allocation.lives) {
        for of in [Of::Site(allocation.site), Of::Label(allocation.label), Of::All] {
            let sums = truth.entry(of).or_default();
            sums[0] += 1.0;
            sums[1] += f64::from(allocation.bytes);
        }
    }
    truth
}

fn traces(program: &Program, allocations: u64) -> Vec<Vec<Allocation>> {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let parts: u64 = program.threads.iter().map(|(_, part)| part).sum();
    let trace = |&(behaviour, part): &(Behaviour, u64)| {
        let all = allocations * part / parts;
        (0..all).map(|at| behaviour(at, all, next())).collect()
    };
    program.threads.iter().map(trace).collect()
}

static PAGE: HeaderPage = HeaderPage::zeroed();
static WRITER: Writer = Writer::new(&PAGE);
static USED: Mutex<()> = Mutex::new(());

/// The recorder's part: decides about one thread's allocations and counts them.
fn record(shard: u8, seed: u64, trace: &[Allocation]) {
    let (thread, control) = (thread::current(), &PAGE.control);
    thread.random.set(seed);
    for allocation in trace {
        if u16::from(allocation.label) != thread.label.get() {
            switch(thread, control, allocation.label.into());
        }
        let bytes = u64::from(allocation.bytes);
        let may_be = thread::tick() >= control.limit.load(Acquire) || bytes >= control.byte_rule.load(Acquire);
        let Some(weight) = may_be.then(|| due(thread, control, bytes)).flatten() else {
            continue;
        };
        if thread.gaps.is_first_sample() {
            WRITER.begin_series(shard);
        }
        let frames = [1_000 + usize::from(allocation.site)];
        let key = CallsiteKey { label: allocation.label.into(), shard, weight, frames: &frames };
        let site = WRITER.find(&key).unwrap_or_else(|| WRITER.add(&key, bytes).expect("room"));
        WRITER.count(site, bytes);
        if !allocation.lives {
            WRITER.uncount(site, bytes);
        }
    }
}

/// A reader's estimates of one run.
fn run(
    dir: &tempfile::TempDir,
    intervals: Intervals,
    seed: u64,
    traces: &[Vec<Allocation>],
) -> BTreeMap<Of, [Estimate; 2]> {
    let path = CString::new(dir.path().as_os_str().as_bytes()).expect("no zero byte");
    let label = LabelId { tenant_id: 1, ctx_id: 0, text: b"0" };
    let sampling = Sampling { intervals, ..Sampling::DEFAULT };
    let settings = heapql_ledger::LedgerSettings { dir: &path, bytes: MIN_BYTES, sampling, default_label: label };
    let _used = USED.lock().expect("no run has failed");
    // SAFETY: the lock is held, and the writer has no ledger.
    unsafe { WRITER.open(&settings) }.expect("a ledger");
    assert_eq!(WRITER.label(&LabelId { text: b"1", ..label }), Some(1));
    for (nth, trace) in traces.iter().enumerate() {
        let seed = (seed * 1_000 + nth as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let thread = || record((nth % SHARDS) as u8, seed, trace);
        std::thread::scope(|scope| scope.spawn(thread).join().expect("the thread ends well"));
    }
    let registry =
        Registry::open(heapql_registry::RegistrySettings::read_only(dir.path().to_owned())).expect("readable");
    let source = registry.sources().pop().expect("the ledger");
    let callsites = source.callsites().expect("readable");
    // SAFETY: nobody else is in the writer.
    unsafe { WRITER.abandon() };
    std::fs::remove_file(source.path()).expect("removed");
    let mut found: BTreeMap<Of, Vec<&Callsite>> = BTreeMap::new();
    for callsite in &callsites {
        let label = if &*callsite.label == "0" { 0 } else { 1 };
        for of in [Of::Site((callsite.stack[0] - 1_000) as u16), Of::Label(label), Of::All] {
            found.entry(of).or_default().push(callsite);
        }
    }
    let sum = |callsites: Vec<&Callsite>| {
        let counters = || callsites.iter().map(|callsite| callsite.counters);
        [counters().map(|counters| counters.est_count).sum(), counters().map(|counters| counters.est_bytes).sum()]
    };
    found.into_iter().map(|(of, callsites)| (of, sum(callsites))).collect()
}

/// The score of all that is alike in a program (its sites, its labels, all), over all runs.
#[derive(Default)]
struct Score {
    estimates: f64,
    /// The sum of what was estimated, as a share of the truth, and of its square.
    share: f64,
    square: f64,
    covered: f64,
    /// The sum of the errors, as shares of the truth.
    error: f64,
}

impl Score {
    fn add(&mut self, estimate: &Estimate, truth: f64) {
        let share = estimate.value / truth;
        self.estimates += 1.0;
        self.share += share;
        self.square += share * share;
        self.covered += f64::from((estimate.value - truth).abs() <= 1.96 * estimate.error());
        self.error += estimate.error() / truth;
    }

    fn mean(&self) -> f64 {
        self.share / self.estimates
    }

    /// The true standard error of one estimate.
    fn spread(&self) -> f64 {
        (self.square / self.estimates - self.mean().powi(2)).sqrt()
    }

    fn covered(&self) -> f64 {
        self.covered / self.estimates
    }
}

const LEVELS: [&str; 3] = ["site", "label", "process"];

/// The scores by level, count before bytes.
fn score(nth: u64, program: &Program, intervals: Intervals, samples: u64, runs: u64) -> [[Score; 2]; 3] {
    // Where ledgers lie, which is memory; thousands of them on a disk take their time.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let allocations = samples * program.more * u64::from(intervals.min + intervals.max) / 2;
    let traces = traces(program, allocations);
    let truth = truth(&traces);
    let mut scores = <[[Score; 2]; 3]>::default();
    for seed in 1..=runs {
        let found = run(&dir, intervals, nth * 1_000_000 + seed, &traces);
        for (of, truth) in &truth {
            let level = match of {
                Of::Site(_) => 0,
                Of::Label(_) => 1,
                Of::All => 2,
            };
            let estimates = found.get(of).copied().unwrap_or_default();
            for ((score, estimate), truth) in scores[level].iter_mut().zip(estimates).zip(truth) {
                score.add(&estimate, *truth);
            }
        }
    }
    scores
}

/// Both intervals; the wide one takes fewer samples of skewed sizes, whose large ones it finds by their bytes.
fn modes(wide: u64) -> [(Intervals, u64); 2] {
    [(Intervals::DEFAULT, SKEWED), (Intervals { min: 1, max: 10_000 }, wide)]
}

/// Sums over programs, for what has too few runs in each.
#[derive(Default)]
struct Pool {
    programs: f64,
    mean: f64,
    covered: f64,
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    const RUNS: u64 = 200;
    for (intervals, skewed) in modes(4) {
        let mut pools = <[[Pool; 2]; 3]>::default();
        // Those of which each run starts hundreds of threads take too long.
        let programs = programs().into_iter().filter(|program| program.threads.len() < 100);
        for (nth, mut program) in programs.enumerate() {
            program.more = program.more.min(skewed);
            let scores = score(nth as u64, &program, intervals, 100, RUNS);
            for (level, (scores, pools)) in LEVELS.iter().zip(scores.iter().zip(&mut pools)) {
                for (what, (score, pool)) in ["count", "bytes"].iter().zip(scores.iter().zip(pools)) {
                    let (mean, covered) = (score.mean(), score.covered());
                    let line = format!("{intervals:?} {}, {what} of {level}: {mean:.3}, {covered:.3}", program.name);
                    println!("{line}");
                    let by_chance = |deviation: f64| 4.0 * deviation / score.estimates.sqrt();
                    assert!((mean - 1.0).abs() < 0.02 + by_chance(score.spread()), "{line}");
                    let least = if program.fit == Fit::Under && *what == "bytes" { 0.8 } else { 0.93 };
                    assert!(covered > least - by_chance(0.22), "{line}");
                    if program.fit == Fit::True {
                        pool.programs += 1.0;
                        pool.mean += mean;
                        pool.covered += covered;
                    }
                }
            }
        }
        for (level, pools) in LEVELS.iter().zip(pools) {
            for (what, pool) in ["count", "bytes"].iter().zip(pools) {
                let (mean, covered) = (pool.mean / pool.programs, pool.covered / pool.programs);
                let line = format!("{intervals:?}, {what} of {level}: {mean:.3}, {covered:.3}");
                println!("{line}");
                assert!((mean - 1.0).abs() < 0.02, "{line}");
                assert!((0.93..0.97).contains(&covered), "{line}");
            }
        }
    }
}

#[test]
#[ignore = "minutes: what docs/explanation/estimates.md prints"]
fn table() {
    let of = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (runs, samples) = (of("RUNS", 4_000), of("SAMPLES", 100));
    for (intervals, skewed) in modes(12) {
        println!("\n{}..{}, {samples} samples\n", intervals.min, intervals.max);
        println!("| program | of | mean of count, bytes | spread | error | covered |\n|---|---|---|---|---|---|");
        for (nth, mut program) in programs().into_iter().enumerate() {
            program.more = program.more.min(skewed);
            let scores = score(nth as u64, &program, intervals, samples, runs);
            for (level, [count, bytes]) in LEVELS.into_iter().zip(&scores) {
                let both = |of: fn(&Score) -> f64| format!("{:.3}, {:.3}", of(count), of(bytes));
                let percent = format!("{:.1}, {:.1}", 100.0 * count.covered(), 100.0 * bytes.covered());
                let error = both(|score| score.error / score.estimates);
                println!(
                    "| {} | {level} | {} | {} | {error} | {percent} |",
                    program.name,
                    both(Score::mean),
                    both(Score::spread)
                );
            }
        }
    }
}
