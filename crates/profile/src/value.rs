//! The four numbers of a stack, and their names.
//!
//! All are estimates of everything that was allocated, sampled or not. Used by every other file here, and by callers that
//! let a user choose one.

use std::fmt;
use std::ops::AddAssign;
use std::str::FromStr;

use serde::Serialize;

#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Values {
    pub live_count: f64,
    pub live_bytes: f64,
    pub total_count: f64,
    pub total_bytes: f64,
}

impl Values {
    /// Never negative, infinite or undefined: such a number counts as nothing.
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

/// Which of the numbers a picture's widths are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    #[default]
    LiveBytes,
    LiveCount,
    TotalBytes,
    TotalCount,
}

impl Value {
    pub const ALL: [Value; 4] = [Value::LiveBytes, Value::LiveCount, Value::TotalBytes, Value::TotalCount];

    pub fn name(self) -> &'static str {
        match self {
            Value::LiveBytes => "live_bytes",
            Value::LiveCount => "live_count",
            Value::TotalBytes => "total_bytes",
            Value::TotalCount => "total_count",
        }
    }

    /// What is counted: "live bytes".
    pub fn words(self) -> &'static str {
        match self {
            Value::LiveBytes => "live bytes",
            Value::LiveCount => "live allocations",
            Value::TotalBytes => "bytes allocated since the start",
            Value::TotalCount => "allocations since the start",
        }
    }

    pub fn unit(self) -> &'static str {
        if self.is_bytes() { "bytes" } else { "allocations" }
    }

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

/// A name that is none of the four.
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
