//! `sleep(seconds)`, which is `pg_sleep` in PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use crate::functions::async_function::{AsyncBody, async_function};
use heapql_server::dialect::Dialect;

/// Waits without holding a thread, so that cancelling and time limits work as for any other statement.
struct Sleep {
    name: &'static str,
    answer: ScalarValue,
}

/// The function under its name in a dialect.
pub fn sleep(dialect: Dialect) -> ScalarUDF {
    let (name, answer) = match dialect {
        Dialect::MySql => ("sleep", ScalarValue::Int64(Some(0))),
        Dialect::Postgres => ("pg_sleep", ScalarValue::Utf8(Some(String::new()))),
    };
    let signature = Signature::exact(vec![DataType::Float64], Volatility::Volatile);
    async_function(name, signature, answer.data_type(), Sleep { name, answer })
}

#[async_trait]
impl AsyncBody for Sleep {
    async fn run(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        for seconds in arrays[0].as_primitive::<Float64Type>().iter().flatten() {
            let pause = Duration::try_from_secs_f64(seconds);
            let refused = |_| DataFusionError::Execution(format!("{} cannot wait for {seconds} seconds", self.name));
            tokio::time::sleep(pause.map_err(refused)?).await;
        }
        let rows = args.number_rows;
        Ok(ColumnarValue::Array(self.answer.to_array_of_size(rows)?))
    }
}
