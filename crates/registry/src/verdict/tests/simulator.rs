//! Simulated programs: what the recorder would have sampled of them, as snapshots.
//!
//! Gaps between samples are drawn as `sampler::decide` draws them; programs are rates and lifetimes. Used by the tests of
//! `verdict`.

use crate::history::Point;
use crate::verdict::timeline::Look;
use crate::verdict::{Judgement, Timeline, judge};

const BYTES: f64 = 100.0;
const TICK: f64 = 0.25;
const EVERY: f64 = 10.0;
const JITTER: f64 = 2.5;

/// wyrand, as in the sampler.
#[derive(Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let product = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        (product as u64) ^ ((product >> 64) as u64)
    }

    /// In (0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        ((self.word() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// All orders of magnitude alike.
    pub(super) fn magnitude(&mut self, least: f64, most: f64) -> f64 {
        self.between(least.ln(), most.ln()).exp()
    }

    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// Poisson's for small means, the normal one's for large.
    fn events(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
            return (mean + mean.sqrt() * normal).round().max(0.0) as u64;
        }
        let (mut product, mut events) = (self.unit(), 0);
        while product > (-mean).exp() {
            product *= self.unit();
            events += 1;
        }
        events
    }
}

type Rate = Box<dyn Fn(f64) -> f64>;
pub(super) type Death = Box<dyn FnMut(f64, &mut Random) -> f64>;

/// A callsite: how many objects per second at a moment, and when one that is born at a moment dies.
pub(super) struct Site {
    rate: Rate,
    death: Death,
    /// When it dies, and its weight.
    living: Vec<(f64, f64)>,
    taken: u64,
    total: f64,
    points: Vec<Point>,
}

pub(super) fn site(rate: impl Fn(f64) -> f64 + 'static, death: impl FnMut(f64, &mut Random) -> f64 + 'static) -> Site {
    let (rate, death) = (Box::new(rate), Box::new(death));
    Site { rate, death, living: Vec::new(), taken: 0, total: 0.0, points: Vec::new() }
}

impl Site {
    fn snapshot(&mut self, snapshot: u32, at: f64) {
        self.living.retain(|&(death, _)| death > at);
        let sum = |of: fn(f64) -> f64| self.living.iter().map(|&(_, weight)| of(weight)).sum::<f64>();
        let (count, variance) = (sum(|weight| weight), sum(|weight| weight * (weight - 1.0)));
        self.points.push(Point {
            snapshot,
            live_count: self.living.len() as u32,
            total_count: self.taken as u32,
            est_count: count as f32,
            est_bytes: count * BYTES,
            count_variance: variance as f32,
            bytes_variance: (variance * BYTES * BYTES) as f32,
            est_total_count: self.total,
        });
    }
}

pub(super) struct Program {
    sites: Vec<Site>,
    timeline: Timeline,
    random: Random,
    left: u64,
    snapshots: f64,
    now: f64,
    gaps: (u64, u64),
}

impl Program {
    pub(super) fn new(sites: Vec<Site>, gaps: (u64, u64), seed: u64) -> Program {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let left = 1 + random.word() % gaps.1;
        let timeline = Timeline { looks: Vec::new(), now: 0.0, has_ended: false };
        Program { sites, timeline, random, left, snapshots: 0.0, now: 0.0, gaps }
    }

    /// Changes the gaps. Samples that were taken before keep their weight.
    pub(super) fn set_gaps(&mut self, gaps: (u64, u64)) {
        self.gaps = gaps;
    }

    pub(super) fn sites(&self) -> usize {
        self.sites.len()
    }

    fn weight(&self) -> f64 {
        (self.gaps.0 + self.gaps.1) as f64 / 2.0
    }

    /// Runs until the next snapshot. They are not quite regular, so that what is regular in a program shows.
    pub(super) fn step(&mut self) {
        self.snapshots += 1.0;
        let next = self.snapshots * EVERY + self.random.between(-JITTER, JITTER);
        while self.now < next {
            self.tick();
        }
        let total_count = self.sites.iter().map(|site| site.total).sum();
        let snapshot = self.snapshots as u32;
        self.timeline.looks.push(Look { snapshot, at: self.now, allocated: Some(total_count) });
        self.timeline.now = self.now;
        for site in &mut self.sites {
            site.snapshot(snapshot, self.now);
        }
    }

    fn tick(&mut self) {
        let weight = self.weight();
        let random = &mut self.random;
        let counts: Vec<u64> = self.sites.iter().map(|site| random.events((site.rate)(self.now) * TICK)).collect();
        let all: u64 = counts.iter().sum();
        let mut passed = 0;
        while all - passed >= self.left {
            passed += self.left;
            self.left = self.gaps.0 + random.word() % (self.gaps.1 - self.gaps.0 + 1);
            // Any of this tick's allocations.
            let mut which = random.word() % all;
            let mut index = 0;
            while which >= counts[index] {
                which -= counts[index];
                index += 1;
            }
            let site = &mut self.sites[index];
            let born = self.now + TICK * passed as f64 / all as f64;
            site.taken += 1;
            site.total += weight;
            site.living.push(((site.death)(born, random), weight));
        }
        self.left -= all - passed;
        self.now += TICK;
    }

    pub(super) fn judge(&self, site: usize) -> Judgement {
        judge(&self.sites[site].points, &self.timeline)
    }

    pub(super) fn now(&self) -> f64 {
        self.now
    }
}
