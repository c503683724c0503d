//! Generated queries: each is asked of three servers and of one that has all rows, and the answers are the same. A difference prints the
//! seed and the query. `HEAPQL_TRIALS=5000` asks more of them, `HEAPQL_SEED=7` others. Fixed statements are in `statements`.

#[path = "../../../../../tests/end_to_end/cluster/query_generator.rs"]
mod query_generator;

use query_generator::{QueryGenerator, QueryTable, rounded, seeds};

use super::*;

fn callsites() -> QueryTable {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    QueryTable {
        rows: "callsites".to_owned(),
        numbers: columns(&[
            "depth",
            "sampled_live_count",
            "sampled_live_bytes",
            "sampled_total_count",
            "tenant_id",
            "ctx_id",
            "est_bytes",
        ]),
        texts: columns(&["label", "ctx_name", "back_trace", "state"]),
        conditions: columns(&["(svr_port = 25224 OR svr_port = 2882)", "tenant_id = 500", "tenant_id = 1001"]),
    }
}

#[tokio::test]
async fn generated_queries_give_the_same_on_three_servers_and_on_one() {
    let fixture = Fixture::new();
    let (several, alone) = (fixture.at(1), fixture.alone());
    let tables = [callsites()];
    let seeds = seeds(250);
    let (mut answered, count) = (0, seeds.end - seeds.start);
    for seed in seeds {
        let sql = QueryGenerator::new(seed, &tables, true).query();
        match (several.rows(&sql).await, alone.rows(&sql).await) {
            (Ok(together), Ok(alone)) => {
                let (together, alone) = (compared(together), compared(alone));
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

fn compared(rows: Rows) -> Rows {
    let mut rows: Rows = rows.into_iter().map(|row| row.into_iter().map(rounded).collect()).collect();
    rows.sort();
    rows
}
