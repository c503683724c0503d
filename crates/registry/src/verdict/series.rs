//! A callsite's points as evenly treated numbers: every snapshot of the process has a row, in units of one sample.
//!
//! It judges nothing. Used by `verdict` and `window`.

use super::{Point, ProcessPoint, Rate};

/// A process whose first snapshot is this young had nothing live when its recording began.
const FROM_THE_START: f64 = 30.0;

/// What is known of one snapshot, or the mean of several. Objects are counted in samples: estimates divided by `unit`, so
/// that the variance of a number of arrivals is that number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    pub(super) at: f64,
    pub(super) live: f64,
    /// Ever taken.
    pub(super) taken: f64,
    pub(super) bytes: f64,
    pub(super) count_variance: f64,
    pub(super) bytes_variance: f64,
    /// What the whole process ever allocated.
    pub(super) load: f64,
}

impl Row {
    pub(super) fn freed(&self) -> f64 {
        (self.taken - self.live).max(0.0)
    }
}

pub(super) struct Series {
    rows: Vec<Row>,
    /// Allocations per sample.
    pub(super) unit: f64,
}

impl Series {
    pub(super) fn new(points: &[Point], process: &[ProcessPoint]) -> Series {
        let unit = unit(points);
        let mut rows = Vec::with_capacity(points.len().max(process.len()) + 1);
        let mut rest = points.iter().peekable();
        let mut now = Row::default();
        let first = process.iter().map(|process| process.at).chain(points.first().map(|point| point.at)).next();
        if first.is_some_and(|at| at > 0.0 && at <= FROM_THE_START) {
            rows.push(Row::default());
        }
        for process in process {
            while let Some(point) = rest.next_if(|point| point.at <= process.at) {
                now = Series::row(point, unit);
            }
            rows.push(Row { at: process.at, load: sane(process.total_count), ..now });
        }
        rows.extend(rest.map(|point| Series::row(point, unit)));
        Series { rows, unit }
    }

    fn row(point: &Point, unit: f64) -> Row {
        Row {
            at: point.at,
            live: sane(point.live_count) / unit,
            taken: sane(point.total_count) / unit,
            bytes: sane(point.live_bytes),
            count_variance: sane(point.live_count_variance),
            bytes_variance: sane(point.live_bytes_variance),
            load: 0.0,
        }
    }

    pub(super) fn duration(&self) -> Option<f64> {
        Some(self.rows.last()?.at - self.rows.first()?.at)
    }

    /// The last moment at which nothing had been sampled, or the first there is.
    pub(super) fn born(&self) -> f64 {
        let first = self.rows.partition_point(|row| row.taken <= 0.0);
        self.rows.get(first.saturating_sub(1)).map_or(0.0, |row| row.at)
    }

    /// For how long there is something to look at.
    pub(super) fn age(&self) -> f64 {
        self.last().at - self.born()
    }

    pub(super) fn last(&self) -> Row {
        self.rows.last().copied().unwrap_or_default()
    }

    /// The rows of the last `seconds` or a little more.
    pub(super) fn since(&self, seconds: f64) -> &[Row] {
        let from = self.last().at - seconds;
        let first = self.rows.partition_point(|row| row.at <= from + 1e-6).saturating_sub(1);
        &self.rows[first..]
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
    pub(super) fn rates(&self, first: &Row, last: &Row) -> (Rate, Rate) {
        let minutes = (last.at - first.at) / 60.0;
        if minutes <= 0.0 {
            return Default::default();
        }
        let shared = (first.live - (last.freed() - first.freed()).max(0.0)).clamp(0.0, first.live.min(last.live));
        let changed = |row: &Row| if row.live > 0.0 { 1.0 - shared / row.live } else { 0.0 };
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

/// How many samples a weight is the mean of.
const SAMPLES_OF_A_WEIGHT: u64 = 16;

/// One weight for all samples. Intervals may have changed: it is the largest that some of them had, so that errors are
/// rather over- than underestimated.
fn unit(points: &[Point]) -> f64 {
    let (mut unit, mut since) = (0.0f64, Point::default());
    for point in points {
        let samples = point.samples_total.saturating_sub(since.samples_total);
        if samples >= SAMPLES_OF_A_WEIGHT {
            unit = unit.max((sane(point.total_count) - sane(since.total_count)) / samples as f64);
            since = *point;
        }
    }
    if unit == 0.0 {
        unit = points.last().map_or(0.0, |point| sane(point.total_count) / point.samples_total.max(1) as f64);
    }
    unit.max(1.0)
}

/// All of the history at once.
pub(super) struct Whole<'a> {
    series: &'a Series,
}

impl Whole<'_> {
    fn level(&self, from: f64, to: f64) -> Row {
        let (rows, start, seconds) = (self.seen(), self.series.rows[0].at, self.series.duration().unwrap_or(0.0));
        mean(rows, start + from * seconds, start + to * seconds)
    }

    /// Without the beginning, at which nobody looked: what was there at the first look did not rise.
    fn seen(&self) -> &[Row] {
        let rows = &self.series.rows;
        if rows[0].at == 0.0 { &rows[1..] } else { rows }
    }

    /// The least that lived since then.
    fn floor(&self, from: f64) -> f64 {
        let (start, seconds) = (self.series.rows[0].at, self.series.duration().unwrap_or(0.0));
        let since = self.seen().iter().filter(|row| row.at >= start + from * seconds);
        since.map(|row| row.live).fold(f64::INFINITY, f64::min)
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

/// The mean of the rows in a stretch of time, or the row nearest to its middle if there is none.
pub(super) fn mean(rows: &[Row], from: f64, to: f64) -> Row {
    let first = rows.partition_point(|row| row.at < from - 1e-6);
    let end = rows.partition_point(|row| row.at <= to + 1e-6);
    let within = &rows[first..end.max(first)];
    if within.is_empty() {
        let middle = f64::midpoint(from, to);
        let distance = |row: &&Row| (row.at - middle).abs();
        return rows.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied().unwrap_or_default();
    }
    let share = 1.0 / within.len() as f64;
    let of = |field: fn(&Row) -> f64| within.iter().map(field).sum::<f64>() * share;
    Row {
        at: of(|row| row.at),
        live: of(|row| row.live),
        taken: of(|row| row.taken),
        bytes: of(|row| row.bytes),
        count_variance: of(|row| row.count_variance),
        bytes_variance: of(|row| row.bytes_variance),
        load: of(|row| row.load),
    }
}
