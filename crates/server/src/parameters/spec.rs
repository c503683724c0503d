//! The static facts of the system parameters: names, ranges, defaults, and whether a text can be a value. What is stored
//! is `stored`'s to know, and what is in force is `parameters`'.

use std::ops::RangeInclusive;

use heapql_ledger::{Intervals, MAX_DEPTH, MIN_DEPTH};
use heapql_symbols::Rules;

use crate::failure::{Failure, FailureKind};

/// The one zone that all servers are in.
pub const ZONE: &str = "zone1";

/// Static facts of a parameter.
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

/// Rules that say whose code a frame is.
pub const APP_FRAME_RULES: &str = "_app_frame_rules";
/// The milliseconds for which a statement waits for other servers.
pub const CLUSTER_TIMEOUT: &str = "_cluster_timeout";
/// The seconds between two snapshots.
pub const HISTORY_INTERVAL: &str = "_history_snapshot_interval";
/// The hours for which snapshots are kept.
pub const HISTORY_HOURS: &str = "_history_keep_hours";
/// The memory of snapshots, in MiB.
pub const HISTORY_MEMORY: &str = "_history_memory_limit";
/// The most frames that are kept of a stack.
pub const DEPTH: &str = "_malloc_sample_depth";
/// The least allocations between two samples.
pub const MIN: &str = "_min_malloc_sample_interval";
/// The most allocations between two samples.
pub const MAX: &str = "_max_malloc_sample_interval";

const INTERVAL: RangeInclusive<u32> = Intervals::LEAST..=Intervals::MOST;

static SPECS: [Spec; 8] = [
    Spec {
        name: APP_FRAME_RULES,
        kind: ParameterKind::Text(check_rules),
        default_value: "",
        info: "rules before the built-in ones that say whose code a frame is, such as app:/opt/vendor/*; library:boost::*",
    },
    Spec {
        name: CLUSTER_TIMEOUT,
        kind: ParameterKind::Int(100..=600_000),
        default_value: "3000",
        info: "the milliseconds for which a statement waits for other servers. Range: [100, 600000] in integer",
    },
    Spec {
        name: HISTORY_HOURS,
        kind: ParameterKind::Int(1..=8760),
        default_value: "168",
        info: "the hours for which snapshots of all callsites are kept. Range: [1, 8760] in integer",
    },
    Spec {
        name: HISTORY_MEMORY,
        kind: ParameterKind::Int(1..=4096),
        default_value: "64",
        info: "the memory that snapshots may take, in MiB. Range: [1, 4096] in integer",
    },
    Spec {
        name: HISTORY_INTERVAL,
        kind: ParameterKind::Int(1..=3600),
        default_value: "10",
        info: "the seconds between two snapshots of all callsites. Range: [1, 3600] in integer",
    },
    Spec {
        name: DEPTH,
        kind: ParameterKind::Int(MIN_DEPTH as u32..=MAX_DEPTH as u32),
        default_value: "32",
        info: "the max frames kept of a sample's stack. Range: [16, 128] in integer",
    },
    Spec {
        name: MAX,
        kind: ParameterKind::Int(INTERVAL),
        default_value: "256",
        info: "the max malloc times between two samples. Range: [1, 10000] in integer",
    },
    Spec {
        name: MIN,
        kind: ParameterKind::Int(INTERVAL),
        default_value: "16",
        info: "the min malloc times between two samples. Range: [1, 10000] in integer",
    },
];

/// One parameter of an ALTER SYSTEM SET that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The parameter's name.
    pub name: String,
    /// The value as text; numbers are decimal.
    pub value: String,
}

/// All parameters, by name.
pub fn all() -> &'static [Spec] {
    &SPECS
}

/// A name that exists, in any case.
pub fn known(name: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| spec.name.eq_ignore_ascii_case(name))
}

/// Whether a text may be the value of [`APP_FRAME_RULES`].
fn check_rules(text: &str) -> Result<(), String> {
    Rules::parse(text).map(drop).map_err(|error| error.to_string())
}

/// The value as it is stored, if it can be one.
pub fn checked(spec: &Spec, text: &str) -> Result<String, Failure> {
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

    fn interval() -> &'static Spec {
        known(MIN).expect("a parameter")
    }

    #[test]
    fn values() {
        for (text, number) in [("1", 1), ("10000", 10_000), ("0x10", 16), ("0X2710", 10_000), ("0016", 16)] {
            assert_eq!(checked(interval(), text), Ok(number.to_string()), "{text}");
        }
        for text in ["", "0", "10001", "16.5", "1e3", "abc", "-1", "0x", "0x2711", " 16", "1_0", "99999999999999999999"]
        {
            let failure = checked(interval(), text).expect_err(text);
            assert_eq!(failure.kind, FailureKind::InvalidParameter);
            assert!(failure.message.starts_with("Invalid config"), "{failure}");
            assert!(failure.message.contains("[1, 10000]") && failure.message.contains(text), "{failure}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_judged_by_the_range(number: i64) {
            let accepted = (1..=10_000).contains(&number);
            prop_assert_eq!(checked(interval(), &number.to_string()).is_ok(), accepted);
        }
    }
}
