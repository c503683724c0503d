//! PostgreSQL's catalog functions that always answer the same here: there are no functions, indexes, views or comments
//! of a client's making to describe.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// A function of any arguments with one answer.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    answer: ScalarValue,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.answer.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.answer.clone()))
    }
}

pub(super) fn all() -> Vec<ScalarUDF> {
    let nothing = ScalarValue::Utf8(None);
    let yes = ScalarValue::Boolean(Some(true));
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let zero = ScalarValue::Int64(Some(0));
    let functions = [
        ("pg_get_userbyid", text("root")),
        ("pg_get_function_result", text("")),
        ("pg_get_function_arguments", text("")),
        ("pg_get_function_identity_arguments", text("")),
        ("pg_get_functiondef", nothing.clone()),
        ("pg_get_function_sqlbody", nothing.clone()),
        ("pg_get_viewdef", nothing.clone()),
        ("pg_get_indexdef", nothing.clone()),
        ("pg_get_ruledef", nothing.clone()),
        ("pg_get_triggerdef", nothing.clone()),
        ("pg_get_serial_sequence", nothing.clone()),
        ("obj_description", nothing.clone()),
        ("col_description", nothing.clone()),
        ("shobj_description", nothing.clone()),
        ("pg_tablespace_location", text("")),
        ("pg_function_is_visible", yes.clone()),
        ("pg_type_is_visible", yes.clone()),
        ("pg_operator_is_visible", yes.clone()),
        ("pg_collation_is_visible", yes.clone()),
        ("pg_opclass_is_visible", yes.clone()),
        ("pg_opfamily_is_visible", yes.clone()),
        ("pg_conversion_is_visible", yes.clone()),
        ("pg_statistics_obj_is_visible", yes.clone()),
        ("pg_ts_config_is_visible", yes.clone()),
        ("pg_ts_dict_is_visible", yes.clone()),
        ("pg_ts_parser_is_visible", yes.clone()),
        ("pg_ts_template_is_visible", yes.clone()),
        ("has_function_privilege", yes.clone()),
        ("has_column_privilege", yes.clone()),
        ("has_sequence_privilege", yes.clone()),
        ("has_language_privilege", yes.clone()),
        ("has_tablespace_privilege", yes.clone()),
        ("pg_has_role", yes),
        ("pg_table_size", zero.clone()),
        ("pg_indexes_size", zero.clone()),
        ("pg_database_size", zero.clone()),
        ("pg_tablespace_size", zero),
        ("pg_size_pretty", text("0 bytes")),
        ("pg_char_to_encoding", ScalarValue::Int32(Some(6))),
    ];
    functions.into_iter().map(|(name, answer)| constant(name, answer)).collect()
}

fn constant(name: &'static str, answer: ScalarValue) -> ScalarUDF {
    let any = TypeSignature::OneOf(vec![TypeSignature::VariadicAny, TypeSignature::Nullary]);
    ScalarUDF::from(Constant { name, answer, signature: Signature::new(any, Volatility::Stable) })
}
