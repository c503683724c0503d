//! `mark('name')` takes a snapshot and gives it a name for `growth`; `unmark('name')` forgets the name.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::failure::Failure;
use crate::tables::{Scope, Tenant, micros};

const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// One of the two.
struct Named {
    name: &'static str,
    answer: DataType,
    signature: Signature,
    scope: Arc<Scope>,
    run: fn(&Scope, &[String]) -> Result<ArrayRef>,
}

pub(crate) fn mark(scope: &Arc<Scope>) -> ScalarUDF {
    named("mark", TIME, scope, |scope, names| {
        let at = names.iter().map(|name| Ok(micros(scope.server.mark(name)?.at)));
        Ok(Arc::new(TimestampMicrosecondArray::from(at.collect::<Result<Vec<_>, Failure>>()?)))
    })
}

pub(crate) fn unmark(scope: &Arc<Scope>) -> ScalarUDF {
    named("unmark", DataType::Boolean, scope, |scope, names| {
        Ok(Arc::new(names.iter().map(|name| Some(scope.server.unmark(name))).collect::<BooleanArray>()))
    })
}

fn named(
    name: &'static str,
    answer: DataType,
    scope: &Arc<Scope>,
    run: fn(&Scope, &[String]) -> Result<ArrayRef>,
) -> ScalarUDF {
    // Volatile: neither planning nor PREPARE may run it.
    let signature = Signature::string(1, Volatility::Volatile);
    ScalarUDF::new_from_impl(Named { name, answer, signature, scope: Arc::clone(scope), run })
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.name == other.name
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Named {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.answer.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.scope.tenant != Tenant::Sys {
            return Err(DataFusionError::Execution(format!("{} is for the sys tenant only", self.name)));
        }
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let names = cast(&arrays[0], &DataType::Utf8)?;
        let names: Vec<String> =
            names.as_string::<i32>().iter().map(|name| name.unwrap_or_default().to_owned()).collect();
        Ok(ColumnarValue::Array((self.run)(&self.scope, &names)?))
    }
}
