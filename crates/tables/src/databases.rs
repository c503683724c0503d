//! Which table is in which database, and which table a wrong name may mean. How the engine finds them is the sql crate's.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::common::utils::datafusion_strsim::levenshtein;
use heapql_server::Failure;
use heapql_server::database::{HEAPQL, INFORMATION_SCHEMA, OCEANBASE, POSTGRES_INFORMATION_SCHEMA};

use crate::heapql_columns::HeapqlColumns;
use crate::table::SystemTable;
use crate::{
    callsites, frames, history, leak_verdicts, malloc_sample_info, parameter_stat, past_suspects, process_memory,
    processes, self_usage, servers, snapshots, view,
};

type Tables = BTreeMap<&'static str, Arc<dyn SystemTable>>;

static DATABASES: LazyLock<[(&'static str, Tables); 4]> = LazyLock::new(|| {
    [
        (
            OCEANBASE,
            named(view::oceanbase().chain([
                Arc::new(malloc_sample_info::MallocSampleInfo) as Arc<dyn SystemTable>,
                Arc::new(servers::DbaObServers),
                Arc::new(servers::AllServer),
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
                Arc::new(past_suspects::PastSuspects),
                Arc::new(process_memory::ProcessMemory),
                Arc::new(servers::Servers),
            ])),
        ),
        (INFORMATION_SCHEMA, information_schema(view::MYSQL)),
        (POSTGRES_INFORMATION_SCHEMA, information_schema(view::POSTGRES)),
    ]
});

fn named(tables: impl IntoIterator<Item = Arc<dyn SystemTable>>) -> Tables {
    tables.into_iter().map(|table| (table.name(), table)).collect()
}

fn information_schema(text: &'static str) -> Tables {
    named(view::information_schema(text).chain([Arc::new(HeapqlColumns) as Arc<dyn SystemTable>]))
}

/// The tables of a database, by name; `None` when there is no such database.
pub fn listed(database: &str) -> Option<impl Iterator<Item = &'static Arc<dyn SystemTable>>> {
    let (_, tables) = DATABASES.iter().find(|(name, _)| *name == database)?;
    Some(tables.values())
}

/// As MySQL calls it.
pub fn kind(database: &str, table: &Arc<dyn SystemTable>) -> &'static str {
    match table.definition() {
        _ if database == INFORMATION_SCHEMA => "SYSTEM VIEW",
        Some(_) => "VIEW",
        None => "BASE TABLE",
    }
}

/// A table by database and name, in any case.
pub fn find(database: &str, name: &str) -> Option<&'static Arc<dyn SystemTable>> {
    let (_, tables) = DATABASES.iter().find(|(known, _)| *known == database)?;
    tables.get(name).or_else(|| tables.get(name.to_ascii_lowercase().as_str()))
}

/// A table that all servers have rows of, by name alone.
pub fn shared(name: &str) -> Option<&'static Arc<dyn SystemTable>> {
    [OCEANBASE, HEAPQL].into_iter().find_map(|database| find(database, name)).filter(|table| !table.is_local())
}

/// The table whose name is nearest to a wrong one, if any is near.
pub fn closest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let far = |known: &&'static str| levenshtein(known, &name);
    let nearest = DATABASES.iter().flat_map(|(_, tables)| tables.keys().copied()).min_by_key(far)?;
    (far(&nearest) * 3 <= name.len()).then_some(nearest)
}

/// The failure of a statement that names an unknown table, with the nearest name as its hint.
pub fn unknown_table(name: &str) -> Failure {
    let failure = Failure::unknown_table(name);
    match closest(name) {
        Some(known) => failure.hint(format!("did you mean '{known}'?")),
        None => failure,
    }
}
