//! One stretch of time, up to the last snapshot, and whether the callsite has grown all through it.
//!
//! Each test excludes one other cause, and growth has to pass them all. The stretch is cut into thirds at four moments, each the
//! mean of the snapshots near it. It knows nothing of other stretches. Used by `verdict`.

use super::reason::{Evidence, NoGrowth};
use super::series::{Moment, Series, mean};
use super::thresholds::*;

/// The stretch, its cuts and what is counted in it.
struct Window<'a> {
    moments: &'a [Moment],
    cuts: [Moment; 4],
    /// Mean square of the change from one snapshot to the next, beyond the trend.
    change: f64,
    /// The same over LAG snapshots, for one step: what of the changes does not turn back.
    walk: f64,
    /// When the callsite's first sample had been taken.
    born: f64,
    unit: f64,
}

pub(super) fn grows(series: &Series, seconds: f64) -> Result<Evidence, NoGrowth> {
    let window = Window::new(series, seconds).ok_or(NoGrowth::TooFewSnapshots)?;
    let by_size = match window.more_objects() {
        Ok(()) => false,
        Err(_) if window.larger_objects() => true,
        Err(refusal) => return Err(refusal),
    };
    if let ByLoad::Yes(load, more) = window.by_load() {
        return Err(NoGrowth::Load(load, more));
    }
    let [first, .., last] = &window.cuts;
    let (growth, growth_count) = series.rates(first, last);
    if growth.per_minute < LEAST_BYTES_PER_MINUTE {
        return Err(NoGrowth::Little(growth.per_minute));
    }
    let objects = last.live - first.live;
    Ok(Evidence {
        growth,
        growth_count,
        seconds: window.seconds(),
        objects: objects * series.unit,
        errors: objects / window.noise(first, last).sqrt(),
        stayed: objects / (last.taken - first.taken).max(f64::MIN_POSITIVE),
        by_size,
        load: window.load(),
    })
}

impl<'a> Window<'a> {
    fn new(series: &'a Series, seconds: f64) -> Option<Window<'a>> {
        let moments = series.since(seconds);
        let (start, end) = (moments.first()?.at, moments.last()?.at);
        let (seconds, near) = (end - start, (end - start) / PIECES as f64);
        let at = |after: f64| mean(moments, start + after - near / 2.0, start + after + near / 2.0);
        let cuts = [
            mean(moments, start, start + near),
            at(seconds / 3.0),
            at(seconds * 2.0 / 3.0),
            mean(moments, end - near, end),
        ];
        let mut window = Window { moments, cuts, change: 0.0, walk: 0.0, born: series.born(), unit: series.unit };
        let is_full = (0..3).all(|third| window.third(third).len() >= 3);
        window.change = change(moments, 1)?;
        window.walk = change(moments, LAG)? / LAG as f64;
        is_full.then_some(window)
    }

    fn seconds(&self) -> f64 {
        self.cuts[3].at - self.cuts[0].at
    }

    fn third(&self, third: usize) -> &[Moment] {
        let (start, end) = (self.moments[0].at, self.moments[self.moments.len() - 1].at);
        let cut_at = |cut: usize| start + (end - start) * cut as f64 / 3.0;
        let first = self.moments.partition_point(|moment| moment.at < cut_at(third) - 1e-6);
        let end = self.moments.partition_point(|moment| moment.at <= cut_at(third + 1) + 1e-6);
        &self.moments[first..end]
    }

    /// The floor of each piece, so that what is cleared from time to time is judged by what is left.
    fn floors(&self, of: fn(&Moment) -> f64) -> Vec<f64> {
        let (start, end) = (self.moments[0].at, self.moments[self.moments.len() - 1].at);
        let mut floors = [f64::INFINITY; PIECES];
        for moment in self.moments {
            let piece = ((moment.at - start) / (end - start) * PIECES as f64) as usize;
            let floor = &mut floors[piece.min(PIECES - 1)];
            *floor = floor.min(of(moment));
        }
        floors.into_iter().filter(|floor| floor.is_finite()).collect()
    }

    fn more_objects(&self) -> Result<(), NoGrowth> {
        let [first, second, third, last] = &self.cuts;
        let growth = last.live - first.live;
        let error = self.noise(first, last).sqrt();
        if growth < WHOLE * error {
            return Err(NoGrowth::Chance(growth, error));
        }
        if trend(&self.floors(|moment| moment.live)) < FLOORS || second.live <= first.live || third.live <= second.live
        {
            return Err(NoGrowth::Falls);
        }
        let rate = |from: &Moment, to: &Moment| (to.live - from.live) / (to.at - from.at) * 60.0;
        let (before, lately) = (rate(first, third), rate(third, last));
        let is_seen = last.live - third.live >= LAST_THIRD * self.noise(third, last).sqrt();
        if lately < CONTINUES * before || !is_seen || !self.keeps_as_many() || !self.goes_on() {
            return Err(NoGrowth::Slows(before, lately));
        }
        if self.hardly_frees() {
            return Ok(());
        }
        if growth < (WHOLE_OF_CHURN * error).max(SHARE_OF_CHURN * first.live) {
            return Err(NoGrowth::Chance(growth, error));
        }
        if last.at - self.born < CHURN_SECONDS || self.is_young() && !self.is_no_filling() {
            return Err(NoGrowth::Slows(before, lately));
        }
        if self.stays_longer() { Ok(()) } else { Err(self.load_refusal()) }
    }

    /// Most of the callsite's life lies in the stretch.
    fn is_young(&self) -> bool {
        self.moments[0].at - self.born < YOUNG * self.seconds()
    }

    /// A set that fills at random and empties at random rises steeply, then less so. This one rises by more than that.
    fn is_no_filling(&self) -> bool {
        let [first, _, third, last] = &self.cuts;
        let scale = FILLING * (last.at - third.at) / (third.at - first.at);
        let beyond = last.live - third.live - scale * (third.live - first.live);
        let variance = self.noise(third, last) + scale * scale * self.noise(first, third);
        beyond >= FILLING_ERRORS * variance.sqrt()
    }

    /// The share of allocations that stay is as large as before. Load that rises can hide that growth slows down.
    fn keeps_as_many(&self) -> bool {
        let [first, _, third, last] = &self.cuts;
        let kept = |from: &Moment, to: &Moment| (to.live - from.live) / (to.taken - from.taken).max(f64::MIN_POSITIVE);
        kept(third, last) >= CONTINUES * kept(first, third)
    }

    /// It grows to the very end, as far as the few samples of that time can tell.
    fn goes_on(&self) -> bool {
        let (start, end) = (&self.moments[0], &self.moments[self.moments.len() - 1]);
        let from = end.at - (end.at - start.at) * LAST_PIECE;
        let before = &self.moments[self.moments.partition_point(|moment| moment.at <= from).saturating_sub(1)];
        let expected = (end.live - start.live) / (end.at - start.at) * (end.at - before.at);
        end.live - before.live >= LAST_PIECE_SHARE * expected - LAST_PIECE_ERRORS * self.noise(before, end).sqrt()
    }

    /// Variance, in samples, that chance gives the difference of two live numbers if nothing grows.
    ///
    /// Each event may as well not have been sampled, and there are no more of them than were taken and freed in between,
    /// nor than live at both moments. Nor is it more than all the changes from snapshot to snapshot make up together, each
    /// taken as independent, if those are small because most of what lives has been there all the time.
    fn noise(&self, first: &Moment, last: &Moment) -> f64 {
        let events = (last.taken - first.taken).max(0.0) + (last.freed() - first.freed()).max(0.0);
        let steps = (last.at - first.at) / self.seconds() * (self.moments.len() - 1) as f64;
        let walk = self.walk * steps * WALK;
        // What goes up and down at random from snapshot to snapshot: a cut is the mean of a few of them.
        let jitter = self.change / 2.0;
        events.min(first.live + last.live).min(walk).max(jitter).max(1.0)
    }

    /// So few are freed that, if each were as likely to be freed at any time, the number would have to rise much further
    /// before it stood still.
    fn hardly_frees(&self) -> bool {
        let [first, .., last] = &self.cuts;
        let freed = (last.freed() - first.freed()).max(0.0);
        // 95% of Poisson numbers with a mean above this are larger than `freed`.
        let at_most = freed + 1.64 * freed.sqrt() + 2.7;
        let mean = (0..3).map(|third| self.live(third)).sum::<f64>() / 3.0;
        let plateau = (last.taken - first.taken) * mean / at_most;
        plateau >= PLATEAU * last.live
    }

    /// Live objects are rate times residence (Little). Half of the growth at least, beyond its error, is residence.
    fn stays_longer(&self) -> bool {
        let freed = |third: usize| (self.cuts[third + 1].freed() - self.cuts[third].freed()).max(0.0) + 0.5;
        let seconds = |third: usize| self.cuts[third + 1].at - self.cuts[third].at;
        let residence = |third: usize| self.live(third) * seconds(third) / freed(third);
        let longer = (residence(2) / residence(0)).ln();
        let error = (1.0 / freed(0) + 1.0 / freed(2)).sqrt();
        longer - RESIDENCE_ERRORS * error >= BY_RESIDENCE * self.more()
    }

    /// The logarithm of the factor by which live objects grew from the first third to the last.
    fn more(&self) -> f64 {
        (self.live(2) / self.live(0)).ln()
    }

    /// Mean of what lived during a third.
    fn live(&self, third: usize) -> f64 {
        let moments = self.third(third);
        let lived: f64 =
            moments.windows(2).map(|pair| (pair[1].at - pair[0].at) * f64::midpoint(pair[0].live, pair[1].live)).sum();
        (lived / (moments[moments.len() - 1].at - moments[0].at)).max(0.5)
    }

    /// Whether the callsite merely follows load. For a while, load and a leak under load look the same.
    fn by_load(&self) -> ByLoad {
        let [first, second, third, last] = &self.cuts;
        let (early, late) = (second.load - first.load, last.load - third.load);
        if early <= 0.0 || late <= 0.0 || self.seconds() > LOAD_SECONDS {
            return ByLoad::No;
        }
        let more = self.more();
        let load = (late / (last.at - third.at) / (early / (second.at - first.at))).ln();
        let error = (self.unit / early + self.unit / late).sqrt();
        if load >= BY_LOAD * more && load > LOAD_ERRORS * error {
            ByLoad::Yes(load.exp(), more.exp())
        } else if load + LOAD_ERRORS * error < BY_LOAD * more {
            ByLoad::No
        } else {
            ByLoad::Unknown
        }
    }

    /// Allocations of the process per minute in the first third and in the last.
    fn load(&self) -> Option<(f64, f64)> {
        let [first, second, third, last] = &self.cuts;
        let per_minute = |from: &Moment, to: &Moment| (to.load - from.load) / (to.at - from.at) * 60.0;
        let (before, lately) = (per_minute(first, second), per_minute(third, last));
        (before > 0.0 && lately > 0.0).then_some((before, lately))
    }

    fn load_refusal(&self) -> NoGrowth {
        let [first, second, third, last] = &self.cuts;
        let load = (last.taken - third.taken) / (second.taken - first.taken).max(f64::MIN_POSITIVE);
        NoGrowth::Load(load, self.more().exp())
    }

    /// Hardly more objects, but larger ones: a container that is reallocated as it grows.
    fn larger_objects(&self) -> bool {
        let [first, second, third, last] = &self.cuts;
        let growth = last.bytes - first.bytes;
        let error = (first.bytes_variance + last.bytes_variance).sqrt();
        let rate = |from: &Moment, to: &Moment| (to.bytes - from.bytes) / (to.at - from.at);
        growth > (WHOLE * error).max(LEAST_BYTES)
            && growth > LEAST_SHARE * last.bytes
            && last.live < 1.5 * first.live + 2.0
            && first.bytes < second.bytes
            && second.bytes < third.bytes
            && rate(third, last) >= CONTINUES * rate(first, third)
            && trend(&self.floors(|moment| moment.bytes)) >= FLOORS_OF_BYTES
            && (size(last) / size(first)).ln() >= BY_SIZE * (last.bytes / first.bytes).ln()
            && trend(&self.floors(size)) >= FLOORS_OF_BYTES
    }
}

/// Whether load explains the growth of a stretch.
pub(super) enum ByLoad {
    No,
    /// The factors by which load and live objects grew.
    Yes(f64, f64),
    /// Load may have grown by so much, or not at all.
    Unknown,
}

/// Whether load explains growth in the last `seconds`.
pub(super) fn by_load(series: &Series, seconds: f64) -> ByLoad {
    Window::new(series, seconds).map_or(ByLoad::Unknown, |window| window.by_load())
}

/// Mean size of a live object.
fn size(moment: &Moment) -> f64 {
    moment.bytes / moment.live.max(f64::MIN_POSITIVE)
}

/// Mean square of the change over so many snapshots, beyond the trend.
pub(super) fn change(moments: &[Moment], lag: usize) -> Option<f64> {
    let (start, end) = (moments.first()?, moments.last()?);
    // The trend is drawn through the same moments.
    let free = moments.len().checked_sub(lag + 1).filter(|&free| free > 0)?;
    let slope = (end.live - start.live) / (end.at - start.at);
    let squares = moments.windows(lag + 1).map(|moments| {
        let (one, other) = (&moments[0], &moments[lag]);
        (other.live - one.live - slope * (other.at - one.at)).powi(2)
    });
    let mean = squares.sum::<f64>() / (free + 1) as f64;
    Some(mean * (moments.len() - 1) as f64 / free as f64)
}

/// Mann and Kendall's test: in how many pairs the later is larger, in standard errors; ties corrected (Hipel and McLeod).
fn trend(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mut sum = 0.0;
    for (at, one) in values.iter().enumerate() {
        sum += values[at + 1..]
            .iter()
            .map(|later| (later - one).signum() * f64::from(u8::from(later != one)))
            .sum::<f64>();
    }
    let spread = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tie| spread(tie.len() as f64)).sum();
    let variance = spread(n) - ties;
    if variance > 0.0 { (sum - sum.signum()) / variance.sqrt() } else { 0.0 }
}
