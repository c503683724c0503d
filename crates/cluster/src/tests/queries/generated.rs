//! Queries by the dozen: each is asked of three servers and of one that has all rows, and the answers are the same. A
//! difference prints the seed and the query. `HEAPQL_TRIALS=5000` asks more of them, `HEAPQL_SEED=7` others.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;

const NUMBERS: [&str; 7] =
    ["depth", "sampled_live_count", "sampled_live_bytes", "sampled_total_count", "tenant_id", "ctx_id", "est_bytes"];
const TEXTS: [&str; 4] = ["label", "ctx_name", "back_trace", "state"];

struct Maker(StdRng);

impl Maker {
    fn one_in(&mut self, n: u32) -> bool {
        self.0.random_ratio(1, n)
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list.choose(&mut self.0).copied().unwrap_or_default()
    }

    fn number(&mut self, deep: u32) -> String {
        if deep == 0 || self.one_in(2) {
            return self.of(&NUMBERS).to_owned();
        }
        let (one, other) = (self.number(deep - 1), self.number(deep - 1));
        match self.0.random_range(0..6) {
            0 => format!("({one} + {other})"),
            1 => format!("({one} - {other})"),
            2 => format!("({one} % {})", self.0.random_range(2..9)),
            3 => format!("abs({one} - {other})"),
            4 => format!("CASE WHEN {} THEN {one} ELSE {other} END", self.condition(deep - 1)),
            _ => format!("coalesce(nullif({one}, {}), {other})", self.0.random_range(0..20)),
        }
    }

    fn text(&mut self, deep: u32) -> String {
        let column = self.of(&TEXTS);
        match self.0.random_range(0..5) {
            0 if deep > 0 => format!("upper({column})"),
            1 if deep > 0 => format!("substr({column}, {}, 5)", self.0.random_range(1..4)),
            2 if deep > 0 => format!("concat({column}, '-', {})", self.text(deep - 1)),
            _ => column.to_owned(),
        }
    }

    fn condition(&mut self, deep: u32) -> String {
        let number = self.number(deep.min(1));
        let constant = self.0.random_range(0..40);
        match self.0.random_range(0..12) {
            0 if deep > 0 => format!("({} AND {})", self.condition(deep - 1), self.condition(deep - 1)),
            1 if deep > 0 => format!("({} OR {})", self.condition(deep - 1), self.condition(deep - 1)),
            2 if deep > 0 => format!("NOT {}", self.condition(deep - 1)),
            3 => format!("label = '{}'", self.of(&["plan", "cache", "own", "glibc_malloc", "none"])),
            4 => format!("label LIKE '{}'", self.of(&["p%", "%a%", "_wn", ""])),
            5 => format!("{number} IN ({constant}, {}, {})", constant + 1, constant * 2),
            6 => format!("{number} BETWEEN {constant} AND {}", constant + 30),
            7 => "state IS NOT NULL".to_owned(),
            8 => "(svr_port = 25224 OR svr_port = 2882)".to_owned(),
            9 => format!("tenant_id = {}", self.of(&["500", "1001", "1"])),
            _ => format!("{number} {} {constant}", self.of(&["<", ">", "=", "<>", ">=", "<="])),
        }
    }

    fn filter(&mut self) -> String {
        if self.one_in(3) { String::new() } else { format!(" WHERE ({})", self.condition(2)) }
    }

    /// Something with the columns of callsites.
    fn rows(&mut self, deep: u32) -> String {
        if deep == 0 {
            return "callsites".to_owned();
        }
        match self.0.random_range(0..6) {
            0 => format!("(SELECT * FROM {}{})", self.rows(deep - 1), self.filter()),
            1 => format!(
                "(SELECT * FROM {}{} UNION ALL SELECT * FROM {}{})",
                self.rows(deep - 1),
                self.filter(),
                self.rows(deep - 1),
                self.filter()
            ),
            // By all that tells rows apart, so that it is the same rows.
            2 => format!(
                "(SELECT * FROM {} ORDER BY back_trace, label, sampled_live_count, est_bytes LIMIT {} OFFSET {})",
                self.rows(deep - 1),
                self.0.random_range(0..90),
                self.0.random_range(0..30)
            ),
            _ => "callsites".to_owned(),
        }
    }

    fn aggregate(&mut self) -> String {
        let number = self.number(1);
        let text = self.text(1);
        let call = match self.0.random_range(0..13) {
            0 => "count(*)".to_owned(),
            1 => format!("sum({number})"),
            2 => format!("min({number})"),
            3 => format!("max({text})"),
            4 => format!("avg({number})"),
            5 => format!("count(DISTINCT {text})"),
            6 => format!("stddev({number})"),
            7 => format!("sum(DISTINCT {number})"),
            8 => format!("median({number})"),
            9 => format!("bool_or({number} > 10)"),
            10 => format!("bit_xor({number})"),
            11 => format!("string_agg({text}, ',' ORDER BY {text})"),
            _ => format!("count({number})"),
        };
        let is_filtered = self.one_in(5) && !call.starts_with("string_agg");
        if is_filtered { format!("{call} FILTER (WHERE {})", self.condition(1)) } else { call }
    }

    fn window(&mut self) -> String {
        let order = "sampled_live_bytes, back_trace, sampled_live_count, label, est_bytes";
        let part = if self.one_in(2) { "PARTITION BY label " } else { "" };
        let call =
            self.of(&["rank()", "dense_rank()", "sum(depth)", "count(*)", "max(est_bytes)", "ntile(3)", "min(label)"]);
        format!("{call} OVER ({part}ORDER BY {order})")
    }

    fn values(&mut self) -> Vec<String> {
        let several = self.0.random_range(1..4);
        (0..several).map(|_| if self.one_in(3) { self.text(2) } else { self.number(2) }).collect()
    }

    fn list(values: &[String]) -> String {
        let named = values.iter().enumerate().map(|(number, value)| format!("{value} AS v{number}"));
        named.collect::<Vec<_>>().join(", ")
    }

    fn query(&mut self) -> String {
        let (from, filter) = (self.rows(2), self.filter());
        match self.0.random_range(0..9) {
            0 => format!("SELECT {} FROM {from} AS t{filter}", Self::list(&self.values())),
            1 => {
                let values = self.values();
                let order: Vec<_> = (1..=values.len())
                    .map(|number| {
                        let way = self.of(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
                        format!("{number}{way}")
                    })
                    .collect();
                let (limit, offset) = (self.0.random_range(0..60), self.0.random_range(0..20));
                let list = Self::list(&values);
                let order = order.join(", ");
                format!("SELECT {list} FROM {from} AS t{filter} ORDER BY {order} LIMIT {limit} OFFSET {offset}")
            }
            2 => format!("SELECT DISTINCT {} FROM {from} AS t{filter}", Self::list(&self.values())),
            3 => {
                let aggregates: Vec<_> = (0..3).map(|_| self.aggregate()).collect();
                format!("SELECT {} FROM {from} AS t{filter}", Self::list(&aggregates))
            }
            4 => {
                let keys = self.values();
                let groups: Vec<_> = (1..=keys.len()).map(|number| number.to_string()).collect();
                let having = if self.one_in(3) { " HAVING count(*) > 2" } else { "" };
                let all: Vec<_> = keys.into_iter().chain([self.aggregate(), self.aggregate()]).collect();
                format!("SELECT {} FROM {from} AS t{filter} GROUP BY {}{having}", Self::list(&all), groups.join(", "))
            }
            5 => format!("SELECT label, back_trace, {} AS w FROM {from} AS t{filter}", self.window()),
            6 => {
                let kind =
                    self.of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
                let key = self.of(&["back_trace", "depth", "label"]);
                let (one, other) = (self.filter(), self.filter());
                format!(
                    "SELECT a.{key} AS k, count(*) AS n, min(a.depth) AS d FROM (SELECT * FROM callsites{one}) a {kind} \
                     (SELECT * FROM callsites{other}) b ON a.{key} = b.{key} GROUP BY a.{key}"
                )
            }
            7 => {
                let is_not = if self.one_in(2) { "NOT " } else { "" };
                let inner = self.filter();
                match self.0.random_range(0..3) {
                    0 => format!(
                        "SELECT label, depth FROM {from} AS t WHERE back_trace {is_not}IN (SELECT back_trace FROM callsites{inner})"
                    ),
                    1 => format!(
                        "SELECT label, depth FROM {from} AS t WHERE {is_not}EXISTS \
                         (SELECT 1 FROM (SELECT * FROM callsites{inner}) i WHERE i.depth = t.depth + 1)"
                    ),
                    _ => format!(
                        "SELECT label, depth FROM {from} AS t WHERE sampled_live_bytes > (SELECT avg(sampled_live_bytes) FROM callsites{inner})"
                    ),
                }
            }
            _ => {
                let (key, aggregate) = (self.of(&["label", "depth", "ctx_name"]), self.aggregate());
                format!(
                    "WITH g AS (SELECT {key} AS k, {aggregate} AS a FROM {from} AS t{filter} GROUP BY 1) \
                     SELECT x.k, x.a, y.a AS b FROM g x LEFT JOIN g y ON x.k = y.k"
                )
            }
        }
    }
}

/// Sums of floats depend on their order in the last digits.
fn rounded(mut rows: Rows) -> Rows {
    for cell in rows.iter_mut().flatten() {
        if let Ok(number) = cell.parse::<f64>()
            && cell.contains('.')
        {
            *cell = format!("{number:.6e}");
        }
    }
    rows
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn generated_queries_give_the_same_on_three_servers_and_on_one() {
    let fixture = Fixture::new();
    let (several, alone) = (fixture.at(1), fixture.alone());
    let (first, count) = (variable("HEAPQL_SEED", 1), variable("HEAPQL_TRIALS", 250));
    let mut answered = 0;
    for seed in first..first + count {
        let sql = Maker(StdRng::seed_from_u64(seed)).query();
        let (together, alone) = (several.rows(&sql).await, alone.rows(&sql).await);
        match (together, alone) {
            (Ok(together), Ok(alone)) => {
                let (mut together, mut alone) = (rounded(together), rounded(alone));
                together.sort();
                alone.sort();
                answered += 1;
                let differs = together.iter().zip(&alone).find(|(one, other)| one != other);
                let sizes = (together.len(), alone.len());
                assert!(together == alone, "seed {seed}: {sql}\n{sizes:?} {differs:?}\n{}", several.plan(&sql).await);
            }
            (Err(together), Err(alone)) => {
                assert_eq!(together.kind, alone.kind, "seed {seed}: {sql}\n{together}\n{alone}")
            }
            (together, alone) => panic!("seed {seed}: {sql}\n{:?}\n{:?}", together.err(), alone.err()),
        }
    }
    assert!(answered * 10 > count * 9, "only {answered} of {count} queries are ones");
}
