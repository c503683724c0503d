//! Queries by the dozen, over all tables that hold what dead processes left: each is asked of three servers and of one
//! that has all their ledgers, by real clients, and the answers are the same. A difference prints the seed and the query.
//! `HEAPQL_TRIALS=3000` asks more of them, `HEAPQL_SEED=7` others.
//!
//! The cluster crate's own tests do the same in one process, with plans of more shapes over one table. Here it is more
//! tables, what they are joined to, and the way through both protocols.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::query_generator::{QueryGenerator, QueryTable, rounded, seeds};
use super::*;
use crate::harness::{Launch, record_into, scratch, tool};

/// Tables that answer alike on both sides: their rows do not change, and their columns do not name a server.
const TABLES: [(&str, &str); 7] = [
    ("callsites", "NOT is_server"),
    ("__all_virtual_malloc_sample_info", "mod_name IN ('glibc_malloc', 'cache', 'plan')"),
    ("processes", "state = 'dead'"),
    ("frames", "state = 'dead'"),
    ("live_by_label", "label IN ('glibc_malloc', 'cache', 'plan')"),
    ("live_by_process", "state = 'dead'"),
    ("live_by_callsite", "state = 'dead'"),
];
/// Columns that depend on the answering server, on the number of servers, or on the size of a copy on the disk.
const NOT_COMPARED: [&str; 5] = ["svr_ip", "svr_port", "server_count", "zone", "ledger_bytes"];

/// A table as the generator sees it: the columns that its server's schema has, and stable rows.
fn read_table(client: &mut dyn Client, (name, condition): (&str, &str)) -> QueryTable {
    let sql =
        format!("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{name}' ORDER BY 1");
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for row in client.query(&sql).rows.into_iter().filter(|row| !NOT_COMPARED.contains(&row[0].as_str())) {
        match row[1].to_ascii_lowercase().as_str() {
            kind if kind.contains("int") || kind.contains("double") || kind.contains("float") => {
                numbers.push(row[0].clone());
            }
            kind if kind.contains("char") || kind.contains("text") || kind.contains("utf8") => {
                texts.push(row[0].clone());
            }
            _ => {}
        }
    }
    assert!(numbers.len() > 1 && !texts.is_empty(), "{name}: {numbers:?} {texts:?}");
    let columns = [&numbers[..], &texts[..]].concat().join(", ");
    QueryTable {
        rows: format!("(SELECT {columns} FROM {name} WHERE {condition})"),
        numbers,
        texts,
        conditions: Vec::new(),
    }
}

/// Runs programs to their end, recorded: two a server, one that no other server has.
fn leave_ledgers(dir: &Path, number: usize, home: &Path) {
    let program = Program::new("exact.c").path();
    let own = home.join(format!("own{number}"));
    fs::copy(&program, &own).expect("copied");
    // The documented table adds up what processes of one program hold, on one server.
    let common = home.join("common");
    fs::create_dir_all(&common).expect("a directory");
    let of_all = common.join(format!("program{number}"));
    fs::copy(&program, &of_all).expect("copied");
    let orders = |factor: usize| {
        let kinds = ["malloc", "calloc", "realloc", "reallocarray", "memalign", "strdup", "deep", "valloc"];
        let lines = kinds.iter().enumerate().map(|(nth, kind)| {
            let (count, bytes) = ((nth + 2) * factor + number, 64 + 8 * nth + number % 2);
            format!("{kind} {count} {bytes}\n")
        });
        lines.collect::<String>()
    };
    for (program, label, intervals, factor) in
        [(&own, "glibc_malloc", (1, 1), 1), (&own, "cache", (2, 5), 20), (&of_all, "plan", (16, 256), 900)]
    {
        let mut command = Command::new(program);
        record_into(&mut command, dir, intervals);
        if label != "glibc_malloc" {
            command.env("HEAPQL_LABEL", label).env("HEAPQL_TENANT_ID", "1001").env("HEAPQL_CTX_ID", "5");
        }
        tool(&mut command, &orders(factor)).ok();
    }
}

fn compared(answer: Answer) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> =
        answer.rows.into_iter().map(|row| row.into_iter().map(rounded).collect()).collect();
    rows.sort();
    rows
}

#[test]
fn generated_queries_say_the_same_of_three_servers_and_of_one() {
    let cluster = Cluster::of(3);
    let (home, alone) = (scratch(), std::sync::Arc::new(scratch()));
    let all = alone.path().join("ledgers");
    fs::create_dir(&all).expect("a directory");
    fs::set_permissions(&all, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("its mode is set");
    for (number, member) in cluster.members().iter().enumerate() {
        let before = crate::harness::ledger_files(&member.ledgers());
        leave_ledgers(&member.ledgers(), number, home.path());
        for ledger in crate::harness::ledger_files(&member.ledgers()).iter().filter(|ledger| !before.contains(ledger)) {
            fs::copy(ledger, all.join(ledger.file_name().expect("a name"))).expect("copied");
        }
    }
    let alone = Launch::serve(&alone).start();
    let mut tables = Vec::new();
    for table in TABLES {
        tables.push(read_table(&mut alone.postgres(), table));
        let sql = format!("SELECT count(*) FROM {}", tables[tables.len() - 1].rows);
        let count = alone.mysql().query(&sql).number();
        assert!(count > 2, "{count}: {sql}");
    }
    // A slow server is not missing.
    cluster.member(1).mysql().query("ALTER SYSTEM SET _cluster_timeout = 60000");
    let mut pairs: Vec<_> = cluster.member(1).server().clients().into_iter().zip(alone.clients()).collect();
    let seeds = seeds(80);
    let (mut answered, count) = (0, seeds.end - seeds.start);
    for seed in seeds {
        let sql = QueryGenerator::new(seed, &tables, false).query();
        let (together, single) = &mut pairs[seed as usize % 2];
        match (together.try_query(&sql), single.try_query(&sql)) {
            (Ok(some), Ok(one)) => {
                answered += 1;
                let (some, one) = (compared(some), compared(one));
                let differs = some.iter().zip(&one).find(|(some, one)| some != one);
                assert!(some == one, "seed {seed}: {sql}\n{} and {} rows, {differs:?}", some.len(), one.len());
                assert_eq!(together.warnings(), single.warnings(), "seed {seed}: {sql}");
            }
            (Err(some), Err(one)) => assert_eq!(some.state, one.state, "seed {seed}: {sql}\n{some}\n{one}"),
            (some, one) => panic!("seed {seed}: {sql}\n{:?}\n{:?}", some.err(), one.err()),
        }
    }
    assert!(answered * 10 > count * 9, "only {answered} of {count} are queries");
}
