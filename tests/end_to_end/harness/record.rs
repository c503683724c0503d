//! Programs that are recorded without a server, by the environment that `heapql env` prints, and what their ledgers hold
//! when they are dead, read by `heapql sql`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{Ended, heapql, scratch, tool};

/// The library that `heapql env` names for this directory.
fn preload(dir: &Path) -> String {
    let printed = tool(Command::new(heapql()).arg("env").env("HEAPQL_DIR", dir).env_remove("LD_PRELOAD"), "");
    let line = printed.ok().lines().find_map(|line| line.strip_prefix("export LD_PRELOAD="));
    line.expect("it prints LD_PRELOAD").to_owned()
}

/// Has a command recorded into `dir`.
pub(crate) fn record_into(command: &mut Command, dir: &Path, (min, max): (u32, u32)) {
    command.env("LD_PRELOAD", preload(dir)).env("HEAPQL_DIR", dir);
    command.env("HEAPQL_MIN", min.to_string()).env("HEAPQL_MAX", max.to_string());
}

/// The ledger of a program that has ended.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) ended: Ended,
    /// Live samples by their size.
    pub(crate) live: BTreeMap<i64, i64>,
    /// Samples that are missing, by reason.
    pub(crate) losses: BTreeMap<String, i64>,
}

impl Ledger {
    /// Runs a command to its end, recorded. Children that it forked are not looked at.
    pub(crate) fn of(mut command: Command, intervals: (u32, u32)) -> Ledger {
        let home = scratch();
        let dir = home.path().join("ledgers");
        // The process that is started stays the one that is asked about.
        record_into(&mut command, &dir, intervals);
        let output = tool(&mut command, "");
        let (live, losses) = read(&dir, &command.get_program().to_string_lossy());
        Ledger { stdout: output.stdout, stderr: output.stderr, ended: output.ended, live, losses }
    }
}

/// Reads the ledger of the process that the test started, not those of its children.
fn read(dir: &Path, program: &str) -> (BTreeMap<i64, i64>, BTreeMap<String, i64>) {
    let first = format!("(SELECT min(pid) FROM heapql.processes WHERE parent_pid = {})", std::process::id());
    let query = format!(
        "SELECT 'live' AS kind, cast(cast(sampled_live_bytes / sampled_live_count AS bigint) AS varchar) AS name, \
         sum(sampled_live_count) AS n FROM heapql.callsites WHERE pid = {first} AND sampled_live_count > 0 \
         AND sampled_live_bytes % sampled_live_count = 0 GROUP BY 2 \
         UNION ALL SELECT 'loss', name, value FROM heapql.self_usage \
         WHERE pid = {first} AND name LIKE 'loss%' AND value > 0"
    );
    let printed = tool(Command::new(heapql()).args(["sql", &query, "-f", "csv"]).env("HEAPQL_DIR", dir), "");
    let (mut live, mut losses) = (BTreeMap::new(), BTreeMap::new());
    for line in printed.ok().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [kind, name, count] = fields[..] else { panic!("{program}: {line}") };
        let count: i64 = count.parse().expect("a count");
        if kind == "live" {
            live.insert(name.parse().unwrap_or_else(|error| panic!("{line}: {error}")), count);
        } else {
            losses.insert(name.trim_start_matches("loss_").to_owned(), count);
        }
    }
    (live, losses)
}
