//! Nothing writes, nothing reaches the host, nothing leaks from one client to another.

use super::House;
use heapql_server::Dialect;
use heapql_server::FailureKind;

#[tokio::test]
async fn writes_are_refused() {
    let house = House::new();
    let both = [
        "create table t (a int)",
        "create external table t stored as csv location '/etc/passwd'",
        "create view v as select 1",
        "create table t as select * from processes",
        "drop table __all_virtual_malloc_sample_info",
        "insert into processes values (1)",
        "insert into processes select * from processes",
        "update processes set pid = 1",
        "delete from processes",
        "truncate table processes",
        "copy (select 1) to '/tmp/heapql-copied'",
        "copy processes to '/tmp/heapql-copied.parquet'",
        "copy processes from '/etc/passwd'",
        "load data infile '/etc/passwd' into table t",
        "grant all on processes to root",
        "alter table processes add column a int",
        "select * from '/etc/passwd'",
        "select * from processes join '/etc/passwd' on true",
        "select load_file('/etc/passwd')",
        "select * from read_csv('/etc/passwd')",
        "set datafusion.execution.target_partitions = 64",
        "set datafusion.runtime.memory_limit = '100G'",
        "explain analyze insert into processes values (1)",
        "with x as (select 1) insert into processes select * from x",
    ];
    for dialect in [Dialect::MySql, Dialect::Postgres] {
        let client = house.client(dialect);
        for text in both {
            let kind = client.refused(text).await;
            assert!(
                kind == FailureKind::ReadOnly || (kind == FailureKind::Unsupported && text.starts_with("e")),
                "{dialect:?} {text}: {kind:?}"
            );
        }
    }
    assert_eq!(house.mysql().refused("select 1 into outfile '/tmp/x'").await, FailureKind::ReadOnly);
    assert_eq!(house.postgres().refused("select 1 as a into t").await, FailureKind::ReadOnly);
    assert_eq!(house.postgres().refused("copy (select 1) to stdout").await, FailureKind::Unsupported);
    assert_eq!(house.mysql().refused("select * from `/etc/passwd`").await, FailureKind::UnknownTable);
    assert_eq!(house.postgres().refused("select * from \"/etc/passwd\"").await, FailureKind::ReadOnly);
    assert!(!std::path::Path::new("/tmp/heapql-copied").exists());
}

#[tokio::test]
async fn settings_stay_in_their_session() {
    let house = House::new();
    let (one, other) = (house.mysql(), house.mysql());
    one.done("set max_execution_time = 77, sql_mode = 'ANSI', @x = 5").await;
    assert_eq!(one.rows("select @@max_execution_time, @@sql_mode, @x").await, [["77", "ANSI", "5"]]);
    assert_eq!(other.rows("select @@max_execution_time, @x").await, [["0", "NULL"]]);
    one.done("use heapql").await;
    assert_eq!(
        (one.one("select database()").await, other.one("select database()").await),
        ("heapql".into(), "oceanbase".into())
    );
}

#[tokio::test]
async fn bad_logins_are_all_alike() {
    let house = House::new();
    let login = |user: &str| crate::Login {
        user: user.to_owned(),
        database: None,
        dialect: Dialect::MySql,
        peer: "h:1".to_owned(),
        connection_id: 9,
    };
    for user in ["nobody@sys", "root@none", "root@1001", "", "@", "root@sys@sys"] {
        let failure = crate::Session::open(&house.engine, login(user)).err().expect(user);
        assert_eq!(failure.kind, FailureKind::AccessDenied);
        assert_eq!(failure.message, format!("Access denied for user '{user}'@'h'"));
    }
    for user in ["root", "root@sys", "root@SYS", "root@sys#cluster"] {
        assert!(crate::Session::open(&house.engine, login(user)).is_ok(), "{user}");
    }
}

const ENDLESS: &str =
    "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a.value + b.value = -1";

/// Each keeps the engine busy in its own way.
const LONG: [&str; 6] = [
    ENDLESS,
    "select sum(a.value + b.value) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b",
    "select count(*) from (select 1 as k, value from generate_series(1, 1000000)) a join (select 1 as k, value from generate_series(1, 1000000)) b on a.k = b.k where a.value + b.value = -1",
    "with recursive t as (select 1 as n union all select n + 1 from t) select count(*) from t",
    "select count(*) from generate_series(1, 100000000000)",
    "select sleep(30)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_stop() {
    let house = House::new();
    let client = house.mysql();
    client.done("set max_execution_time = 100").await;
    for text in LONG {
        let start = std::time::Instant::now();
        assert_eq!(client.refused(text).await, FailureKind::Timeout, "{text}");
        println!("{:?} for {text}", start.elapsed());
        assert!(start.elapsed().as_secs() < 30, "{text}");
    }
    client.done("set max_execution_time = 0").await;
    let other = house.mysql();
    let id = client.slot.id();
    let killer = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let lines = other.rows("show processlist").await;
        assert!(lines.iter().any(|line| line[0] == id.to_string() && line[4] == "Query"), "{lines:?}");
        other.done(&format!("kill query {id}")).await;
    });
    assert_eq!(client.refused(ENDLESS).await, FailureKind::Cancelled);
    killer.await.expect("killed");
    assert_eq!(client.one("select 1").await, "1");
    assert_eq!(client.refused("kill 4242").await, FailureKind::Query);
}

#[tokio::test]
async fn memory_is_bounded() {
    let house = House::new();
    let client = house.mysql();
    let hungry = "select count(*) from (select distinct concat(cast(value as varchar), repeat('x', 2000)) from generate_series(1, 10000000))";
    assert_eq!(client.refused(hungry).await, FailureKind::OutOfMemory);
}
