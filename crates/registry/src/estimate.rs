//! What samples say of everything that was allocated.
//!
//! A sample that stands for `w` allocations was taken with probability `1 / w`. The sum of these weights is right on average
//! (Horvitz and Thompson, 1952), and for samples taken independently the sum of `w (w - 1)` is its variance. Gaps between
//! samples are more even than chance, so the true error of a callsite that makes up most of its thread's allocations is
//! smaller. It knows neither tables nor time. Used by `source`; added up over callsites, labels and processes by `catalog`.

use std::iter::Sum;
use std::ops::AddAssign;

use heapql_ledger::CallsiteRecord;

#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Estimate {
    pub value: f64,
    variance: f64,
}

impl Estimate {
    pub(crate) fn of_count(record: &CallsiteRecord) -> Estimate {
        Estimate::of(record.weight, record.live_count as f64, record.live_count as f64)
    }

    pub(crate) fn of_bytes(record: &CallsiteRecord) -> Estimate {
        Estimate::of(record.weight, record.live_bytes as f64, record.live_squares)
    }

    /// Of samples of one weight: the sums of what is estimated and of its squares.
    fn of(weight: f64, sum: f64, squares: f64) -> Estimate {
        // An allocation so large that it is nearly certain may be counted a little less than once.
        Estimate { value: weight * sum, variance: (weight * (weight - 1.0) * squares).max(0.0) }
    }

    /// One standard error: two thirds of such estimates are off by less.
    pub fn error(&self) -> f64 {
        self.variance.sqrt()
    }
}

impl AddAssign for Estimate {
    fn add_assign(&mut self, other: Estimate) {
        self.value += other.value;
        self.variance += other.variance;
    }
}

impl Sum for Estimate {
    fn sum<I: Iterator<Item = Estimate>>(estimates: I) -> Estimate {
        estimates.fold(Estimate::default(), |mut sum, estimate| {
            sum += estimate;
            sum
        })
    }
}
