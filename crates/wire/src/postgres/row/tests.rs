//! Each Arrow type in both formats of the protocol.

use datafusion::arrow::array::*;
use datafusion::arrow::datatypes::{Int32Type, IntervalDayTime};

use super::*;

fn batch(array: impl Array + 'static) -> RecordBatch {
    let field = Field::new("c", array.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(array)]).expect("a batch")
}

/// The one column's values, without row headers.
fn values(array: impl Array + 'static, format: i16) -> Vec<Option<Vec<u8>>> {
    let batch = batch(array);
    let columns = ResultColumns::new(&batch.schema(), &[format]).expect("a columns");
    let mut rows = BatchRows::new(&columns, &batch).expect("rows");
    let mut values = Vec::new();
    let mut out = BytesMut::new();
    while rows.put_next(&columns, &mut out).expect("a row") {
        assert_eq!(i32::from_be_bytes([out[1], out[2], out[3], out[4]]) as usize, out.len() - 1);
        let length = i32::from_be_bytes([out[7], out[8], out[9], out[10]]);
        values.push((length >= 0).then(|| out[11..].to_vec()));
        assert_eq!(length.max(0) as usize, out.len() - 11);
        out.clear();
    }
    values
}

fn text(array: impl Array + 'static) -> Vec<Option<String>> {
    let bytes = values(array, 0).into_iter();
    bytes.map(|value| value.map(|bytes| String::from_utf8(bytes).expect("text"))).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

fn type_of(array: impl Array + 'static) -> Type {
    let batch = batch(array);
    let columns = ResultColumns::new(&batch.schema(), &[]).expect("a columns");
    columns.columns[0].info.datatype().clone()
}

#[test]
fn numbers_and_texts() {
    assert_eq!(text(Int64Array::from(vec![Some(-7), None])), [Some("-7".to_owned()), None]);
    assert_eq!(values(Int64Array::from(vec![258]), 1), [Some(vec![0, 0, 0, 0, 0, 0, 1, 2])]);
    assert_eq!(text(BooleanArray::from(vec![true, false])), some(&["t", "f"]));
    assert_eq!(text(StringViewArray::from(vec!["ä"])), some(&["ä"]));
    assert_eq!(text(UInt64Array::from(vec![u64::MAX])), some(&["18446744073709551615"]));
    assert_eq!(text(Float64Array::from(vec![0.5])), some(&["0.5"]));
    assert_eq!(type_of(UInt64Array::from(vec![1])), Type::NUMERIC);
    let dictionary: DictionaryArray<Int32Type> = ["x"].into_iter().collect();
    assert_eq!(type_of(dictionary.clone()), Type::TEXT);
    assert_eq!(text(dictionary), some(&["x"]));
}

#[test]
fn decimals_are_exact() {
    let digits = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
    let wide = || Decimal128Array::from(vec![Some(digits), None]).with_precision_and_scale(38, 2).expect("a decimal");
    assert_eq!(text(wide()), [Some("999999999999999999999999999999999999.99".to_owned()), None]);
    let binary = values(wide(), 1);
    let read = numeric::read(binary[0].as_ref().expect("a value")).expect("a numeric");
    assert_eq!(read, "999999999999999999999999999999999999.99");
    assert_eq!(type_of(wide()), Type::NUMERIC);
}

#[test]
fn times_and_nulls() {
    let stamps = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]);
    assert_eq!(text(stamps), [Some("1970-01-01 00:00:01.500000".to_owned()), None]);
    assert_eq!(text(Date32Array::from(vec![0])), some(&["1970-01-01"]));
    let intervals = IntervalDayTimeArray::from(vec![None::<IntervalDayTime>]);
    assert_eq!(text(intervals), [None]);
    assert_eq!(text(NullArray::new(1)), [None]);
}

#[test]
fn arrays() {
    let list = || ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    assert_eq!(text(list()), [Some("{1,NULL}".to_owned()), None]);
    assert_eq!(type_of(list()), Type::INT4_ARRAY);
    assert_eq!(values(list(), 1)[1], None);
}

#[test]
fn formats_are_none_one_or_each() {
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]);
    for good in [&[][..], &[1], &[0, 1]] {
        assert!(ResultColumns::new(&schema, good).is_ok());
    }
    assert!(ResultColumns::new(&schema, &[0, 1, 0]).is_err());
}
