//! Fixed statements: their answers are compared, and their plans must have the expected shape. Generated ones are in `generated`.

use super::*;

/// Statements of every kind, over columns that do not depend on which server holds a row.
const STATEMENTS: &[&str] = &[
    "SELECT back_trace, alloc_count, alloc_bytes FROM __all_virtual_malloc_sample_info WHERE mod_name = 'own'",
    "SELECT back_trace, sum(alloc_count), sum(alloc_bytes) FROM __all_virtual_malloc_sample_info GROUP BY back_trace",
    "SELECT label, depth, back_trace, sampled_live_count FROM callsites",
    "SELECT label, sum(sampled_live_bytes), count(*), min(depth), max(depth), avg(depth) FROM callsites GROUP BY label",
    "SELECT count(*) FROM callsites",
    "SELECT count(*) FROM callsites WHERE label = 'nothing'",
    "SELECT sum(sampled_live_count), max(back_trace) FROM callsites WHERE label = 'nothing'",
    "SELECT count(DISTINCT back_trace), count(DISTINCT label) FROM callsites",
    "SELECT DISTINCT label, depth FROM callsites",
    "SELECT stddev(sampled_live_bytes), var_pop(depth), median(depth) FROM callsites",
    "SELECT label, depth, count(*) FROM callsites GROUP BY label, depth HAVING count(*) > 3",
    "SELECT depth, back_trace FROM callsites ORDER BY depth DESC, back_trace, sampled_live_count LIMIT 7",
    "SELECT depth, back_trace FROM callsites ORDER BY depth, back_trace, sampled_live_count LIMIT 5 OFFSET 9",
    "SELECT alloc_bytes FROM __all_virtual_malloc_sample_info WHERE mod_name = 'own' ORDER BY alloc_bytes DESC LIMIT 3",
    "SELECT alloc_bytes FROM __all_virtual_malloc_sample_info WHERE mod_name = 'own' ORDER BY alloc_bytes LIMIT 4 OFFSET 2",
    "SELECT count(*) FROM (SELECT * FROM callsites LIMIT 17) AS some_rows",
    "SELECT count(*) FROM (SELECT * FROM callsites LIMIT 100000) AS all_rows",
    "SELECT label, rank() OVER (PARTITION BY label ORDER BY sampled_live_bytes, back_trace, sampled_live_count) AS place, \
     sampled_live_bytes FROM callsites",
    "SELECT sum(sampled_live_count) OVER (ORDER BY back_trace, sampled_live_count, callsite_id) FROM callsites",
    "SELECT label FROM callsites WHERE depth = 3 UNION ALL SELECT DISTINCT mod_name FROM __all_virtual_malloc_sample_info",
    "SELECT label FROM callsites UNION SELECT 'other'",
    "SELECT label FROM callsites EXCEPT SELECT 'plan'",
    "SELECT a.label, count(*) FROM callsites a JOIN callsites b ON a.back_trace = b.back_trace GROUP BY a.label",
    "SELECT a.back_trace FROM callsites a LEFT JOIN (SELECT * FROM callsites WHERE depth < 5) b \
     ON a.back_trace = b.back_trace WHERE b.back_trace IS NULL",
    "SELECT count(*) FROM callsites a FULL JOIN callsites b ON a.depth = b.depth + 10",
    "SELECT label, depth FROM callsites WHERE back_trace NOT IN (SELECT back_trace FROM callsites WHERE depth > 4)",
    "SELECT depth FROM callsites a WHERE EXISTS (SELECT 1 FROM callsites b WHERE b.depth = a.depth + 1)",
    "SELECT label, back_trace FROM callsites WHERE sampled_live_bytes > (SELECT avg(sampled_live_bytes) FROM callsites)",
    "SELECT label, (SELECT max(depth) FROM callsites) - depth FROM callsites",
    "WITH d AS (SELECT depth, count(*) AS n FROM callsites GROUP BY depth) SELECT a.depth, b.n FROM d a JOIN d b ON a.n = b.n",
    "WITH RECURSIVE n AS (SELECT 1 AS depth UNION ALL SELECT depth + 1 FROM n WHERE depth < 4) \
     SELECT n.depth, count(*) FROM n JOIN callsites c ON c.depth = n.depth GROUP BY n.depth",
    "SELECT CASE WHEN depth % 2 = 0 THEN upper(label) ELSE concat(label, '!') END AS text, sum(sampled_live_count) \
     FROM callsites GROUP BY 1",
    "SELECT string_agg(label, ',' ORDER BY label, back_trace, sampled_live_count) FROM callsites",
    "SELECT array_agg(DISTINCT label ORDER BY label) FROM callsites",
    "SELECT first_value(back_trace ORDER BY depth DESC, back_trace) FROM callsites",
    "SELECT sum(sampled_live_bytes) FILTER (WHERE depth > 3), count(*) FILTER (WHERE label LIKE 'p%') FROM callsites",
    "SELECT label, depth, sum(sampled_live_count) FROM callsites GROUP BY ROLLUP(label, depth)",
    "SELECT label FROM callsites WHERE depth IN (1, 2, 3) AND NOT (label = 'plan' OR label IS NULL)",
    "SELECT approx_distinct(back_trace) > 50 FROM callsites",
    "SELECT count(*) FROM callsites, (VALUES (1), (2)) AS v(x)",
    "SELECT name, value FROM __all_virtual_sys_parameter_stat WHERE false",
];

#[tokio::test]
async fn three_servers_answer_as_one_with_all_rows() {
    let fixture = Fixture::new();
    let (one, alone) = (fixture.at(1), fixture.alone());
    for sql in STATEMENTS {
        let (together, alone) = (one.sorted(sql).await, alone.sorted(sql).await);
        let differs = together.iter().zip(&alone).find(|(one, other)| one != other);
        let sizes = (together.len(), alone.len());
        assert!(together == alone, "{sql}\n{sizes:?} {differs:?}\n{}", one.plan(sql).await);
        assert_eq!(one.warnings(), [""; 0], "{sql}");
    }
}

#[tokio::test]
async fn rows_name_their_server_and_a_condition_on_it_asks_no_other() {
    let fixture = Fixture::new();
    let one = fixture.at(0);
    let servers = "SELECT DISTINCT svr_ip, svr_port FROM __all_virtual_malloc_sample_info";
    let expected: Rows = (1..=3).map(|number| vec![format!("127.0.0.{number}"), "25224".to_owned()]).collect();
    assert_eq!(one.sorted(servers).await, expected);
    // A silent server that is asked would cost the timeout, and a warning.
    fixture.cluster.silent.lock().push(fixture.address(2));
    for condition in [
        "svr_ip = '127.0.0.2' AND svr_port = 25224",
        "svr_ip IN ('127.0.0.2', '1.1.1.1')",
        "(svr_ip, svr_port) = ('127.0.0.2', 25224)",
    ] {
        let sql = format!("SELECT DISTINCT svr_ip FROM callsites WHERE {condition}");
        assert_eq!(one.all(&sql).await, [["127.0.0.2"]], "{sql}");
        assert_eq!(one.warnings(), [""; 0], "{sql}");
        assert!(one.plan(&sql).await.contains("servers=1 [127.0.0.2:25224]"), "{}", one.plan(&sql).await);
    }
    assert_eq!(one.all("SELECT count(*) FROM callsites WHERE svr_ip = '127.0.0.7'").await, [["0"]]);
}

#[tokio::test]
async fn what_is_local_to_a_server_runs_there() {
    let fixture = Fixture::new();
    let one = fixture.at(0);
    let below = |plan: &str| plan.split_once("Gather").map(|(_, below)| below.to_owned()).unwrap_or_default();
    let cases: [(&str, &[&str]); 5] = [
        ("SELECT label FROM callsites WHERE depth > 3", &["FilterExec", "projection=[label, depth]"]),
        ("SELECT label, sum(depth) FROM callsites GROUP BY label", &["mode=Partial"]),
        ("SELECT max(depth) FROM callsites", &["mode=Partial"]),
        ("SELECT depth FROM callsites ORDER BY depth LIMIT 3", &["SortExec: TopK(fetch=3)"]),
        ("SELECT label FROM callsites LIMIT 3", &["limit=3"]),
    ];
    for (sql, wanted) in cases {
        let plan = one.plan(sql).await;
        assert!(wanted.iter().all(|part| below(&plan).contains(part)), "{sql}\n{plan}");
    }
}

#[tokio::test]
async fn what_crosses_the_wire_is_what_the_plan_needs() {
    let fixture = Fixture::new();
    let one = fixture.at(0);
    let all = received(&one, "SELECT back_trace, label, depth FROM callsites").await;
    for (sql, share) in [
        ("SELECT sum(depth), max(back_trace) FROM callsites", 2.0),
        ("SELECT back_trace, depth FROM callsites WHERE label = 'own' AND depth < 3", 2.0),
        ("SELECT depth FROM callsites", 2.0),
        ("SELECT back_trace, label, depth FROM callsites ORDER BY depth LIMIT 3", 2.0),
    ] {
        let some = received(&one, sql).await;
        assert!(some > 0.0 && some * share < all, "{sql}: {some} of {all}");
    }
    let own = "SELECT back_trace, label, depth FROM callsites WHERE svr_ip = '127.0.0.1'";
    assert_eq!(received(&one, own).await, 0.0, "no other server was asked");
}

/// Bytes received from other servers, as EXPLAIN ANALYZE reports them.
async fn received(client: &Client, sql: &str) -> f64 {
    let plan = client.all(&format!("EXPLAIN ANALYZE {sql}")).await.concat().concat();
    let (_, behind) = plan.split_once("bytes_received=").unwrap_or_else(|| panic!("{plan}"));
    let text = behind.split([',', ']']).next().unwrap_or_default();
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let unit = if unit.starts_with('K') { 1000.0 } else { 1.0 };
    number.parse::<f64>().unwrap_or_else(|_| panic!("{text}")) * unit
}

#[tokio::test]
async fn a_server_that_is_missing_is_missing_everywhere_and_named() {
    let fixture = Fixture::new();
    let one = fixture.at(0);
    // Without the third server this is still the empty set; with one half of it, it would not be.
    let difference = "SELECT count(*) FROM callsites a LEFT ANTI JOIN callsites b ON a.back_trace = b.back_trace";
    let count = "SELECT count(*), count(DISTINCT svr_ip) FROM callsites";
    one.all("SET statement_timeout = '20s'").await;
    for how in ["absent", "silent"] {
        let list = if how == "absent" { &fixture.cluster.absent } else { &fixture.cluster.silent };
        list.lock().push(fixture.address(2));
        if how == "silent" {
            for member in &fixture.members {
                member.server().adopt(&[("_cluster_timeout", "300")]).expect("set");
            }
        }
        assert_eq!(one.all(count).await, [["160", "2"]], "{how}");
        assert!(one.warnings()[0].contains("the answer lacks server 127.0.0.3:25224"), "{:?}", one.warnings());
        assert_eq!(one.all(difference).await, [["0"]], "{how}");
        one.all("SET cluster_strict = on").await;
        assert_eq!(one.failure(count).await, FailureKind::ServerMissing, "{how}");
        assert_eq!(one.all("SELECT count(*) FROM callsites WHERE svr_ip = '127.0.0.1'").await, [["80"]]);
        one.all("SET cluster_strict = off").await;
        list.lock().clear();
        assert_eq!(one.all(count).await, [["240", "3"]], "{how}");
        assert_eq!(one.warnings(), [""; 0]);
    }
}

#[tokio::test]
async fn the_reason_for_no_rows_is_given_if_no_server_has_any() {
    let samples = "SELECT * FROM __all_virtual_malloc_sample_info";
    let fixture = Fixture::with_rows_on(1);
    for member in 0..3 {
        let client = fixture.at(member);
        assert!(!client.all(samples).await.is_empty());
        assert_eq!(client.warnings(), [""; 0], "that the other two have none is not the client's business");
    }
    let fixture = Fixture::with_rows_on(0);
    let client = fixture.at(1);
    assert!(client.all(samples).await.is_empty());
    let notes = client.warnings();
    assert!(notes.len() == 1 && notes[0].starts_with("no rows: "), "all say the same: {notes:?}");
    assert!(client.all("SELECT * FROM leak_suspects LIMIT 1").await.is_empty());
    let notes = client.warnings();
    assert!(notes.iter().any(|why| why.contains("no suspects: there is no history")), "{notes:?}");
}

#[tokio::test]
async fn an_error_of_the_statement_stays_one() {
    let fixture = Fixture::new();
    let one = fixture.at(0);
    for sql in ["SELECT 1 / (depth - depth) FROM callsites", "SELECT CAST(label AS bigint) FROM callsites"] {
        assert_eq!(one.failure(sql).await, FailureKind::Query, "{sql}");
    }
}
