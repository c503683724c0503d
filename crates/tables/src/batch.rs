//! Rows to record batches: a chunk at a time, and only the projected columns.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray,
    StringViewBuilder, TimestampMicrosecondArray,
};

use crate::{Batches, Column, Order, Request, schema_of};

const BATCH_ROWS: usize = 8192;

/// Makes the batches of `rows`; `cells` gives one column's values for a chunk, by the column's name.
pub(crate) fn batches<R: Send + 'static>(
    columns: &'static [Column],
    request: &Request,
    rows: Vec<R>,
    cells: impl Fn(&'static str, &[R]) -> ArrayRef + Send + 'static,
) -> Batches {
    let chosen: Vec<Column> = request.columns.iter().map(|&index| columns[index]).collect();
    let schema = schema_of(&chosen);
    let mut start = 0;
    Box::new(std::iter::from_fn(move || {
        let chunk = rows.get(start..rows.len().min(start + BATCH_ROWS)).filter(|chunk| !chunk.is_empty())?;
        start += chunk.len();
        let arrays = chosen.iter().map(|column| cells(column.name, chunk)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.len()));
        Some(RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options).map_err(Into::into))
    }))
}

/// Puts rows into the wanted order and drops those beyond the limit; sorts no more than it must.
pub(crate) fn arrange<R>(rows: &mut Vec<R>, request: &Request, number: impl Fn(&R, &str) -> i64) {
    let Some(Order { column, descending }) = &request.order else {
        return;
    };
    let key = |row: &R| {
        let number = i128::from(number(row, column));
        if *descending { -number } else { number }
    };
    let limit = request.limit.unwrap_or(usize::MAX);
    if limit < rows.len() {
        rows.select_nth_unstable_by_key(limit, key);
        rows.truncate(limit);
    }
    rows.sort_unstable_by_key(key);
}

pub(crate) fn texts<'a, R>(rows: &'a [R], text: impl Fn(&'a R) -> &'a str) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringViewArray>())
}

pub(crate) fn texts_or_null<'a, R>(rows: &'a [R], text: impl Fn(&'a R) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(text).collect::<StringViewArray>())
}

/// Texts that are written into one reused buffer instead of being stored with the row.
pub(crate) fn written<R>(rows: &[R], write: impl Fn(&R, &mut String)) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(rows.len());
    let mut buffer = String::new();
    for row in rows {
        buffer.clear();
        write(row, &mut buffer);
        builder.append_value(&buffer);
    }
    Arc::new(builder.finish())
}

pub(crate) fn ints<R>(rows: &[R], int: impl Fn(&R) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(rows.iter().map(int)))
}

pub(crate) fn ints_or_null<R>(rows: &[R], int: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(int).collect::<Int64Array>())
}

pub(crate) fn bools<R>(rows: &[R], bool: impl Fn(&R) -> bool) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(bool(row))).collect::<BooleanArray>())
}

pub(crate) fn floats<R>(rows: &[R], float: impl Fn(&R) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(rows.iter().map(float)))
}

/// As timestamp columns hold them.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn times<R>(rows: &[R], time: impl Fn(&R) -> SystemTime) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| micros(time(row)))))
}

pub(crate) fn same_text(rows: usize, text: &str) -> ArrayRef {
    Arc::new(std::iter::repeat_n(Some(text), rows).collect::<StringViewArray>())
}

pub(crate) fn same_int(rows: usize, int: i64) -> ArrayRef {
    Arc::new(Int64Array::from_value(int, rows))
}

pub(crate) fn same_time(rows: usize, time: SystemTime) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_value(micros(time), rows))
}
