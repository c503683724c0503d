//! Which table is in which database, and how a name is found: `oceanbase` first, then `heapql`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::error::Result;

use super::provider::Provider;
use super::{Scope, SystemTable};
use super::{
    callsites, frames, history, information_schema, leak_verdicts, malloc_sample_info, parameter_stat,
    postgres_information_schema, process_memory, processes, self_usage, servers, snapshots, view,
};

pub(crate) const OCEANBASE: &str = "oceanbase";
pub(crate) const HEAPQL: &str = "heapql";
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";
/// What PostgreSQL connections find under the name `information_schema`.
pub(crate) const POSTGRES_INFORMATION_SCHEMA: &str = "information_schema of postgres";

type Tables = BTreeMap<&'static str, Arc<dyn SystemTable>>;

static DATABASES: LazyLock<[(&'static str, Tables); 4]> = LazyLock::new(|| {
    [
        (
            OCEANBASE,
            named(view::oceanbase().chain(servers::oceanbase()).chain([
                Arc::new(malloc_sample_info::MallocSampleInfo) as Arc<dyn SystemTable>,
                Arc::new(parameter_stat::ParameterStat(parameter_stat::STAT)),
                Arc::new(parameter_stat::ParameterStat(parameter_stat::GV)),
            ])),
        ),
        (
            HEAPQL,
            named(view::heapql().chain([
                Arc::new(processes::Processes) as Arc<dyn SystemTable>,
                Arc::new(callsites::Callsites),
                Arc::new(self_usage::SelfUsage),
                Arc::new(snapshots::Snapshots),
                Arc::new(history::History),
                Arc::new(frames::Frames),
                Arc::new(leak_verdicts::LeakVerdicts),
                Arc::new(process_memory::ProcessMemory),
                servers::heapql(),
            ])),
        ),
        (INFORMATION_SCHEMA, named(information_schema::tables())),
        (POSTGRES_INFORMATION_SCHEMA, named(postgres_information_schema::tables())),
    ]
});

fn named(tables: impl IntoIterator<Item = Arc<dyn SystemTable>>) -> Tables {
    tables.into_iter().map(|table| (table.name(), table)).collect()
}

/// The tables of a database, by name; `None` when there is no such database.
pub(crate) fn listed(database: &str) -> Option<impl Iterator<Item = &'static Arc<dyn SystemTable>>> {
    let (_, tables) = DATABASES.iter().find(|(name, _)| *name == database)?;
    Some(tables.values())
}

/// As MySQL calls it.
pub(crate) fn kind(database: &str, table: &Arc<dyn SystemTable>) -> &'static str {
    match table.definition() {
        Some(_) => "VIEW",
        None if database == INFORMATION_SCHEMA => "SYSTEM VIEW",
        None => "BASE TABLE",
    }
}

/// A table by database and name, in any case.
pub(crate) fn find(database: &str, name: &str) -> Option<&'static Arc<dyn SystemTable>> {
    let (_, tables) = DATABASES.iter().find(|(known, _)| *known == database)?;
    tables.get(name).or_else(|| tables.get(name.to_ascii_lowercase().as_str()))
}

/// A table that all servers have rows of, by name alone.
pub(crate) fn shared(name: &str) -> Option<&'static Arc<dyn SystemTable>> {
    [OCEANBASE, HEAPQL].into_iter().find_map(|database| find(database, name)).filter(|table| !table.is_local())
}

/// The table whose name is nearest to a wrong one, if any is near.
pub(crate) fn closest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let far = |known: &&'static str| levenshtein(known, &name);
    let nearest = DATABASES.iter().flat_map(|(_, tables)| tables.keys().copied()).min_by_key(far)?;
    (far(&nearest) * 3 <= name.len()).then_some(nearest)
}

/// One database of one session.
#[derive(Clone)]
pub(crate) struct Database {
    name: &'static str,
    scope: Arc<Scope>,
}

impl Database {
    pub(crate) fn new(name: &'static str, scope: Arc<Scope>) -> Database {
        Database { name, scope }
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
            Some(query) => view::provider(table, query, &self.scope).await?,
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
