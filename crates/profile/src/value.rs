//! The four numbers of a stack, and their names.
//!
//! All are estimates of everything that was allocated, sampled or not. Used by every other file here, and by callers that
//! let a user choose one.

use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use serde::Serialize;

/// The four numbers of a stack, as estimates.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Values {
    /// Objects that are live.
    pub live_count: f64,
    /// Requested bytes of the live objects.
    pub live_bytes: f64,
    /// Objects that were ever allocated.
    pub total_count: f64,
    /// Requested bytes of all objects that were ever allocated.
    pub total_bytes: f64,
}

impl Values {
    /// One of the numbers. A number that is negative, infinite or undefined counts as 0.
    pub fn of(&self, value: Value) -> f64 {
        let number = match value {
            Value::LiveBytes => self.live_bytes,
            Value::LiveCount => self.live_count,
            Value::TotalBytes => self.total_bytes,
            Value::TotalCount => self.total_count,
        };
        if number.is_finite() { number.max(0.0) } else { 0.0 }
    }
}

impl AddAssign for Values {
    fn add_assign(&mut self, other: Values) {
        self.live_count += other.of(Value::LiveCount);
        self.live_bytes += other.of(Value::LiveBytes);
        self.total_count += other.of(Value::TotalCount);
        self.total_bytes += other.of(Value::TotalBytes);
    }
}

/// The choice of one of the numbers, such as for the widths of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// [`Values::live_bytes`].
    #[default]
    LiveBytes,
    /// [`Values::live_count`].
    LiveCount,
    /// [`Values::total_bytes`].
    TotalBytes,
    /// [`Values::total_count`].
    TotalCount,
}

impl Value {
    /// All choices, in the order in which they are listed.
    pub const ALL: [Value; 4] = [Value::LiveBytes, Value::LiveCount, Value::TotalBytes, Value::TotalCount];

    /// The name by which a user chooses it, such as `live_bytes`.
    pub fn name(self) -> &'static str {
        match self {
            Value::LiveBytes => "live_bytes",
            Value::LiveCount => "live_count",
            Value::TotalBytes => "total_bytes",
            Value::TotalCount => "total_count",
        }
    }

    /// The thing that is counted, in words, such as "live bytes".
    pub fn words(self) -> &'static str {
        match self {
            Value::LiveBytes => "live bytes",
            Value::LiveCount => "live allocations",
            Value::TotalBytes => "bytes allocated since the start",
            Value::TotalCount => "allocations since the start",
        }
    }

    /// The unit: bytes or allocations.
    pub fn unit(self) -> &'static str {
        if self.is_bytes() { "bytes" } else { "allocations" }
    }

    /// It counts bytes, not allocations.
    pub fn is_bytes(self) -> bool {
        matches!(self, Value::LiveBytes | Value::TotalBytes)
    }

    /// The value of the same allocations, in bytes and in number.
    pub(crate) fn pair(self) -> (Value, Value) {
        match self {
            Value::LiveBytes | Value::LiveCount => (Value::LiveBytes, Value::LiveCount),
            Value::TotalBytes | Value::TotalCount => (Value::TotalBytes, Value::TotalCount),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a name that is none of the four; it holds that name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownValue(pub String);

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Value::ALL.map(Value::name).join(", ");
        write!(f, "unknown value '{}', expected one of {names}", self.0)
    }
}

impl std::error::Error for UnknownValue {}

impl FromStr for Value {
    type Err = UnknownValue;

    fn from_str(name: &str) -> Result<Value, UnknownValue> {
        Value::ALL.into_iter().find(|value| value.name() == name).ok_or_else(|| UnknownValue(name.to_owned()))
    }
}
