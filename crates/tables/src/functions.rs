//! Functions that the engine lacks, one file each. Those that read the server get the scope of their statement. Called by
//! `engine` for every statement.

mod async_function;
mod growth;
mod mark;
mod pictures;
mod sleep;
mod symbolize;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::{FunctionRegistry, SessionState};

use crate::TableScope;

pub use sleep::sleep;
pub use symbolize::known_stacks;

/// Adds the functions that see what the statement's tables see.
pub fn equip(state: &mut SessionState, scope: &Arc<TableScope>) -> Result<()> {
    state.register_udf(Arc::new(symbolize::symbolize(scope)))?;
    state.register_udf(Arc::new(mark::mark(scope)))?;
    state.register_udf(Arc::new(mark::unmark(scope)))?;
    for picture in pictures::pictures(scope) {
        state.register_udf(Arc::new(picture))?;
    }
    state.register_udtf("growth", Arc::new(growth::Growth(Arc::clone(scope))));
    Ok(())
}
