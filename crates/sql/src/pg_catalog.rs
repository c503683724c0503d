//! PostgreSQL's catalog, as far as psql and drivers ask for it, through datafusion-pg-catalog. What that crate lacks or
//! answers wrongly for us (owner, functions of `\df` and `\d+`) is put right here. It lists only HeapQL's tables.

mod functions;
mod roles;

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider, TableProvider,
};
use datafusion::common::ToDFSchema;
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::setup_pg_catalog;

use heapql_server::database::{HEAPQL, OCEANBASE};
use heapql_server::failure::{Failure, FailureKind};
use heapql_tables::{listed, schema_of};

/// The state with PostgreSQL's functions and types, and the schema `pg_catalog`.
pub(crate) fn equip(mut state: SessionState) -> Result<(SessionState, Arc<dyn SchemaProvider>), Failure> {
    let database = MemoryCatalogProvider::new();
    for name in [HEAPQL, OCEANBASE] {
        database.register_schema(name, Arc::new(described(name)?))?;
    }
    let database: Arc<dyn CatalogProvider> = Arc::new(database);
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(OCEANBASE.to_owned(), Arc::clone(&database));
    // A database of its own for `\l` and `\c`; its tables are those of the first.
    list.register_catalog(HEAPQL.to_owned(), Arc::new(MemoryCatalogProvider::new()));
    state.register_catalog_list(Arc::new(list));
    let context = SessionContext::new_with_state(state);
    setup_pg_catalog(&context, OCEANBASE, roles::Roles).map_err(|error| Failure::from_datafusion(*error))?;
    for function in functions::all() {
        context.register_udf(function);
    }
    let catalog = database.schema("pg_catalog");
    let catalog = catalog.ok_or_else(|| Failure::new(FailureKind::Internal, "pg_catalog was not set up"))?;
    Ok((context.state(), catalog))
}

/// The tables of a database by name and columns only: pg_class and pg_attribute need no rows.
fn described(database: &str) -> Result<MemorySchemaProvider, Failure> {
    let schema = MemorySchemaProvider::new();
    for table in listed(database).into_iter().flatten() {
        let columns = schema_of(&table.columns());
        let empty: Arc<dyn TableProvider> = match table.definition() {
            None => Arc::new(EmptyTable::new(columns)),
            Some(query) => {
                let schema = columns.to_dfschema_ref()?;
                let plan = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
                Arc::new(ViewTable::new(plan, Some(query.to_owned())))
            }
        };
        schema.register_table(table.name().to_owned(), empty)?;
    }
    Ok(schema)
}
