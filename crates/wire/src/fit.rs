//! A parameter's value as the statement's plan wants it. Reading values off the wire is each protocol's own.

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use heapql_server::{Failure, FailureKind};
use heapql_sql::Prepared;

/// Every value of an execution; their number is the caller's to check.
pub(crate) fn fit_all(values: Vec<ScalarValue>, prepared: &Prepared) -> Result<Vec<ScalarValue>, Failure> {
    values
        .into_iter()
        .zip(&prepared.parameters)
        .enumerate()
        .map(|(index, (value, wanted))| fit(index, value, wanted))
        .collect()
}

/// A value as the statement's plan wants it. A fraction for an integer stays what it is: the engine compares it right,
/// a cast would cut it.
fn fit(index: usize, value: ScalarValue, wanted: &DataType) -> Result<ScalarValue, Failure> {
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
    fn values_fit_their_parameter() {
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        assert_eq!(fit(0, text("16"), &DataType::Int64), Ok(ScalarValue::Int64(Some(16))));
        assert_eq!(fit(0, text("x"), &DataType::Null), Ok(text("x")));
        let half = ScalarValue::Float64(Some(1.5));
        assert_eq!(fit(0, half.clone(), &DataType::Int64), Ok(half));
        let error = fit(1, text("x"), &DataType::Int64).expect_err("no integer");
        assert!(error.message.contains("parameter 2 is 'x'"), "{error}");
    }
}
