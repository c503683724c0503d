//! The course of a stretch of time: whether it grows evenly, or ever more slowly, with the error of either answer.
//!
//! Growth that comes in at the rate `r exp(-x u)`, where `u` runs from 0 to 1 over the stretch, is even if the decay `x` is 0. A
//! set that fills has the decay `seconds / tau`. For a Poisson process the mean time of its arrivals `m` is sufficient for `x`:
//!
//! ```text
//! m(x)  = 1/x - 1/(exp(x) - 1)              the mean time, 1/2 if growth is even
//! s2(x) = 1/x^2 - exp(x)/(exp(x) - 1)^2     its variance, 1/12 if growth is even; m'(x) = -s2(x)
//! x     : m(x) = sum u_k d_k / sum d_k      maximum likelihood; d_k is what the k-th piece of the stretch added
//! e     = sqrt(phi V) / (s2(x) sum d_k)     its error; V is the variance of sum u_k d_k
//! phi   = max(1, chi^2 / (pieces - 2))      what arrives in bursts varies by more than chance (quasi-likelihood)
//! ```
//!
//! It decides nothing about load, chance or size (`window` does). Used by `verdict`.

use super::series::{Moment, Series};
use super::thresholds::*;
use super::window;

/// The course of one stretch up to the last snapshot.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Course {
    /// Length of the stretch.
    pub(super) seconds: f64,
    /// Growth over the stretch, in samples.
    growth: f64,
    /// Live samples at its end.
    live: f64,
    /// Most of what is taken is freed again.
    is_churn: bool,
    /// The decay over the stretch: 0 if it grows evenly, negative if it grows faster and faster.
    pub(super) decay: f64,
    /// One standard error of `decay`.
    pub(super) error: f64,
}

impl Course {
    /// The course since a time in seconds. `None` if nothing grew, or there are too few snapshots.
    pub(super) fn since(series: &Series, from: f64) -> Option<Course> {
        let moments = series.since(series.last().at - from);
        if moments.len() <= COURSE_PIECES {
            return None;
        }
        let (start, end) = (moments[0], moments[moments.len() - 1]);
        let (seconds, growth) = (end.at - start.at, end.live - start.live);
        if seconds <= 0.0 || growth <= 0.0 {
            return None;
        }
        let cuts = cuts(moments);
        let place = |moment: &Moment| (moment.at - start.at) / seconds;
        let pieces: Vec<Piece> = cuts.windows(2).map(|pair| Piece::new(&pair[0], &pair[1], place)).collect();
        // The time that growth took on the average. Chance can put it outside the stretch.
        let mean = pieces.iter().map(|piece| piece.middle * piece.growth).sum::<f64>() / growth;
        let decay = decay_of(mean);
        let bursts = bursts(&pieces, growth, decay);
        let variance = variance_of_time(&cuts, &pieces, moments) * bursts;
        let error = variance.sqrt() / (spread(decay) * growth);
        let is_churn = end.freed() - start.freed() > CHURN_FREED * growth;
        Some(Course { seconds, growth, live: end.live, is_churn, decay, error })
    }

    /// It slows down by more than its error.
    pub(super) fn slows(&self) -> bool {
        self.decay > SLOWS_LEAST && self.decay > SLOWS_ERRORS * self.error
    }

    /// It is known not to slow down much: as many errors above the estimate, it would still have to grow for longer than
    /// it has before it reaches 0.63 of its limit.
    pub(super) fn is_even(&self) -> bool {
        self.decay + self.demand() * self.error <= EVEN_DECAY
    }

    /// Young programs still load and fill, old ones seldom. What is freed again and again is judged by its floors and its
    /// residence, too.
    fn demand(&self) -> f64 {
        if self.is_churn {
            return EVEN_ERRORS_CHURN;
        }
        let age = (self.seconds / EVEN_YOUNG_SECONDS).ln() / (EVEN_OLD_SECONDS / EVEN_YOUNG_SECONDS).ln();
        EVEN_ERRORS_YOUNG + (EVEN_ERRORS_OLD - EVEN_ERRORS_YOUNG) * age.clamp(0.0, 1.0)
    }

    /// The factor by which there have to be more samples for an even course to be known as one.
    pub(super) fn missing(&self) -> f64 {
        (self.demand() * self.error / EVEN_DECAY).powi(2).max(1.0) * MISSING_MARGIN
    }

    /// Seconds in which growth halves, if it slows down.
    pub(super) fn half_life(&self) -> Option<f64> {
        (self.decay > 0.0).then(|| self.seconds * std::f64::consts::LN_2 / self.decay)
    }

    /// Live samples where it would stop, if it slows down.
    pub(super) fn limit(&self) -> Option<f64> {
        // What is still to come of the whole, after the decay of the stretch.
        let rest = (-self.decay).exp();
        (self.decay > 0.0).then(|| self.live + self.growth * rest / (1.0 - rest))
    }
}

/// A part of the stretch between two cuts.
struct Piece {
    growth: f64,
    /// Its place in the stretch, from 0 to 1.
    start: f64,
    middle: f64,
    end: f64,
    /// Variance that chance gives `growth`.
    variance: f64,
}

impl Piece {
    fn new(from: &Moment, to: &Moment, place: impl Fn(&Moment) -> f64) -> Piece {
        let (start, end) = (place(from), place(to));
        let events = (to.taken - from.taken).max(0.0) + (to.freed() - from.freed()).max(0.0);
        Piece {
            growth: to.live - from.live,
            start,
            middle: f64::midpoint(start, end),
            end,
            variance: events.min(from.live + to.live),
        }
    }
}

/// The moments at the ends of the pieces. Each but the first and the last is that nearest to its place.
fn cuts(moments: &[Moment]) -> Vec<Moment> {
    let (start, end) = (moments[0].at, moments[moments.len() - 1].at);
    let nearest = |piece: usize| {
        let at = start + (end - start) * piece as f64 / COURSE_PIECES as f64;
        let after = moments.partition_point(|moment| moment.at < at).clamp(1, moments.len() - 1);
        let (before, after) = (moments[after - 1], moments[after]);
        if at - before.at < after.at - at { before } else { after }
    };
    let mut cuts: Vec<Moment> = (0..=COURSE_PIECES).map(nearest).collect();
    (cuts[0], cuts[COURSE_PIECES]) = (moments[0], moments[moments.len() - 1]);
    cuts.dedup_by(|later, earlier| later.at <= earlier.at);
    cuts
}

/// Variance of `sum u_k d_k`: the least of what independent events, independent levels at the cuts, and a random walk of the
/// changes from snapshot to snapshot would give. Each of them is an upper bound (docs/explanation/leaks.md).
fn variance_of_time(cuts: &[Moment], pieces: &[Piece], moments: &[Moment]) -> f64 {
    let weight = |piece: &Piece| piece.middle - 0.5;
    let of_events: f64 = pieces.iter().map(|piece| weight(piece).powi(2) * piece.variance).sum();
    let weight_at = |piece: Option<usize>| piece.and_then(|piece| pieces.get(piece)).map_or(0.0, weight);
    let at_cuts = |variance: &dyn Fn(&Moment) -> f64| -> f64 {
        let weight = |cut: usize| weight_at(cut.checked_sub(1)) - weight_at(Some(cut));
        cuts.iter().enumerate().map(|(cut, moment)| weight(cut).powi(2) * variance(moment)).sum()
    };
    let of_levels = at_cuts(&|moment| moment.live.max(1.0));
    // Where little is freed, events are exact, and so few changes would only add chance.
    let (first, last) = (cuts[0], cuts[cuts.len() - 1]);
    if last.freed() - first.freed() < WALK_FREED * (last.live - first.live) {
        return of_events.min(of_levels).max(1.0 / 12.0);
    }
    let steps = (moments.len() - 1) as f64;
    let change = |lag| window::change(moments, lag).unwrap_or(f64::INFINITY);
    let a_step = WALK * change(LAG) / LAG as f64 * steps;
    let of_walk: f64 = pieces.iter().map(|piece| weight(piece).powi(2) * a_step * (piece.end - piece.start)).sum();
    let jitter = at_cuts(&|_| change(1) / 2.0);
    of_events.min(of_levels).min(of_walk.max(jitter)).max(1.0 / 12.0)
}

/// The factor by which pieces vary more than chance around growth with this decay; 1 at least.
fn bursts(pieces: &[Piece], growth: f64, decay: f64) -> f64 {
    let until = |place: f64| if decay.abs() < 1e-6 { place } else { (-decay * place).exp_m1() / (-decay).exp_m1() };
    let square = |piece: &Piece| {
        let expected = growth * (until(piece.end) - until(piece.start));
        (piece.growth - expected).powi(2) / piece.variance.max(expected).max(1.0)
    };
    let free = pieces.len().saturating_sub(2).max(1);
    (pieces.iter().map(square).sum::<f64>() / free as f64).max(1.0)
}

/// The mean time of arrivals with a decay.
fn mean_time(decay: f64) -> f64 {
    if decay.abs() < 1e-3 { 0.5 - decay / 12.0 } else { 1.0 / decay - 1.0 / decay.exp_m1() }
}

/// The variance of the time of arrivals with a decay.
fn spread(decay: f64) -> f64 {
    if decay.abs() < 1e-2 {
        return 1.0 / 12.0;
    }
    1.0 / (decay * decay) - decay.exp() / decay.exp_m1().powi(2)
}

/// The decay with a mean time: the inverse of [`mean_time`], which falls.
fn decay_of(mean: f64) -> f64 {
    let (mut least, mut most) = (-MOST_DECAY, MOST_DECAY);
    for _ in 0..60 {
        let middle = f64::midpoint(least, most);
        if mean_time(middle) > mean { least = middle } else { most = middle }
    }
    f64::midpoint(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decay_is_found_from_its_mean_time() {
        for decay in [-5.0, -0.5, 0.0, 0.3, 1.0, 4.0, 12.0] {
            assert!((decay_of(mean_time(decay)) - decay).abs() < 1e-6, "{decay}");
            let slope = (mean_time(decay + 1e-4) - mean_time(decay - 1e-4)) / 2e-4;
            assert!((slope + spread(decay)).abs() < 1e-3, "{decay}");
        }
        assert!(decay_of(2.0) <= -MOST_DECAY + 1e-6 && decay_of(-1.0) >= MOST_DECAY - 1e-6);
    }
}
