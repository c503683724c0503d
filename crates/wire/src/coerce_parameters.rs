//! Coerces the values of parameters to the types that a prepared statement expects. Each protocol reads the values itself.

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use heapql_server::{Failure, FailureKind};
use heapql_sql::Prepared;

/// Coerces all values of an execution. The caller has checked their number.
pub(crate) fn coerce_parameters(values: Vec<ScalarValue>, prepared: &Prepared) -> Result<Vec<ScalarValue>, Failure> {
    values
        .into_iter()
        .zip(&prepared.parameters)
        .enumerate()
        .map(|(index, (value, wanted))| coerce(index, value, wanted))
        .collect()
}

/// Coerces one value. A fraction stays a fraction where an integer is expected: the engine compares it correctly, and a cast would
/// truncate it.
fn coerce(index: usize, value: ScalarValue, wanted: &DataType) -> Result<ScalarValue, Failure> {
    let is = value.data_type();
    if *wanted == DataType::Null || is == *wanted || (is.is_floating() && wanted.is_integer() && !is_whole(&value)) {
        return Ok(value);
    }
    value.cast_to(wanted).map_err(|_| {
        Failure::new(FailureKind::Query, format!("parameter {} is '{value}', which is not of type {wanted}", index + 1))
    })
}

fn is_whole(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float64(Some(value)) => value.fract() == 0.0,
        ScalarValue::Float32(Some(value)) => value.fract() == 0.0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_coerced_to_their_parameter() {
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        assert_eq!(coerce(0, text("16"), &DataType::Int64), Ok(ScalarValue::Int64(Some(16))));
        assert_eq!(coerce(0, text("x"), &DataType::Null), Ok(text("x")));
        let half = ScalarValue::Float64(Some(1.5));
        assert_eq!(coerce(0, half.clone(), &DataType::Int64), Ok(half));
        let error = coerce(1, text("x"), &DataType::Int64).expect_err("no integer");
        assert!(error.message.contains("parameter 2 is 'x'"), "{error}");
    }
}
