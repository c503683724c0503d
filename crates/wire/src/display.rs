//! Text forms of values that a protocol has no type for, and the calendar. It is the fallback of both encodings, so that every value
//! of the engine can be sent; the encodings themselves are in `mysql` and `postgres`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

/// The values of a column as the engine prints them. NULL stays NULL.
pub(crate) fn as_strings(array: &dyn Array) -> Result<StringArray, ArrowError> {
    let options = FormatOptions::default().with_display_error(true).with_null("NULL");
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let mut strings = StringBuilder::with_capacity(array.len(), array.len() * 16);
    for row in 0..array.len() {
        if array.is_null(row) {
            strings.append_null();
        } else {
            strings.append_value(formatter.value(row).to_string());
        }
    }
    Ok(strings.finish())
}

/// The type of a column's values without dictionary or run encoding.
pub(crate) fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        other => other,
    }
}

/// Decodes dictionary and run encoding.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let wanted = plain_type(array.data_type());
    if wanted == array.data_type() {
        return Ok(Arc::clone(array));
    }
    cast(array, wanted)
}

/// Days since 1970-01-01 as (year, month, day), proleptic Gregorian.
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
pub(crate) fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// The inverse of [`civil_from_days`]. Month and day are not checked.
pub(crate) fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Decimal128Array, DictionaryArray};
    use datafusion::arrow::datatypes::Int8Type;

    #[test]
    fn the_calendar_goes_both_ways() {
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(-1), (1969, 12, 31));
        assert_eq!(civil_from_days(20_780), (2026, 11, 23));
        assert_eq!(days_from_civil(2000, 2, 29), 11_016);
        for days in (-1_000_000..1_000_000).step_by(997) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn anything_can_be_text() {
        let decimal =
            Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(10, 2).expect("a decimal");
        let strings = as_strings(&decimal).expect("text");
        assert_eq!(strings.value(0), "-123.45");
        assert!(strings.is_null(1));
        let dictionary: DictionaryArray<Int8Type> = ["a", "b", "a"].into_iter().collect();
        let values = plain(&(Arc::new(dictionary) as ArrayRef)).expect("plain");
        assert_eq!(values.data_type(), &DataType::Utf8);
    }
}
