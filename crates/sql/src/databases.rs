//! How the engine finds a table: the databases of one session, and the path along which unqualified names are looked for.
//! Which tables there are is the tables crate's to say.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::error::Result;
use heapql_tables::provider::Provider;
use heapql_tables::{TableScope, find, listed};

use crate::aggregating_view::ViewPlanner;
use crate::views;

/// One database of one session.
#[derive(Clone)]
pub(crate) struct Database {
    name: &'static str,
    planner: Arc<dyn ViewPlanner>,
    scope: Arc<TableScope>,
}

impl Database {
    pub(crate) fn new(name: &'static str, planner: Arc<dyn ViewPlanner>, scope: Arc<TableScope>) -> Database {
        Database { name, planner, scope }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({})", self.name)
    }
}

#[async_trait]
impl SchemaProvider for Database {
    fn table_names(&self) -> Vec<String> {
        listed(self.name).into_iter().flatten().map(|table| table.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = find(self.name, name) else {
            return Ok(None);
        };
        Ok(Some(match table.definition() {
            Some(query) => views::provider(table, query, &self.planner, &self.scope).await?,
            None => Arc::new(Provider::new(Arc::clone(table), Arc::clone(&self.scope))),
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        find(self.name, name).is_some()
    }
}

/// Where an unqualified name is looked for, whatever the current database. Never listed as a schema itself.
#[derive(Clone, Debug)]
pub(crate) struct SearchPath(pub(crate) Vec<Arc<dyn SchemaProvider>>);

#[async_trait]
impl SchemaProvider for SearchPath {
    fn table_names(&self) -> Vec<String> {
        self.0.iter().flat_map(|database| database.table_names()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        for database in &self.0 {
            if let Some(table) = database.table(name).await? {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.iter().any(|database| database.table_exist(name))
    }
}
