//! `mark('name')` takes a snapshot and gives it a name for `growth`; `unmark('name')` forgets the name. Both do so on all
//! servers: here first, then on the others, and who does not answer is a warning.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use futures::future::BoxFuture;

use crate::TableScope;
use crate::calls;
use crate::calls::Call;
use crate::functions::async_function::{AsyncBody, async_function};
use crate::typed_column::micros;
use heapql_server::failure::{Failure, FailureKind};
use heapql_server::tenant::Tenant;

const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

type Run = fn(Arc<TableScope>, Vec<String>) -> BoxFuture<'static, Result<ArrayRef, Failure>>;

/// One of the two.
struct MarkFunction {
    name: &'static str,
    scope: Arc<TableScope>,
    run: Run,
}

pub(crate) fn mark(scope: &Arc<TableScope>) -> ScalarUDF {
    named("mark", TIME, scope, |scope, names| Box::pin(marked(scope, names)))
}

pub(crate) fn unmark(scope: &Arc<TableScope>) -> ScalarUDF {
    named("unmark", DataType::Boolean, scope, |scope, names| Box::pin(unmarked(scope, names)))
}

async fn marked(scope: Arc<TableScope>, names: Vec<String>) -> Result<ArrayRef, Failure> {
    let mut times = Vec::with_capacity(names.len());
    for name in names {
        let here = name.clone();
        let snapshot = apart(&scope, move |scope| scope.server.mark(&here)).await??;
        times.push(micros(snapshot.at));
        if let Some(cluster_query) = &scope.cluster_query {
            calls::ask::<()>(cluster_query, &Call::Mark { name }).await?;
        }
    }
    Ok(Arc::new(TimestampMicrosecondArray::from(times)))
}

async fn unmarked(scope: Arc<TableScope>, names: Vec<String>) -> Result<ArrayRef, Failure> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let here = name.clone();
        let mut was_there = apart(&scope, move |scope| scope.server.unmark(&here)).await?;
        if let Some(cluster_query) = &scope.cluster_query {
            let others = calls::ask::<bool>(cluster_query, &Call::Unmark { name }).await?;
            was_there |= others.iter().any(|(_, was_there)| *was_there);
        }
        found.push(was_there);
    }
    Ok(Arc::new(BooleanArray::from(found)))
}

/// It writes files: not on the threads that serve.
async fn apart<A: Send + 'static>(
    scope: &Arc<TableScope>,
    work: impl FnOnce(&TableScope) -> A + Send + 'static,
) -> Result<A, Failure> {
    let scope = Arc::clone(scope);
    let done = tokio::task::spawn_blocking(move || work(&scope)).await;
    done.map_err(|defect| Failure::new(FailureKind::Internal, defect.to_string()))
}

fn named(name: &'static str, answer: DataType, scope: &Arc<TableScope>, run: Run) -> ScalarUDF {
    // Volatile: neither planning nor PREPARE may run it.
    let signature = Signature::string(1, Volatility::Volatile);
    async_function(name, signature, answer, MarkFunction { name, scope: Arc::clone(scope), run })
}

#[async_trait]
impl AsyncBody for MarkFunction {
    async fn run(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.scope.tenant != Tenant::Sys {
            return Err(DataFusionError::Execution(format!("{} is for the sys tenant only", self.name)));
        }
        let rows = args.number_rows;
        let names = &args.args[0];
        // A literal is one mark, for however many rows.
        let is_one = matches!(names, ColumnarValue::Scalar(_));
        let names = cast(&names.to_array(if is_one { rows.min(1) } else { rows })?, &DataType::Utf8)?;
        let names = names.as_string::<i32>().iter().map(|name| name.unwrap_or_default().to_owned()).collect();
        let answers = (self.run)(Arc::clone(&self.scope), names).await?;
        Ok(ColumnarValue::Array(match is_one && rows > 1 {
            true => ScalarValue::try_from_array(&answers, 0)?.to_array_of_size(rows)?,
            false => answers,
        }))
    }
}
