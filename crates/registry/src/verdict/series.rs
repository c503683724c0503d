//! A callsite's points as evenly treated numbers: every snapshot of the process has a moment, in units of one sample.
//!
//! It judges nothing. Used by `verdict` and `window`.

use super::{Rate, Timeline};
use crate::history::Point;

/// A process whose first snapshot is this young had nothing live when its recording began.
const FROM_THE_START: f64 = 30.0;

/// The callsite at one snapshot, or the mean of several. Objects are counted in samples, which is estimates divided by
/// `unit`, so that the variance of a number of arrivals is that number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    /// Seconds since recording began.
    pub(super) at: f64,
    /// Live objects, in samples.
    pub(super) live: f64,
    /// Objects ever allocated here, in samples.
    pub(super) taken: f64,
    /// Live bytes.
    pub(super) bytes: f64,
    /// Variance of the number of live objects, in objects.
    pub(super) count_variance: f64,
    /// Variance of the live bytes.
    pub(super) bytes_variance: f64,
    /// Objects that the whole process ever allocated.
    pub(super) load: f64,
}

impl Moment {
    pub(super) fn freed(&self) -> f64 {
        (self.taken - self.live).max(0.0)
    }
}

/// The moments of one callsite, in the order of time.
pub(super) struct Series {
    moments: Vec<Moment>,
    /// Allocations per sample.
    pub(super) unit: f64,
}

impl Series {
    /// `points` are in the order of time, each with its time in seconds since recording began.
    pub(super) fn new(points: &[(f64, &Point)], timeline: &Timeline) -> Series {
        let unit = unit(points);
        let looks = timeline.looks.iter().filter_map(|look| Some((look.at, look.allocated?)));
        let mut moments = Vec::with_capacity(points.len().max(timeline.looks.len()) + 1);
        let mut rest = points.iter().peekable();
        let mut now = Moment::default();
        let first = looks.clone().map(|(at, _)| at).chain(points.first().map(|(at, _)| *at)).next();
        if first.is_some_and(|at| at > 0.0 && at <= FROM_THE_START) {
            moments.push(Moment::default());
        }
        for (at, allocated) in looks {
            while let Some((from, point)) = rest.next_if(|(from, _)| *from <= at) {
                now = Series::moment(*from, point, unit);
            }
            moments.push(Moment { at, load: sane(allocated), ..now });
        }
        moments.extend(rest.map(|(at, point)| Series::moment(*at, point, unit)));
        Series { moments, unit }
    }

    fn moment(at: f64, point: &Point, unit: f64) -> Moment {
        Moment {
            at,
            live: sane(point.est_count.into()) / unit,
            taken: sane(point.est_total_count) / unit,
            bytes: sane(point.est_bytes),
            count_variance: sane(point.count_variance.into()),
            bytes_variance: sane(point.bytes_variance.into()),
            load: 0.0,
        }
    }

    /// All moments, in the order of time.
    pub(super) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    pub(super) fn duration(&self) -> Option<f64> {
        Some(self.moments.last()?.at - self.moments.first()?.at)
    }

    /// The last moment at which nothing had been sampled, or the first there is.
    pub(super) fn born(&self) -> f64 {
        let first = self.moments.partition_point(|moment| moment.taken <= 0.0);
        self.moments.get(first.saturating_sub(1)).map_or(0.0, |moment| moment.at)
    }

    /// Seconds for which there is something to look at.
    pub(super) fn age(&self) -> f64 {
        self.last().at - self.born()
    }

    pub(super) fn last(&self) -> Moment {
        self.moments.last().copied().unwrap_or_default()
    }

    /// The moments of the last `seconds` or a little more.
    pub(super) fn since(&self, seconds: f64) -> &[Moment] {
        let from = self.last().at - seconds;
        let first = self.moments.partition_point(|moment| moment.at <= from + 1e-6).saturating_sub(1);
        &self.moments[first..]
    }

    pub(super) fn whole(&self) -> Whole<'_> {
        Whole { series: self }
    }

    /// Growth of bytes and of objects over the last minutes.
    pub(super) fn recent(&self) -> (Rate, Rate) {
        match self.since(self.duration().unwrap_or(0.0).clamp(0.0, 300.0)) {
            [first, .., last] => self.rates(first, last),
            _ => Default::default(),
        }
    }

    /// The samples that live at both moments are in both estimates, and their error is in neither rate: of what was live
    /// at the first no more than all that was freed in between has gone.
    pub(super) fn rates(&self, first: &Moment, last: &Moment) -> (Rate, Rate) {
        let minutes = (last.at - first.at) / 60.0;
        if minutes <= 0.0 {
            return Default::default();
        }
        let shared = (first.live - (last.freed() - first.freed()).max(0.0)).clamp(0.0, first.live.min(last.live));
        let changed = |moment: &Moment| if moment.live > 0.0 { 1.0 - shared / moment.live } else { 0.0 };
        let rate = |growth: f64, variances: [f64; 2]| {
            let [of_first, of_last] = variances;
            let variance = of_first * changed(first) + of_last * changed(last);
            Rate { per_minute: growth / minutes, error: variance.max(0.0).sqrt() / minutes }
        };
        (
            rate(last.bytes - first.bytes, [first.bytes_variance, last.bytes_variance]),
            rate((last.live - first.live) * self.unit, [first.count_variance, last.count_variance]),
        )
    }
}

/// A damaged ledger may say anything.
fn sane(number: f64) -> f64 {
    if number.is_finite() { number.clamp(0.0, 1e18) } else { 0.0 }
}

/// A weight is the mean of at least this many samples.
const SAMPLES_OF_A_WEIGHT: u32 = 16;

/// One weight for all samples. Intervals may have changed: it is the largest that some of them had, so that errors are
/// rather over- than underestimated.
fn unit(points: &[(f64, &Point)]) -> f64 {
    let (mut unit, mut samples_before, mut total_before) = (0.0f64, 0, 0.0);
    for (_, point) in points {
        let samples = point.total_count.saturating_sub(samples_before);
        if samples >= SAMPLES_OF_A_WEIGHT {
            unit = unit.max((sane(point.est_total_count) - total_before) / f64::from(samples));
            (samples_before, total_before) = (point.total_count, sane(point.est_total_count));
        }
    }
    if unit == 0.0 {
        unit =
            points.last().map_or(0.0, |(_, point)| sane(point.est_total_count) / f64::from(point.total_count.max(1)));
    }
    unit.max(1.0)
}

/// All of the history at once.
pub(super) struct Whole<'a> {
    series: &'a Series,
}

impl Whole<'_> {
    fn level(&self, from: f64, to: f64) -> Moment {
        let (moments, start, seconds) = (self.seen(), self.series.moments[0].at, self.series.duration().unwrap_or(0.0));
        mean(moments, start + from * seconds, start + to * seconds)
    }

    /// The moments without the beginning, at which there was no look: what was there at the first look did not rise.
    fn seen(&self) -> &[Moment] {
        let moments = &self.series.moments;
        if moments[0].at == 0.0 { &moments[1..] } else { moments }
    }

    /// The least that lived since then.
    fn floor(&self, from: f64) -> f64 {
        let (start, seconds) = (self.series.moments[0].at, self.series.duration().unwrap_or(0.0));
        let since = self.seen().iter().filter(|moment| moment.at >= start + from * seconds);
        since.map(|moment| moment.live).fold(f64::INFINITY, f64::min)
    }

    /// It has lost more than chance takes, and the last third of the time is the lowest.
    pub(super) fn shrinks(&self) -> Option<String> {
        let (first, middle, last) = (self.level(0.2, 0.4), self.level(0.4, 0.7), self.level(0.8, 1.0));
        let lost = first.live - last.live;
        let is_lower = last.live < middle.live && middle.live < first.live;
        (is_lower && lost > 4.0 * (first.live + last.live).sqrt() && last.live < 0.8 * first.live).then(|| {
            format!(
                "live objects went from {:.0} to {:.0}",
                first.live * self.series.unit,
                last.live * self.series.unit
            )
        })
    }

    /// It was lower by more than chance early on, and rose more slowly, or not at all, in the last third.
    pub(super) fn saturates(&self) -> Option<String> {
        let (early, middle, last) = (self.level(0.0, 0.04), self.level(0.62, 0.72), self.level(0.9, 1.0));
        let (rose, since) = (last.live - early.live, last.live - middle.live);
        let early_rate = (middle.live - early.live) / (middle.at - early.at).max(1.0);
        let late_rate = since / (last.at - middle.at).max(1.0);
        let is_slower = late_rate < 0.7 * early_rate && self.floor(0.66) > early.live + 0.6 * rose;
        (rose > 3.0 * (early.live + last.live).sqrt() && rose > 0.2 * last.live && is_slower).then(|| {
            format!(
                "rose to {:.0} live objects, {:.0} per minute until {:.0} s ago and {:.0} since",
                last.live * self.series.unit,
                early_rate * self.series.unit * 60.0,
                last.at - middle.at,
                late_rate * self.series.unit * 60.0,
            )
        })
    }
}

/// The mean of the moments in a stretch of time, or the moment nearest to its middle if there is none.
pub(super) fn mean(moments: &[Moment], from: f64, to: f64) -> Moment {
    let first = moments.partition_point(|moment| moment.at < from - 1e-6);
    let end = moments.partition_point(|moment| moment.at <= to + 1e-6);
    let within = &moments[first..end.max(first)];
    if within.is_empty() {
        let middle = f64::midpoint(from, to);
        let distance = |moment: &&Moment| (moment.at - middle).abs();
        return moments.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied().unwrap_or_default();
    }
    let share = 1.0 / within.len() as f64;
    let of = |field: fn(&Moment) -> f64| within.iter().map(field).sum::<f64>() * share;
    Moment {
        at: of(|moment| moment.at),
        live: of(|moment| moment.live),
        taken: of(|moment| moment.taken),
        bytes: of(|moment| moment.bytes),
        count_variance: of(|moment| moment.count_variance),
        bytes_variance: of(|moment| moment.bytes_variance),
        load: of(|moment| moment.load),
    }
}
