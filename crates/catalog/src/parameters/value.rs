//! What a parameter's values may be. Called by `parameters` for statements and by `parameter_file` for its file.

use std::ops::RangeInclusive;

use super::{Kind, Spec};
use crate::failure::{Failure, FailureKind};

/// The value as it is stored, if it can be one.
pub(crate) fn checked(spec: &Spec, text: &str) -> Result<String, Failure> {
    match &spec.kind {
        Kind::Int(range) => integer(spec, range, text).map(|number| number.to_string()),
        Kind::Text(check) => match check(text) {
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
    use crate::parameters;

    fn interval() -> &'static Spec {
        parameters::known(parameters::MIN).expect("a parameter")
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
