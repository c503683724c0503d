//! The query engine that all sessions share, and the state that each statement gets: cheap to make, and gone after it,
//! so that nothing leaks from one client to another. Memory is bounded, disks and files are out of reach.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProviderList, SchemaProvider};
use datafusion::common::config::{ConfigOptions, Dialect as EngineDialect};
use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;

use crate::asking::Asking;
use crate::failure::Failure;
use crate::functions;
use crate::postgres;
use crate::session::Dialect;
use crate::tables::{Database, HEAPQL, INFORMATION_SCHEMA, OCEANBASE, POSTGRES_INFORMATION_SCHEMA, Scope, SearchPath};

/// What all running queries together may hold.
const MEMORY_BYTES: usize = 256 << 20;

/// The schema of unqualified names. Not a name that a client can write by accident, and never listed.
const SEARCH_PATH: &str = "search path";

pub(crate) struct Engine {
    runtime: Arc<RuntimeEnv>,
    mysql: SessionState,
    postgres: SessionState,
    pg_catalog: Arc<dyn SchemaProvider>,
}

impl Engine {
    pub(crate) fn new() -> Result<Engine, Failure> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(MEMORY_BYTES, 1.0)
            .with_disk_manager_builder(disk)
            .build_arc()?;
        // No statement reaches a file (query::guard); without the store none could.
        runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())?;
        let mysql = state(&runtime, Dialect::MySql);
        let (postgres, pg_catalog) = postgres::equip(state(&runtime, Dialect::Postgres))?;
        Ok(Engine { runtime, mysql, postgres, pg_catalog })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.runtime.memory_pool.reserved()
    }

    /// The state of one statement: its tables see `scope`, `extra` comes first on the search path. What it plans goes to the
    /// servers that hold the rows.
    pub(crate) fn statement(
        &self,
        dialect: Dialect,
        scope: &Arc<Scope>,
        extra: Option<Arc<dyn SchemaProvider>>,
    ) -> Result<SessionState, Failure> {
        let state = self.part(dialect, scope, extra)?;
        Ok(match &scope.asking {
            Some(asking) => spreading(state, asking),
            None => state,
        })
    }

    /// As [`Engine::statement`], for a part of a plan whose last step is still to come.
    pub(crate) fn part(
        &self,
        dialect: Dialect,
        scope: &Arc<Scope>,
        extra: Option<Arc<dyn SchemaProvider>>,
    ) -> Result<SessionState, Failure> {
        let mut state = match dialect {
            Dialect::MySql => self.mysql.clone(),
            Dialect::Postgres => self.postgres.clone(),
        };
        let name = &scope.catalog;
        if state.config_options().catalog.default_catalog != *name {
            state.config_mut().options_mut().catalog.default_catalog = name.clone();
        }
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(name.clone(), Arc::new(self.catalog(dialect, scope, extra)));
        state.register_catalog_list(Arc::new(list));
        functions::equip(&mut state, scope)?;
        state.mark_start_execution();
        Ok(state)
    }

    fn catalog(&self, dialect: Dialect, scope: &Arc<Scope>, extra: Option<Arc<dyn SchemaProvider>>) -> Catalog {
        let database = |name| -> Arc<dyn SchemaProvider> { Arc::new(Database::new(name, Arc::clone(scope))) };
        let (oceanbase, heapql) = (database(OCEANBASE), database(HEAPQL));
        let mut path: Vec<_> = extra.into_iter().chain([Arc::clone(&oceanbase), Arc::clone(&heapql)]).collect();
        let mut schemas = vec![(HEAPQL, heapql), (OCEANBASE, oceanbase)];
        match dialect {
            Dialect::MySql => schemas.push((INFORMATION_SCHEMA, database(INFORMATION_SCHEMA))),
            Dialect::Postgres => {
                schemas.push((INFORMATION_SCHEMA, database(POSTGRES_INFORMATION_SCHEMA)));
                schemas.push(("pg_catalog", Arc::clone(&self.pg_catalog)));
                path.push(Arc::clone(&self.pg_catalog));
            }
        }
        schemas.push((SEARCH_PATH, Arc::new(SearchPath(path))));
        Catalog(schemas)
    }
}

fn state(runtime: &Arc<RuntimeEnv>, dialect: Dialect) -> SessionState {
    let catalog = match dialect {
        Dialect::MySql => "def",
        Dialect::Postgres => OCEANBASE,
    };
    // One partition: a profiler's reader leaves the other cores to the program it looks at.
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(catalog, SEARCH_PATH);
    let options = config.options_mut();
    options.sql_parser.dialect = match dialect {
        Dialect::MySql => EngineDialect::MySQL,
        Dialect::Postgres => EngineDialect::PostgreSQL,
    };
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(runtime))
        .with_default_features()
        .with_table_factories(HashMap::new())
        .with_file_formats(Vec::new())
        .build();
    // Only replaces what it adds, which cannot fail.
    let _ = state.register_udf(Arc::new(functions::sleep(dialect)));
    state
}

/// The same state for a statement that may ask other servers: the last step of planning is theirs.
fn spreading(state: SessionState, asking: &Arc<Asking>) -> SessionState {
    let config = state.config().clone().with_extension(Arc::clone(asking));
    let rule = Arc::new(Spread(Arc::clone(asking)));
    SessionStateBuilder::new_from_existing(state).with_config(config).with_physical_optimizer_rule(rule).build()
}

/// After all other rules: what the engine has planned over partitions goes to the servers that hold them.
#[derive(Debug)]
struct Spread(Arc<Asking>);

impl PhysicalOptimizerRule for Spread {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.cluster().spread(plan, &self.0)
    }

    fn name(&self) -> &str {
        "spread"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The databases of one statement.
#[derive(Debug)]
struct Catalog(Vec<(&'static str, Arc<dyn SchemaProvider>)>);

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, schema)| Arc::clone(schema))
    }
}
