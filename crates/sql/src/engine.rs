//! The query engine that all sessions share, and the state that each statement gets: cheap to make, and gone after it,
//! so that nothing leaks from one client to another. Memory is bounded, disks and files are out of reach.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProviderList, SchemaProvider};
use datafusion::common::config::{ConfigOptions, Dialect as EngineDialect};
use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;

use futures::future::BoxFuture;
use heapql_registry::Usage;
use heapql_server::database::{HEAPQL, INFORMATION_SCHEMA, OCEANBASE, POSTGRES_INFORMATION_SCHEMA};
use heapql_server::{ClusterQuery, Dialect, Failure, Server};
use heapql_tables::{TableScope, functions};

use crate::aggregating_view::ViewPlanner;
use crate::bounded_function;
use crate::databases::{Database, SearchPath};
use crate::executor::Executor;
use crate::pg_catalog;

/// The memory that all running queries together may hold.
const MEMORY_BYTES: usize = 256 << 20;

/// The schema of unqualified names. Not a name that a client can write by accident, and never listed.
const SEARCH_PATH: &str = "search path";

/// Plans over several servers; the cluster crate implements it and hands itself to [`Engine::distribute`].
pub trait Distributor: Send + Sync {
    /// The last step of planning: what can run where the rows are goes there. Runs for EXPLAIN too.
    fn spread(&self, plan: Arc<dyn ExecutionPlan>, cluster_query: &Arc<ClusterQuery>)
    -> Result<Arc<dyn ExecutionPlan>>;

    /// Gets all rows that a plan needs from elsewhere, before it runs.
    fn gather(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        cluster_query: &Arc<ClusterQuery>,
        context: Arc<TaskContext>,
    ) -> BoxFuture<'static, Result<()>>;
}

/// The engine of one server.
pub struct Engine {
    server: Arc<Server>,
    distributor: OnceLock<Arc<dyn Distributor>>,
    mysql: SessionState,
    postgres: SessionState,
    pg_catalog: Arc<dyn SchemaProvider>,
    executor: Executor,
}

impl Engine {
    /// Makes the engine of a server, which is told the memory of running queries as a row of `self_usage`.
    pub fn new(server: Arc<Server>) -> Result<Arc<Engine>, Failure> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(MEMORY_BYTES, 1.0)
            .with_disk_manager_builder(disk)
            .build_arc()?;
        // No statement reaches a file (query::guard); without the store none could.
        runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())?;
        let mysql = state(&runtime, Dialect::MySql)?;
        let (postgres, pg_catalog) = pg_catalog::equip(state(&runtime, Dialect::Postgres)?)?;
        let pool = Arc::clone(&runtime.memory_pool);
        server.set_usage_source(Box::new(move || vec![query_memory(pool.reserved())]));
        let distributor = OnceLock::new();
        let executor = Executor::start()?;
        Ok(Arc::new(Engine { server, distributor, mysql, postgres, pg_catalog, executor }))
    }

    /// The server whose tables this engine reads.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The threads on which statements run, and fragments of other servers' statements.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Plans over all servers of a cluster from now on. The first call counts.
    pub fn distribute(&self, distributor: Arc<dyn Distributor>) {
        let _ = self.distributor.set(distributor);
    }

    pub(crate) fn distributor(&self) -> Option<&Arc<dyn Distributor>> {
        self.distributor.get()
    }

    /// The state of one statement: its tables see `scope`, `extra` comes first on the search path. What it plans goes to the
    /// servers that hold the rows.
    pub(crate) fn statement(
        self: &Arc<Self>,
        dialect: Dialect,
        scope: &Arc<TableScope>,
        extra: Option<Arc<dyn SchemaProvider>>,
    ) -> Result<SessionState, Failure> {
        let state = self.fragment(dialect, scope, extra)?;
        Ok(match (&scope.cluster_query, self.distributor()) {
            (Some(cluster_query), Some(distributor)) => spreading(state, cluster_query, distributor),
            _ => state,
        })
    }

    /// Like [`Engine::statement`], for a fragment of a plan whose last step is still to come.
    pub(crate) fn fragment(
        self: &Arc<Self>,
        dialect: Dialect,
        scope: &Arc<TableScope>,
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

    fn catalog(
        self: &Arc<Self>,
        dialect: Dialect,
        scope: &Arc<TableScope>,
        extra: Option<Arc<dyn SchemaProvider>>,
    ) -> Catalog {
        let planner: Arc<dyn ViewPlanner> = Arc::new(EngineViews(Arc::clone(self)));
        let database = |name| -> Arc<dyn SchemaProvider> {
            Arc::new(Database::new(name, Arc::clone(&planner), Arc::clone(scope)))
        };
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

/// Plans views with the engine that scans them.
struct EngineViews(Arc<Engine>);

impl ViewPlanner for EngineViews {
    fn statement(&self, scope: &Arc<TableScope>) -> Result<SessionState> {
        Ok(self.0.statement(Dialect::Postgres, scope, None)?)
    }

    fn fragment(&self, scope: &Arc<TableScope>) -> Result<SessionState> {
        Ok(self.0.fragment(Dialect::Postgres, scope, None)?)
    }
}

fn query_memory(bytes: usize) -> Usage {
    Usage {
        name: "query_memory",
        value: i64::try_from(bytes).unwrap_or(i64::MAX),
        unit: "bytes",
        description: "memory that running queries hold now",
    }
}

fn state(runtime: &Arc<RuntimeEnv>, dialect: Dialect) -> Result<SessionState> {
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
    state.register_udf(Arc::new(functions::sleep(dialect)))?;
    bounded_function::equip(&mut state)?;
    Ok(state)
}

/// The same state for a statement that may ask other servers: the last step of planning is theirs.
fn spreading(
    state: SessionState,
    cluster_query: &Arc<ClusterQuery>,
    distributor: &Arc<dyn Distributor>,
) -> SessionState {
    let config = state.config().clone().with_extension(Arc::clone(cluster_query));
    let rule = Arc::new(SpreadRule { distributor: Arc::clone(distributor), cluster_query: Arc::clone(cluster_query) });
    SessionStateBuilder::new_from_existing(state).with_config(config).with_physical_optimizer_rule(rule).build()
}

/// After all other rules: what the engine has planned over partitions goes to the servers that hold them.
struct SpreadRule {
    distributor: Arc<dyn Distributor>,
    cluster_query: Arc<ClusterQuery>,
}

impl std::fmt::Debug for SpreadRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpreadRule({:?})", self.cluster_query)
    }
}

impl PhysicalOptimizerRule for SpreadRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        self.distributor.spread(plan, &self.cluster_query)
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
