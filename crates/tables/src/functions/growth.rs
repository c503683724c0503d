//! `growth(from [, to])`: a table of what grew between two moments, each the name of a mark or a time. Without `to`, until
//! now. Its rows are in `tables::growth`.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use crate::{TableScope, growth};

pub(crate) struct Growth(pub Arc<TableScope>);

impl std::fmt::Debug for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("growth")
    }
}

impl TableFunctionImpl for Growth {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let moments: Option<Vec<String>> = args.exprs().iter().map(text).collect();
        match moments.as_deref() {
            Some([from]) => Ok(growth::provider(&self.0, from, None)?),
            Some([from, to]) => Ok(growth::provider(&self.0, from, Some(to))?),
            _ => Err(DataFusionError::Plan(
                "growth(from [, to]) takes one or two texts: names of marks, or times".to_owned(),
            )),
        }
    }
}

fn text(argument: &Expr) -> Option<String> {
    match argument {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}
