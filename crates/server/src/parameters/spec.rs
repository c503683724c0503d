//! The static facts of the system parameters: names, ranges and defaults, and `Setting`, a parameter with a value that was checked.
//! `stored` knows what is stored, `parameters` what is in force.

use std::fmt;
use std::ops::RangeInclusive;

use heapql_ledger::{Intervals, MAX_DEPTH, MIN_DEPTH};
use heapql_symbols::Rules;

use crate::failure::{Failure, FailureKind};

/// The one zone that all servers are in.
pub const ZONE: &str = "zone1";

/// Static facts of a parameter. It is printed as its name.
#[derive(Debug)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: ParameterKind,
    /// The value until it is set.
    pub default_value: &'static str,
    /// Its meaning and its range.
    pub info: &'static str,
}

/// The type of a parameter's values.
#[derive(Debug)]
pub enum ParameterKind {
    /// An integer in a range.
    Int(RangeInclusive<u32>),
    /// And what is wrong with a text.
    Text(fn(&str) -> Result<(), String>),
}

const INTERVAL: RangeInclusive<u32> = Intervals::LEAST..=Intervals::MOST;

/// Rules that say whose code a frame is.
pub static APP_FRAME_RULES: Spec = Spec {
    name: "_app_frame_rules",
    kind: ParameterKind::Text(check_rules),
    default_value: "",
    info: "rules before the built-in ones that say whose code a frame is, such as app:/opt/vendor/*; library:boost::*",
};

/// The milliseconds for which a statement waits for other servers.
pub static CLUSTER_TIMEOUT: Spec = Spec {
    name: "_cluster_timeout",
    kind: ParameterKind::Int(100..=600_000),
    default_value: "3000",
    info: "the milliseconds for which a statement waits for other servers. Range: [100, 600000] in integer",
};

/// The hours for which snapshots are kept.
pub static HISTORY_HOURS: Spec = Spec {
    name: "_history_keep_hours",
    kind: ParameterKind::Int(1..=8760),
    default_value: "168",
    info: "the hours for which snapshots of all callsites are kept. Range: [1, 8760] in integer",
};

/// The memory of snapshots, in MiB.
pub static HISTORY_MEMORY: Spec = Spec {
    name: "_history_memory_limit",
    kind: ParameterKind::Int(1..=4096),
    default_value: "64",
    info: "the memory that snapshots may take, in MiB. Range: [1, 4096] in integer",
};

/// The seconds between two snapshots.
pub static HISTORY_INTERVAL: Spec = Spec {
    name: "_history_snapshot_interval",
    kind: ParameterKind::Int(1..=3600),
    default_value: "10",
    info: "the seconds between two snapshots of all callsites. Range: [1, 3600] in integer",
};

/// The maximum number of frames that are kept of a stack.
pub static DEPTH: Spec = Spec {
    name: "_malloc_sample_depth",
    kind: ParameterKind::Int(MIN_DEPTH as u32..=MAX_DEPTH as u32),
    default_value: "32",
    info: "the max frames kept of a sample's stack. Range: [16, 128] in integer",
};

/// The maximum number of allocations between two samples.
pub static MAX: Spec = Spec {
    name: "_max_malloc_sample_interval",
    kind: ParameterKind::Int(INTERVAL),
    default_value: "256",
    info: "the max malloc times between two samples. Range: [1, 10000] in integer",
};

/// The minimum number of allocations between two samples.
pub static MIN: Spec = Spec {
    name: "_min_malloc_sample_interval",
    kind: ParameterKind::Int(INTERVAL),
    default_value: "16",
    info: "the min malloc times between two samples. Range: [1, 10000] in integer",
};

static SPECS: [&Spec; 8] =
    [&APP_FRAME_RULES, &CLUSTER_TIMEOUT, &HISTORY_HOURS, &HISTORY_MEMORY, &HISTORY_INTERVAL, &DEPTH, &MAX, &MIN];

/// All parameters, by name.
pub fn all() -> &'static [&'static Spec] {
    &SPECS
}

/// A name that exists, in any case.
pub fn known(name: &str) -> Option<&'static Spec> {
    SPECS.into_iter().find(|spec| spec.name.eq_ignore_ascii_case(name))
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A parameter with a value that it can have: the one form of a setting in a statement, on the disk, in force, and on its way to
/// other servers.
#[derive(Clone, Debug)]
pub struct Setting {
    spec: &'static Spec,
    value: String,
}

impl Setting {
    /// Checks a value as a client, a file or another server gives it. Numbers are decimal or hexadecimal, and kept as decimal.
    pub fn new(spec: &'static Spec, text: &str) -> Result<Setting, Failure> {
        checked(spec, text).map(|value| Setting { spec, value })
    }

    /// The parameter.
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// The value as text.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl PartialEq for Setting {
    fn eq(&self, other: &Setting) -> bool {
        (self.spec.name, &self.value) == (other.spec.name, &other.value)
    }
}

impl Eq for Setting {}

/// Whether a text may be the value of [`APP_FRAME_RULES`].
fn check_rules(text: &str) -> Result<(), String> {
    Rules::parse(text).map(drop).map_err(|error| error.to_string())
}

/// The value as it is stored, if it can be one.
fn checked(spec: &Spec, text: &str) -> Result<String, Failure> {
    match &spec.kind {
        ParameterKind::Int(range) => integer(spec, range, text).map(|number| number.to_string()),
        ParameterKind::Text(check) => match check(text) {
            Ok(()) => Ok(text.to_owned()),
            Err(why) => Err(Failure::new(
                FailureKind::InvalidParameter,
                format!("Invalid config: {} = '{text}': {why}", spec.name),
            )
            .hint(spec.info)),
        },
    }
}

/// Decimal or `0x` hex, nothing else.
fn integer(spec: &Spec, range: &RangeInclusive<u32>, text: &str) -> Result<u32, Failure> {
    let (name, least, most) = (spec.name, range.start(), range.end());
    let refuse = |why: &str| {
        Failure::new(
            FailureKind::InvalidParameter,
            format!("Invalid config: {name} = '{text}' {why} [{least}, {most}]"),
        )
        .hint(format!("for example: ALTER SYSTEM SET {name} = {}", spec.default_value))
    };
    let not_integer = || refuse("is not an integer in");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(not_integer());
    }
    // Digits only, so that the one way to fail is a number that is too large.
    let number = i64::from_str_radix(digits, radix).map_or(i64::MAX, |number| sign * number);
    match u32::try_from(number) {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(refuse("is out of the range")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_found_by_name() {
        for spec in all() {
            let found = known(&spec.name.to_uppercase()).expect("its name is known");
            assert!(std::ptr::eq(*spec, found), "{spec}");
            assert!(Setting::new(spec, spec.default_value).is_ok(), "{spec}");
        }
        assert!(known("_malloc_sample").is_none());
    }

    #[test]
    fn values() {
        for (text, number) in [("1", 1), ("10000", 10_000), ("0x10", 16), ("0X2710", 10_000), ("0016", 16)] {
            assert_eq!(checked(&MIN, text), Ok(number.to_string()), "{text}");
        }
        for text in ["", "0", "10001", "16.5", "1e3", "abc", "-1", "0x", "0x2711", " 16", "1_0", "99999999999999999999"]
        {
            let failure = checked(&MIN, text).expect_err(text);
            assert_eq!(failure.kind, FailureKind::InvalidParameter);
            assert!(failure.message.starts_with("Invalid config"), "{failure}");
            assert!(failure.message.contains("[1, 10000]") && failure.message.contains(text), "{failure}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_judged_by_the_range(number: i64) {
            let accepted = (1..=10_000).contains(&number);
            prop_assert_eq!(checked(&MIN, &number.to_string()).is_ok(), accepted);
        }
    }
}
