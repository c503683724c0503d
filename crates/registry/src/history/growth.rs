//! The difference of one callsite between two moments, each a snapshot or the present.
//!
//! A sample that is live at both moments says nothing about the difference; its error comes from those that came and went.
//! Called for the table function `growth`.

use super::{History, Point, ProcessKey, Snapshot};
use crate::{Callsite, Counters, Source};

/// The growth of one callsite between two moments. It is negative if there was less at the later one.
#[derive(Clone, Debug)]
pub struct CallsiteGrowth {
    /// The callsite, with its present counters.
    pub callsite: Callsite,
    from: Option<Point>,
    to: Point,
}

impl History {
    /// The growth of a process's callsites between a snapshot and a later one, or the present. Callsites of which nothing
    /// was live at either moment are left out.
    pub fn growth(
        &self,
        source: &Source,
        callsites: impl IntoIterator<Item = Callsite>,
        from: &Snapshot,
        to: Option<&Snapshot>,
    ) -> Vec<CallsiteGrowth> {
        let process = ProcessKey::of(source);
        let before = self.as_of(process, from);
        let after = to.map(|snapshot| self.as_of(process, snapshot));
        let growth = |callsite: Callsite| {
            let to = match &after {
                None => Point::of(u32::MAX, &callsite.counters),
                Some(after) => {
                    after.get(&callsite.callsite_id).copied().unwrap_or(Point::of(u32::MAX, &Counters::default()))
                }
            };
            let from = before.get(&callsite.callsite_id).copied();
            let was_live = from.is_some_and(|from| from.live_count > 0);
            (to.live_count > 0 || was_live).then_some(CallsiteGrowth { callsite, from, to })
        };
        callsites.into_iter().filter_map(growth).collect()
    }
}

impl CallsiteGrowth {
    /// Estimate of the objects that were live at the first moment.
    pub fn est_count_from(&self) -> f64 {
        self.from.map_or(0.0, |from| from.est_count.into())
    }

    /// Estimate of the objects that were live at the second moment.
    pub fn est_count_to(&self) -> f64 {
        self.to.est_count.into()
    }

    /// Estimate of the requested bytes that were live at the first moment.
    pub fn est_bytes_from(&self) -> f64 {
        self.from.map_or(0.0, |from| from.est_bytes)
    }

    /// Estimate of the requested bytes that were live at the second moment.
    pub fn est_bytes_to(&self) -> f64 {
        self.to.est_bytes
    }

    /// Standard error of the difference of the counts.
    pub fn count_error(&self) -> f64 {
        self.error(|point| point.count_variance)
    }

    /// Standard error of the difference of the bytes.
    pub fn bytes_error(&self) -> f64 {
        self.error(|point| point.bytes_variance)
    }

    /// The samples that differ are those that came and those that went. Of what is live at one moment no more can differ
    /// than was sampled, or freed, between the two.
    fn error(&self, variance: impl Fn(&Point) -> f32) -> f64 {
        let part = |point: &Point, changed: u32| {
            f64::from(variance(point)) * f64::from(changed.min(point.live_count)) / f64::from(point.live_count.max(1))
        };
        let Some(from) = &self.from else {
            return f64::from(variance(&self.to)).sqrt();
        };
        let came = self.to.total_count.saturating_sub(from.total_count);
        let freed = |point: &Point| point.total_count.saturating_sub(point.live_count);
        let went = freed(&self.to).saturating_sub(freed(from));
        (part(&self.to, came) + part(from, went)).sqrt()
    }
}
