//! The kinds of programs that are simulated: rates and lifetimes, drawn anew for each seed.

use super::simulator::{Death, Random, Site, site};

const NEVER: f64 = f64::INFINITY;

pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whether its first callsite leaks. The others do not.
    pub(super) leaks: bool,
    /// The time for which it is watched.
    pub(super) seconds: f64,
    /// Suspects before this many seconds are not wrong: nothing tells them from leaks.
    pub(super) from: f64,
    pub(super) sites: fn(u64) -> Vec<Site>,
}

const fn leak(name: &'static str, sites: fn(u64) -> Vec<Site>) -> Kind {
    Kind { name, leaks: true, seconds: 600.0, from: 0.0, sites }
}

const fn steady(name: &'static str, sites: fn(u64) -> Vec<Site>) -> Kind {
    Kind { name, leaks: false, seconds: 600.0, from: 0.0, sites }
}

/// The requests that come and go in every program.
fn requests(rate: f64) -> Site {
    site(move |_| rate, |at, random| at + random.exponential(0.05))
}

fn random(seed: u64) -> Random {
    Random(seed.wrapping_mul(0xd134_2543_de82_ef95) | 1)
}

pub(super) const LEAKS: &[Kind] = &[
    leak("fast: 400 objects/s, nothing else at the callsite", |_| {
        vec![site(|_| 400.0, |_, _| NEVER), requests(4000.0)]
    }),
    leak("slow: 20 objects/s", |_| vec![site(|_| 20.0, |_, _| NEVER), requests(1000.0)]),
    leak("very slow: 5 objects/s", |_| vec![site(|_| 5.0, |_, _| NEVER), requests(1000.0)]),
    leak("1% at a callsite of 10,000/s that stay for 1 s", |_| {
        let death = |at, random: &mut Random| if random.unit() < 0.01 { NEVER } else { at + random.exponential(1.0) };
        vec![site(|_| 10_000.0, death), requests(2000.0)]
    }),
    leak("1% at a callsite of 2,000/s that stay for 0.1 s", |_| {
        let death = |at, random: &mut Random| if random.unit() < 0.01 { NEVER } else { at + random.exponential(0.1) };
        vec![site(|_| 2_000.0, death), requests(2000.0)]
    }),
    leak("1% at a callsite of 10,000/s beside 200,000 that stay", |_| {
        let rate = |at| if at < 10.0 { 30_000.0 } else { 10_000.0 };
        let death = |at, random: &mut Random| {
            if at < 10.0 || random.unit() < 0.01 { NEVER } else { at + random.exponential(0.5) }
        };
        vec![site(rate, death), requests(2000.0)]
    }),
    leak("half of 100 sessions/s, the others stay for 5 s", |_| {
        let death = |at, random: &mut Random| if random.unit() < 0.5 { NEVER } else { at + random.exponential(5.0) };
        vec![site(|_| 100.0, death), requests(2000.0)]
    }),
    leak("100/s under batches cleared every 7 s", |_| {
        let death = |at: f64, random: &mut Random| {
            if random.unit() < 0.05 { NEVER } else { ((at / 7.0).floor() + 1.0) * 7.0 }
        };
        vec![site(|_| 2000.0, death), requests(2000.0)]
    }),
    leak("100/s, begins after 60 s", |_| {
        vec![site(|at| if at < 60.0 { 0.0 } else { 100.0 }, |_, _| NEVER), requests(2000.0)]
    }),
    leak("100/s, load rises tenfold meanwhile", |_| {
        let load = |at: f64| 1.0 + 9.0 * (at / 200.0).min(1.0);
        let requests = site(move |at| 300.0 * load(at), |at, random| at + random.exponential(0.05));
        vec![site(move |at| 20.0 * load(at), |_, _| NEVER), requests]
    }),
];

/// Random lifetimes around a mean.
fn lifetimes(kind: u64, mean: f64) -> Death {
    match kind % 4 {
        0 => Box::new(move |at, random| at + random.exponential(mean)),
        // First in, first out: rings, queues, TTLs.
        1 => Box::new(move |at, _| at + mean),
        // Most die at once, some stay for long.
        2 => Box::new(move |at, random| at + if random.unit() < 0.9 { mean / 100.0 } else { random.exponential(mean) }),
        // Pareto's, exponent 1.5.
        _ => Box::new(move |at, random| at + mean / 3.0 * (random.unit().powf(-1.0 / 1.5))),
    }
}

pub(super) const STEADY: &[Kind] = &[
    steady("random lifetimes, any rate, residence 0.1..30 s", |seed| {
        let mut random = random(seed);
        (0..10)
            .map(|index| {
                let (rate, mean) = (random.magnitude(3.0, 10_000.0), random.magnitude(0.1, 30.0));
                site(move |_| rate, lifetimes(index, mean))
            })
            .collect()
    }),
    steady("random lifetimes, residence 30..90 s", |seed| {
        let mut random = random(seed);
        (0..10)
            .map(|index| {
                let (rate, mean) = (random.magnitude(3.0, 1000.0), random.magnitude(30.0, 90.0));
                site(move |_| rate, lifetimes(index, mean))
            })
            .collect()
    }),
    steady("start-up data, loaded for 5..70 s", |seed| {
        let mut random = random(seed);
        let sites = (0..5).map(|_| {
            let (rate, end) = (random.magnitude(100.0, 20_000.0), random.between(5.0, 70.0));
            site(move |at| if at < end { rate } else { 0.0 }, |_, _| NEVER)
        });
        sites.chain([requests(2000.0)]).collect()
    }),
    steady("cache that fills within 70 s, slower and slower", |seed| {
        let mut random = random(seed);
        let sites = (0..5).map(|_| {
            let (rate, end) = (random.magnitude(100.0, 20_000.0), random.between(5.0, 25.0));
            site(move |at: f64| rate * (-at / end).exp(), |_, _| NEVER)
        });
        sites.chain([requests(2000.0)]).collect()
    }),
    steady("batches cleared every 3..90 s", |seed| {
        let mut random = random(seed);
        let sites = (0..5).map(|_| {
            let (rate, period) = (random.magnitude(10.0, 5000.0), random.between(3.0, 90.0));
            site(move |_| rate, move |at: f64, _| ((at / period).floor() + 1.0) * period)
        });
        sites.chain([requests(2000.0)]).collect()
    }),
    steady("batches cleared every 10, 5 or 2 s, nearly", |seed| {
        let mut random = random(seed);
        let sites = [10.0, 5.0, 2.0].into_iter().map(|period| {
            let (rate, period) = (random.magnitude(100.0, 5000.0), period * random.between(0.99, 1.01));
            site(move |_| rate, move |at: f64, _| ((at / period).floor() + 1.0) * period)
        });
        sites.chain([requests(2000.0)]).collect()
    }),
    steady("load that rises for 150 s and stays, residence 1..60 s", |seed| {
        let mut random = random(seed);
        let load = |at: f64| 0.1 + 0.9 * (at / 150.0).min(1.0);
        let sites = (0..5).map(|index| {
            let (rate, mean) = (random.magnitude(100.0, 5000.0), random.magnitude(1.0, 60.0));
            site(move |at| rate * load(at), lifetimes(index, mean))
        });
        sites.chain([site(move |at| 2000.0 * load(at), |at, random| at + random.exponential(0.1))]).collect()
    }),
    steady("connections that rise with load for 150 s and stay open", |_| {
        let load = |at: f64| (at / 150.0).min(1.0);
        let opens = site(|at| if at < 150.0 { 100.0 } else { 0.0 }, |_, _| NEVER);
        vec![opens, site(move |at| 200.0 + 3000.0 * load(at), |at, random| at + random.exponential(0.1))]
    }),
    steady("load that swings, periods of 40..400 s, residence 1..40 s", |seed| {
        let mut random = random(seed);
        let period = random.magnitude(40.0, 400.0);
        let load = move |at: f64| 1.0 + 0.9 * (std::f64::consts::TAU * at / period).sin();
        let sites = (0..5).map(|index| {
            let (rate, mean) = (random.magnitude(100.0, 5000.0), random.magnitude(1.0, 40.0));
            site(move |at| rate * load(at), lifetimes(index, mean))
        });
        sites.collect()
    }),
];

const fn lasting(seconds: f64, kind: Kind) -> Kind {
    Kind { seconds, ..kind }
}

const fn after(from: f64, kind: Kind) -> Kind {
    Kind { from, ..kind }
}

/// A table of so many slots that are written at random, each of them once in `seconds` on the average.
fn table(slots: f64, seconds: f64) -> Vec<Site> {
    let rate = slots / seconds;
    vec![site(move |at: f64| rate * (-at / seconds).exp(), |_, _| NEVER), requests(rate)]
}

/// Programs that look like a leak for minutes, and have none.
pub(super) const SLOW_STEADY: &[Kind] = &[
    lasting(
        1500.0,
        steady("a table of 20,000 slots, written at random 100 times a second", |_| table(20_000.0, 200.0)),
    ),
    lasting(
        1500.0,
        steady("a table of 100,000 slots, written at random 250 times a second", |_| table(100_000.0, 400.0)),
    ),
    after(
        310.0,
        lasting(
            1500.0,
            steady("100 objects/s, all freed every 5 minutes", |_| {
                vec![site(|_| 100.0, |at: f64, _: &mut Random| ((at / 300.0).floor() + 1.0) * 300.0)]
            }),
        ),
    ),
    after(
        370.0,
        lasting(
            1500.0,
            steady("buffers freed when a collector runs, every 3 to 6 minutes", |seed| {
                let mut random = random(seed);
                let mut at = 0.0;
                let runs: Vec<f64> = std::iter::repeat_with(|| {
                    at += random.between(180.0, 360.0);
                    at
                })
                .take(12)
                .collect();
                let death = move |at: f64, _: &mut Random| runs.iter().copied().find(|run| *run > at).unwrap_or(NEVER);
                vec![site(|_| 60.0, death), requests(500.0)]
            }),
        ),
    ),
    lasting(
        1500.0,
        steady("connections that rise with load for 10 minutes and stay open", |_| {
            let load = |at: f64| (at / 600.0).min(1.0);
            let opens = site(|at| if at < 600.0 { 50.0 } else { 0.0 }, |_, _| NEVER);
            vec![opens, site(move |at| 200.0 + 3000.0 * load(at), |at, random| at + random.exponential(0.1))]
        }),
    ),
    lasting(
        1500.0,
        steady("a compiler that warms up, slower and slower", |seed| {
            let mut random = random(seed);
            let sites = (0..5).map(|_| {
                let (rate, time) = (random.magnitude(200.0, 5000.0), random.between(5.0, 40.0));
                site(move |at: f64| rate / (1.0 + at / time).powf(1.5), |_, _| NEVER)
            });
            sites.chain([requests(2000.0)]).collect()
        }),
    ),
    lasting(
        1800.0,
        steady("a cache that fills for 20 minutes, with ever more hits", |_| {
            let fills = |at: f64| if at < 1200.0 { 200.0 * (-at / 500.0).exp() } else { 0.0 };
            vec![site(fills, |_, _| NEVER), requests(400.0)]
        }),
    ),
];

/// Leaks that take more than ten minutes, or come in steps.
pub(super) const SLOW_LEAKS: &[Kind] = &[
    lasting(1500.0, leak("200 objects/s, nothing else", |_| vec![site(|_| 200.0, |_, _| NEVER)])),
    lasting(
        1500.0,
        leak("3,000 objects at once, every 30 s", |_| {
            let burst = |at: f64| if at % 30.0 < 1.0 { 3000.0 } else { 0.0 };
            vec![site(burst, |_, _| NEVER), requests(1000.0)]
        }),
    ),
    lasting(1500.0, leak("10 objects/s", |_| vec![site(|_| 10.0, |_, _| NEVER), requests(1000.0)])),
    lasting(
        1500.0,
        leak("50 objects/s, after an hour's worth of data in 20 s", |_| {
            vec![site(|at| if at < 20.0 { 5000.0 } else { 50.0 }, |_, _| NEVER), requests(1000.0)]
        }),
    ),
];
