//! A scalar function whose body waits or blocks: the one adapter between such a body and the engine. The functions of this
//! folder are bodies; the engine runs them outside its batches.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

/// The body of an asynchronous function.
#[async_trait]
pub(crate) trait AsyncBody: Send + Sync + 'static {
    /// The values of one batch.
    async fn run(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue>;
}

/// The function that runs a body. Its signature should be volatile: neither planning nor PREPARE may run it.
pub(crate) fn async_function(
    name: &'static str,
    signature: Signature,
    answer: DataType,
    body: impl AsyncBody,
) -> ScalarUDF {
    let function = AsyncFunction { name, signature, answer, body: Box::new(body) };
    AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf()
}

struct AsyncFunction {
    name: &'static str,
    signature: Signature,
    answer: DataType,
    body: Box<dyn AsyncBody>,
}

impl fmt::Debug for AsyncFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

// A statement has one function of a name.
impl PartialEq for AsyncFunction {
    fn eq(&self, other: &AsyncFunction) -> bool {
        self.name == other.name
    }
}

impl Eq for AsyncFunction {}

impl Hash for AsyncFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for AsyncFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.answer.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(format!("{} only runs asynchronously", self.name)))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for AsyncFunction {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.body.run(args).await
    }
}
