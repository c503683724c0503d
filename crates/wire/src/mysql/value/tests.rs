//! Each Arrow type in both forms of the protocol. Declared types are tested in `column`.

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::datatypes::{Field, Int32Type};

use super::super::column::ColumnDefinition;
use super::*;

fn text(array: impl Array + 'static) -> Vec<Option<String>> {
    let array: ArrayRef = Arc::new(array);
    let values = ColumnValues::new(&array).expect("values");
    (0..array.len())
        .map(|row| {
            let mut out = BytesMut::new();
            values.put_text(&mut out, row);
            let (length, rest) = out.split_first().expect("a value");
            (*length != NULL).then(|| {
                assert_eq!(usize::from(*length), rest.len());
                String::from_utf8(rest.to_vec()).expect("text")
            })
        })
        .collect()
}

fn binary(array: impl Array + 'static) -> Vec<u8> {
    let array: ArrayRef = Arc::new(array);
    let definition = ColumnDefinition::new(&Field::new("c", array.data_type().clone(), true));
    let mut out = BytesMut::new();
    ColumnValues::new(&array).expect("values").put_binary(&mut out, 0, definition.kind);
    out.to_vec()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[test]
fn numbers() {
    assert_eq!(text(Int64Array::from(vec![i64::MIN, 0, 7])), some(&["-9223372036854775808", "0", "7"]));
    assert_eq!(text(UInt64Array::from(vec![u64::MAX])), some(&["18446744073709551615"]));
    assert_eq!(text(Int8Array::from(vec![Some(-1), None])), [Some("-1".to_owned()), None]);
    assert_eq!(text(BooleanArray::from(vec![true, false])), some(&["1", "0"]));
    assert_eq!(binary(Int8Array::from(vec![-1])), [0xff]);
    assert_eq!(binary(Int16Array::from(vec![-2])), [0xfe, 0xff]);
    assert_eq!(binary(UInt32Array::from(vec![u32::MAX])), [0xff; 4]);
    assert_eq!(binary(Int64Array::from(vec![258])), [2, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn floating_point_reads_back() {
    let values = vec![0.1, 1.0, -2.5, 1e300, 1e-7, f64::NAN, f64::INFINITY];
    let expected = ["0.1", "1", "-2.5", "1e300", "1e-7", "NaN", "Infinity"];
    assert_eq!(text(Float64Array::from(values)), some(&expected));
    assert_eq!(text(Float32Array::from(vec![0.1])), some(&["0.1"]));
    assert_eq!(binary(Float64Array::from(vec![1.5])), 1.5f64.to_le_bytes());
}

#[test]
fn times() {
    assert_eq!(text(Date32Array::from(vec![0, -1])), some(&["1970-01-01", "1969-12-31"]));
    let stamps = TimestampNanosecondArray::from(vec![1_000_001_500, -1]);
    assert_eq!(text(stamps), some(&["1970-01-01 00:00:01.000001", "1969-12-31 23:59:59.999999"]));
    let zoned = TimestampSecondArray::from(vec![86_400]).with_timezone("+02:00");
    assert_eq!(text(zoned), some(&["1970-01-02 00:00:00"]));
    assert_eq!(text(Time64MicrosecondArray::from(vec![3_661_000_000])), some(&["01:01:01"]));
    assert_eq!(text(Time32SecondArray::from(vec![59])), some(&["00:00:59"]));
    assert_eq!(text(Date64Array::from(vec![86_400_000])), some(&["1970-01-02"]));
    assert_eq!(binary(Date32Array::from(vec![0])), [4, 0xb2, 7, 1, 1]);
    assert_eq!(binary(TimestampMillisecondArray::from(vec![1_001])), [11, 0xb2, 7, 1, 1, 0, 0, 1, 0xe8, 3, 0, 0]);
}

#[test]
fn texts_and_bytes() {
    assert_eq!(
        text(StringArray::from(vec![Some("ä"), Some(""), None])),
        [Some("ä".to_owned()), Some(String::new()), None]
    );
    assert_eq!(text(StringViewArray::from(vec!["view"])), some(&["view"]));
    assert_eq!(text(LargeStringArray::from(vec!["large"])), some(&["large"]));
    assert_eq!(binary(BinaryArray::from(vec![&b"\0\xff"[..]])), [2, 0, 0xff]);
    assert_eq!(binary(FixedSizeBinaryArray::try_from_iter([[1u8, 2]].iter()).expect("bytes")), [2, 1, 2]);
    let dictionary: DictionaryArray<Int32Type> = ["x", "y"].into_iter().collect();
    assert_eq!(text(dictionary), some(&["x", "y"]));
}

#[test]
fn everything_else_is_text() {
    let decimal = Decimal128Array::from(vec![12_345]).with_precision_and_scale(10, 2).expect("a decimal");
    assert_eq!(text(decimal), some(&["123.45"]));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    assert_eq!(text(list), [Some("[1, NULL]".to_owned()), None]);
    assert_eq!(text(NullArray::new(1)), [None]);
    let interval = IntervalDayTimeArray::from(vec![None::<<datafusion::arrow::datatypes::IntervalDayTimeType as datafusion::arrow::datatypes::ArrowPrimitiveType>::Native>]);
    assert_eq!(text(interval), [None]);
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2]), &StringArray::from(vec!["r"])).expect("runs");
    assert_eq!(text(runs), some(&["r", "r"]));
}
