//! Queries by the dozen, over all tables that hold what dead processes left: each is asked of three servers and of one
//! that has all their ledgers, by real clients, and the answers are the same. A difference prints the seed and the query.
//! `HEAPQL_TRIALS=3000` asks more of them, `HEAPQL_SEED=7` others.
//!
//! The cluster crate's own tests do the same in one process, with plans of more shapes over one table. Here it is more
//! tables, what they are joined to, and the way through both protocols.

use std::fs;
use std::path::Path;
use std::process::Command;

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

struct Table {
    /// A table for a query: named columns, stable rows.
    rows: String,
    numbers: Vec<String>,
    texts: Vec<String>,
}

impl Table {
    fn read(client: &mut dyn Client, (name, condition): (&str, &str)) -> Table {
        let sql = format!(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{name}' ORDER BY 1"
        );
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
        Table { rows: format!("(SELECT {columns} FROM {name} WHERE {condition})"), numbers, texts }
    }
}

/// A small generator of the same numbers for the same seed (splitmix64).
struct Maker<'a> {
    state: u64,
    tables: &'a [Table],
}

impl Maker<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ mixed >> 31) * bound as u128) >> 64) as usize
    }

    fn of<'b>(&mut self, list: &'b [&str]) -> &'b str {
        list[self.below(list.len())]
    }

    fn one_of(&mut self, list: &[String]) -> String {
        list[self.below(list.len())].clone()
    }

    fn number(&mut self, table: &Table, of: &str) -> String {
        let column = format!("{of}.{}", self.one_of(&table.numbers));
        match self.below(6) {
            0 => format!("({column} + {})", self.below(100)),
            1 => format!("coalesce(nullif({column}, {}), -1)", self.below(20)),
            2 => format!("({column} - {of}.{})", self.one_of(&table.numbers)),
            _ => column,
        }
    }

    fn text(&mut self, table: &Table, of: &str) -> String {
        let column = format!("{of}.{}", self.one_of(&table.texts));
        match self.below(5) {
            0 => format!("upper({column})"),
            1 => format!("substr({column}, 2, 6)"),
            _ => column,
        }
    }

    fn value(&mut self, table: &Table, of: &str) -> String {
        if self.below(2) == 0 { self.number(table, of) } else { self.text(table, of) }
    }

    fn condition(&mut self, table: &Table, of: &str, deep: usize) -> String {
        match self.below(if deep == 0 { 5 } else { 8 }) {
            0 => format!("{} LIKE '%{}%'", self.text(table, of), self.of(&["a", "0x", "malloc", "ex", "zz"])),
            1 => format!("{} IN (0, 1, 2, 500, 22)", self.number(table, of)),
            2 => format!("{} BETWEEN {} AND {}", self.number(table, of), self.below(9), 10 + self.below(5000)),
            3 | 4 => {
                let comparison = self.of(&["<", ">", "=", "<>", ">="]);
                format!("{} {comparison} {}", self.number(table, of), self.below(600))
            }
            5 => format!("({} AND {})", self.condition(table, of, deep - 1), self.condition(table, of, deep - 1)),
            6 => format!("({} OR {})", self.condition(table, of, deep - 1), self.condition(table, of, deep - 1)),
            _ => format!("NOT ({})", self.condition(table, of, deep - 1)),
        }
    }

    fn filter(&mut self, table: &Table, of: &str) -> String {
        if self.below(3) == 0 { String::new() } else { format!(" WHERE {}", self.condition(table, of, 2)) }
    }

    fn aggregate(&mut self, table: &Table, of: &str) -> String {
        let (number, text) = (self.number(table, of), self.text(table, of));
        match self.below(10) {
            0 => format!("sum({number})"),
            1 => format!("min({text})"),
            2 => format!("max({number})"),
            3 => format!("avg({number})"),
            4 => format!("count(DISTINCT {text})"),
            5 => format!("stddev({number})"),
            6 => format!("median({number})"),
            7 => format!("string_agg(DISTINCT {text}, ',' ORDER BY {text})"),
            8 => format!("count(*) FILTER (WHERE {})", self.condition(table, of, 1)),
            _ => "count(*)".to_owned(),
        }
    }

    /// Values by all of which rows are sorted, so that the same ones come first.
    fn ordered(&mut self, table: &Table) -> (String, String) {
        let values: Vec<_> = (0..3).map(|_| self.value(table, "t")).collect();
        let order: Vec<_> =
            (1..=3).map(|place| format!("{place}{}", self.of(&["", " DESC", " NULLS FIRST"]))).collect();
        let named: Vec<_> = values.iter().enumerate().map(|(place, value)| format!("{value} AS v{place}")).collect();
        (named.join(", "), order.join(", "))
    }

    fn query(&mut self) -> String {
        let tables = self.tables;
        let (one, other) = (&tables[self.below(tables.len())], &tables[self.below(tables.len())]);
        let (rows, filter) = (&one.rows, self.filter(one, "t"));
        match self.below(9) {
            0 => format!("SELECT {}, {} FROM {rows} t{filter}", self.value(one, "t"), self.value(one, "t")),
            1 => {
                let (values, order) = self.ordered(one);
                let (limit, offset) = (self.below(40), self.below(10));
                format!("SELECT {values} FROM {rows} t{filter} ORDER BY {order} LIMIT {limit} OFFSET {offset}")
            }
            2 => format!("SELECT DISTINCT {}, {} FROM {rows} t{filter}", self.value(one, "t"), self.value(one, "t")),
            3 => format!("SELECT {}, {} FROM {rows} t{filter}", self.aggregate(one, "t"), self.aggregate(one, "t")),
            4 => {
                let having = self.of(&["", " HAVING count(*) > 1"]);
                let (key, a, b) = (self.value(one, "t"), self.aggregate(one, "t"), self.aggregate(one, "t"));
                format!("SELECT {key} AS k, {a} AS a, {b} AS b FROM {rows} t{filter} GROUP BY 1{having}")
            }
            5 => {
                let (number, text) = (self.number(one, "t"), self.text(one, "t"));
                let function = self.of(&["rank()", "dense_rank()", "count(*)"]);
                format!(
                    "SELECT {text}, {number}, {function} OVER (PARTITION BY {text} ORDER BY {number}) FROM {rows} t{filter}"
                )
            }
            6 => {
                let kind = self.of(&["JOIN", "LEFT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
                let (left, right) = (self.one_of(&one.numbers), self.one_of(&other.numbers));
                let (n, m) = (self.filter(one, "t"), self.filter(other, "t"));
                format!(
                    "SELECT a.{left}, count(*) AS n FROM (SELECT * FROM {rows} t{n}) a {kind} \
                     (SELECT * FROM {} t{m}) b ON a.{left} = b.{right} GROUP BY 1",
                    other.rows
                )
            }
            7 => {
                let (value, text, inner) = (self.text(one, "t"), self.text(other, "t"), self.filter(other, "t"));
                let (number, not) = (self.number(one, "t"), self.of(&["", "NOT "]));
                match self.below(3) {
                    0 => format!(
                        "SELECT {number} FROM {rows} t WHERE {value} {not}IN (SELECT {text} FROM {} t{inner})",
                        other.rows
                    ),
                    1 => format!(
                        "SELECT {value} FROM {rows} t WHERE {number} > (SELECT avg({}) FROM {} t{inner})",
                        self.number(other, "t"),
                        other.rows
                    ),
                    _ => format!(
                        "SELECT {value} FROM {rows} t WHERE {not}EXISTS (SELECT 1 FROM {} i WHERE i.{} = t.{})",
                        other.rows,
                        self.one_of(&other.numbers),
                        self.one_of(&one.numbers)
                    ),
                }
            }
            _ => format!(
                "WITH u AS (SELECT {} AS v FROM {rows} t{filter} UNION ALL SELECT {} FROM {} t) \
                 SELECT v, count(*) FROM u GROUP BY v",
                self.text(one, "t"),
                self.text(other, "t"),
                other.rows
            ),
        }
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

/// Sums of floats depend on their order in the last digits.
fn compared(answer: Answer) -> Vec<Vec<String>> {
    let rounded = |cell: String| match cell.parse::<f64>() {
        Ok(number) if cell.contains(['.', 'e']) => format!("{number:.6e}"),
        _ => cell,
    };
    let mut rows: Vec<Vec<String>> =
        answer.rows.into_iter().map(|row| row.into_iter().map(rounded).collect()).collect();
    rows.sort();
    rows
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
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
        tables.push(Table::read(&mut alone.postgres(), table));
        let sql = format!("SELECT count(*) FROM {}", tables[tables.len() - 1].rows);
        let count = alone.mysql().query(&sql).number();
        assert!(count > 2, "{count}: {sql}");
    }
    // A slow server is not missing.
    cluster.member(1).mysql().query("ALTER SYSTEM SET _cluster_timeout = 60000");
    let mut pairs: Vec<_> = cluster.member(1).server().clients().into_iter().zip(alone.clients()).collect();
    let (first, count) = (variable("HEAPQL_SEED", 1), variable("HEAPQL_TRIALS", 80));
    let mut answered = 0;
    for seed in first..first + count {
        let sql = Maker { state: seed, tables: &tables }.query();
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
