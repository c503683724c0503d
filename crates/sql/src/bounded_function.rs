//! Functions that make much out of little (`repeat`, `lpad`, `range` ..) with a ceiling on what one call makes. The engine asks its
//! memory pool for none of it, and constant folding runs these while a statement is planned. What they compute is the engine's own.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use heapql_server::{Failure, FailureKind};

/// Maximum size of what one call makes for one batch of rows.
const MAX_BYTES: u64 = 64 << 20;
/// Size of a number of a series.
const NUMBER_BYTES: u64 = 8;
const DAY_NANOS: i64 = 86_400_000_000_000;

/// The arguments that decide about the size of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// The first argument as often as the second says.
    Copies,
    /// As many characters as the second argument says.
    Characters,
    /// The numbers from the first argument to the second, by steps of the third.
    Series,
}

const FUNCTIONS: [(&str, Growth); 7] = [
    ("repeat", Growth::Copies),
    ("array_repeat", Growth::Copies),
    ("array_resize", Growth::Copies),
    ("lpad", Growth::Characters),
    ("rpad", Growth::Characters),
    ("range", Growth::Series),
    ("generate_series", Growth::Series),
];

/// Puts the ceiling on the functions of an engine.
pub(crate) fn equip(state: &mut SessionState) -> Result<()> {
    for (name, growth) in FUNCTIONS {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(BoundedFunction { inner, growth })))?;
    }
    Ok(())
}

/// A function of the engine that refuses to make too much.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundedFunction {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for BoundedFunction {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.growth.bytes(&ColumnarValue::values_to_arrays(&args.args)?)?;
        if bytes > MAX_BYTES {
            let name = self.name();
            let message = format!("{name}() would make {bytes} bytes at once; at most {MAX_BYTES} are made");
            return Err(Failure::new(FailureKind::OutOfMemory, message).into());
        }
        self.inner.invoke_with_args(args)
    }
}

impl Growth {
    /// The size of the result. Arguments that the function itself refuses count nothing.
    fn bytes(self, args: &[ArrayRef]) -> Result<u64> {
        let rows = args.first().map_or(0, |array| array.len());
        let sizes: Box<dyn Fn(usize) -> u64> = match (self, args) {
            (Growth::Copies, [what, count, ..]) => {
                let (sizes, count) = (element_sizes(what)?, numbers(count)?);
                Box::new(move |row| sizes(row).saturating_mul(times(&count, row)))
            }
            (Growth::Characters, [_, count, ..]) => {
                let count = numbers(count)?;
                Box::new(move |row| times(&count, row))
            }
            (Growth::Series, [first, rest @ ..]) => {
                let length = series_lengths(first, rest)?;
                Box::new(move |row| length(row).saturating_mul(NUMBER_BYTES))
            }
            _ => return Ok(0),
        };
        Ok((0..rows).map(sizes).fold(0, u64::saturating_add))
    }
}

fn times(count: &Int64Array, row: usize) -> u64 {
    if count.is_null(row) { 0 } else { u64::try_from(count.value(row)).unwrap_or_default() }
}

/// Integers, days, or nanoseconds, as numbers.
fn numbers(array: &ArrayRef) -> Result<Int64Array> {
    let array = match array.data_type() {
        DataType::Date32 => cast(array, &DataType::Int32)?,
        DataType::Timestamp(_, _) => cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, None))?,
        _ => Arc::clone(array),
    };
    Ok(cast(&array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// The size of each row: the length of a text, an equal share of anything else.
fn element_sizes(array: &ArrayRef) -> Result<Box<dyn Fn(usize) -> u64>> {
    if matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        let texts = cast(array, &DataType::LargeUtf8)?.as_string::<i64>().clone();
        return Ok(Box::new(move |row| texts.value_length(row).unsigned_abs()));
    }
    let share = array.to_data().get_slice_memory_size()?.div_ceil(array.len().max(1)).max(1) as u64;
    Ok(Box::new(move |_| share))
}

/// The number of numbers of each row's series. One argument is the end of a series from 0.
fn series_lengths(first: &ArrayRef, rest: &[ArrayRef]) -> Result<Box<dyn Fn(usize) -> u64>> {
    let (start, stop) = match rest {
        [] => (None, numbers(first)?),
        [stop, ..] => (Some(numbers(first)?), numbers(stop)?),
    };
    let step = rest.get(1).map(|step| steps(step, first.data_type())).transpose()?;
    Ok(Box::new(move |row| {
        let value = |array: &Int64Array| if array.is_null(row) { 0 } else { array.value(row) };
        let step = step.as_ref().map_or(1, value).unsigned_abs().max(1);
        value(&stop).abs_diff(start.as_ref().map_or(0, value)) / step + 1
    }))
}

/// The steps of a series of integers, days or nanoseconds.
fn steps(step: &ArrayRef, of: &DataType) -> Result<Int64Array> {
    if *step.data_type() != DataType::Interval(IntervalUnit::MonthDayNano) {
        return numbers(step);
    }
    let unit = if *of == DataType::Date32 { DAY_NANOS } else { 1 };
    let intervals = step
        .as_primitive_opt::<IntervalMonthDayNanoType>()
        .ok_or_else(|| exec_datafusion_err!("the step of a series is not an interval"))?;
    let nanos = |step: datafusion::arrow::datatypes::IntervalMonthDayNano| {
        // The shortest month, so that the series is not longer than it is said to be.
        let days = i64::from(step.months) * 28 + i64::from(step.days);
        days.saturating_mul(DAY_NANOS).saturating_add(step.nanoseconds) / unit
    };
    Ok(intervals.iter().map(|step| step.map(nanos)).collect())
}
