//! Statements that SQL lacks, in MySQL's words.

use super::Answer;
use super::House;
use heapql_server::FailureKind;

#[tokio::test]
async fn the_statements_of_the_example_in_their_order() {
    let house = House::new();
    for client in [house.mysql(), house.postgres()] {
        let steps = [
            ("_min_malloc_sample_interval=10000", true),
            ("_max_malloc_sample_interval=10000", false),
            ("_min_malloc_sample_interval=1", false),
            ("_max_malloc_sample_interval=1", false),
            ("_min_malloc_sample_interval=16", true),
            ("_max_malloc_sample_interval=256", false),
        ];
        for (step, warned) in steps {
            assert_eq!(client.done(&format!("ALTER SYSTEM SET {step};")).await, "ALTER SYSTEM");
            assert_eq!(!client.session.warnings().is_empty(), warned, "{step}");
        }
        client.done("ALTER SYSTEM REFRESH MEMORY STAT").await;
    }
}

#[tokio::test]
async fn bad_parameters() {
    let house = House::new();
    let cases = [
        ("_min_malloc_sample_interval = 0", FailureKind::InvalidParameter, "Invalid config"),
        ("_min_malloc_sample_interval = '16.5'", FailureKind::InvalidParameter, "Invalid config"),
        ("_min_malloc_sample_interval = ''", FailureKind::InvalidParameter, "Invalid config"),
        ("_min_malloc_sample_interval = 16.5", FailureKind::InvalidParameter, "Invalid config"),
        ("_min_malloc_sample_interval = 1e3", FailureKind::InvalidParameter, "Invalid config"),
        ("_min_malloc_sample_interval = abc", FailureKind::InvalidParameter, "Invalid config"),
        ("none_such = 1", FailureKind::UnknownParameter, "System config unknown"),
        ("_min_malloc_sample_interval = 1 TENANT = all", FailureKind::UnknownParameter, "System config unknown"),
        (
            "_min_malloc_sample_interval = 1 SERVER = '1.2.3.4:5'",
            FailureKind::UnknownServer,
            "Incorrect arguments to server",
        ),
        ("_min_malloc_sample_interval = 1 ZONE = 'z9'", FailureKind::UnknownServer, "Incorrect arguments to zone"),
        ("_min_malloc_sample_interval = 1, none_such = 2", FailureKind::UnknownParameter, "System config unknown"),
    ];
    for client in [house.mysql(), house.postgres()] {
        for (text, kind, words) in cases {
            let failure = client.ask(&format!("alter system set {text}")).await.expect_err(text);
            assert_eq!(failure.kind, kind, "{text}");
            assert!(failure.message.starts_with(words) && failure.hint.is_some(), "{failure}");
        }
        let value = "select value from gv$ob_parameters where name = '_min_malloc_sample_interval'";
        assert_eq!(client.one(value).await, "16", "nothing was applied");
        client
            .done("alter system set _MIN_malloc_sample_interval='0x10' SERVER='127.0.0.1:2882' ZONE=zone1 SCOPE=BOTH")
            .await;
    }
}

#[tokio::test]
async fn show_parameters() {
    let house = House::new();
    for client in [house.mysql(), house.postgres()] {
        assert!(client.rows("show parameters").await.is_empty());
        assert_eq!(client.session.warnings()[0].level.name(), "Note");
        let Answer { headings, rows } = client.ask("SHOW PARAMETERS LIKE '_min_malloc%'").await.expect("answers");
        assert_eq!(
            headings.join(","),
            "zone,svr_type,svr_ip,svr_port,name,data_type,value,info,section,scope,source,edit_level,default_value,isdefault"
        );
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0][4], "_min_malloc_sample_interval");
        assert_eq!((&*rows[0][6], &*rows[0][12], &*rows[0][13]), ("16", "16", "1"));
        assert_eq!(client.rows(r"show parameters like '\_m%'").await.len(), 3);
        assert_eq!(client.rows("show parameters like 'zmin%'").await.len(), 0);
        assert_eq!(client.rows("show parameters where name = '_max_malloc_sample_interval'").await.len(), 1);
        client.done("alter system set _min_malloc_sample_interval = 5").await;
        assert_eq!(client.rows("show parameters").await.len(), 1);
        client.done("alter system set _min_malloc_sample_interval = 16").await;
        for table in
            ["gv$ob_parameters", "GV$OB_PARAMETERS", "oceanbase.GV$OB_PARAMETERS", "__ALL_VIRTUAL_SYS_PARAMETER_STAT"]
        {
            assert_eq!(
                client.rows(&format!("select NAME from {table}")).await.len(),
                heapql_server::parameters::all().len(),
                "{table}"
            );
        }
    }
}

#[tokio::test]
async fn desc_is_as_documented() {
    let house = House::new();
    let client = house.mysql();
    let Answer { headings, rows } = client.ask("DESC __all_virtual_malloc_sample_info").await.expect("answers");
    assert_eq!(headings, ["Field", "Type", "Null", "Key", "Default", "Extra"]);
    let documented = [
        ("svr_ip", "varchar(46)"),
        ("svr_port", "bigint(20)"),
        ("tenant_id", "bigint(20)"),
        ("ctx_id", "bigint(20)"),
        ("mod_name", "varchar(256)"),
        ("back_trace", "varchar(4096)"),
        ("ctx_name", "varchar(256)"),
        ("alloc_count", "bigint(20)"),
        ("alloc_bytes", "bigint(20)"),
    ];
    let documented = documented.map(|(field, kind)| [field, kind, "NO", "", "NULL", ""]);
    assert_eq!(rows, documented);
    for same in [
        "describe oceanbase.__all_virtual_malloc_sample_info",
        "explain __ALL_VIRTUAL_MALLOC_SAMPLE_INFO",
        "show columns from `__all_virtual_malloc_sample_info` from `oceanbase`",
        "show fields in oceanbase.__all_virtual_malloc_sample_info",
    ] {
        assert_eq!(client.rows(same).await, documented, "{same}");
    }
    assert_eq!(client.rows("desc __all_virtual_malloc_sample_info alloc_bytes").await.len(), 1);
    assert_eq!(client.rows("show full columns from processes where field like '%interval'").await.len(), 2);
    assert_eq!(client.refused("desc none_such").await, FailureKind::UnknownTable);
    assert_eq!(client.refused("show columns from x.y").await, FailureKind::UnknownDatabase);
}

/// Statements that clients send besides.
const ALL_SHOWS: &[&str] = &[
    "show schemas",
    "show global variables",
    "show status",
    "show global status like 'x%'",
    "show engines",
    "show charset",
    "show character set",
    "show collation where charset = 'utf8mb4'",
    "show full processlist",
    "show index from processes",
    "show keys from processes",
    "show grants",
    "show grants for current_user()",
    "show table status",
    "show table status from heapql like 'p%'",
    "show plugins",
    "show triggers from heapql",
    "show events",
    "show procedure status",
    "show open tables",
    "show storage engines",
    "show privileges",
    "show warnings",
    "show errors",
    "show count(*) warnings",
    "show create database oceanbase",
    "show profiles",
    "show warnings limit 10",
    "show master status",
];

#[tokio::test]
async fn shows() {
    let house = House::new();
    let client = house.mysql();
    let heading =
        async |text: &str| client.ask(text).await.unwrap_or_else(|failure| panic!("{text}: {failure}")).headings;
    assert_eq!(heading("show tables").await, ["Tables_in_oceanbase"]);
    assert_eq!(heading("show full tables from heapql like 'p%'").await, ["Tables_in_heapql (p%)", "Table_type"]);
    assert_eq!(
        client.rows("show tables from heapql like 'P%'").await,
        [["past_suspects"], ["process_memory"], ["processes"]]
    );
    let kinds = client.rows("show full tables from heapql like '%process'").await;
    assert_eq!(kinds, [["live_by_process", "VIEW"]]);
    assert_eq!(client.rows("show databases").await, [["heapql"], ["information_schema"], ["oceanbase"]]);
    assert_eq!(client.rows("show variables like 'version_comm%'").await.len(), 1);
    assert_eq!(client.rows("SHOW VARIABLES WHERE Variable_name IN ('autocommit', \"sql_mode\")").await.len(), 2);
    assert_eq!(
        client.rows("show session variables where `Variable_name` = 'autocommit'").await,
        [["autocommit", "ON"]]
    );
    assert_eq!(heading("show create table processes").await, ["Table", "Create Table"]);
    for text in ALL_SHOWS {
        heading(text).await;
    }
    assert_eq!(client.refused("show nonsense").await, FailureKind::Unsupported);
}

#[tokio::test]
async fn warnings_are_of_the_statement_before() {
    let house = House::new();
    let client = house.mysql();
    client.done("alter system set _min_malloc_sample_interval = 10000").await;
    for _ in 0..2 {
        let rows = client.rows("show warnings").await;
        assert_eq!(rows[0][..2], ["Warning", "4147"]);
        assert_eq!(client.one("show count(*) warnings").await, "1");
    }
    client.refused("select none").await;
    assert_eq!(client.rows("show errors").await.len(), 1);
    assert_eq!(client.session.warnings(), []);
    client.rows("select 1").await;
    assert!(client.rows("show warnings").await.is_empty());
    assert_eq!(client.one("select @@none_such").await, "NULL");
    assert!(client.session.warnings()[0].message.contains("none_such"));
    client.done("set none_such = 1").await;
    assert!(client.session.warnings()[0].message.contains("ignored"));
}

#[tokio::test]
async fn errors_are_short_and_of_their_kind() {
    let house = House::new();
    let cases = [
        ("select * from procesess", FailureKind::UnknownTable),
        ("select pidd from processes", FailureKind::UnknownColumn),
        ("select * from none.processes", FailureKind::UnknownTable),
        ("selec 1", FailureKind::Syntax),
        ("select 1 +", FailureKind::Syntax),
        ("select none_such(1)", FailureKind::Query),
        ("select cast('a' as bigint)", FailureKind::Query),
        ("select 'open", FailureKind::Syntax),
        ("vacuum", FailureKind::ReadOnly),
        ("use none", FailureKind::UnknownDatabase),
    ];
    for client in [house.mysql(), house.postgres()] {
        for (text, kind) in cases {
            let failure = client.ask(text).await.expect_err(text);
            assert_eq!(failure.kind, kind, "{text}: {failure}");
            for noise in ["DataFusion", "Error during", "search path", "backtrace", "\n"] {
                assert!(!failure.message.contains(noise), "{text}: {failure}");
            }
        }
        let hint = |failure: heapql_server::Failure| failure.hint.expect("a hint");
        assert!(hint(client.ask("select * from procesess").await.expect_err("none")).contains("processes"));
        assert!(hint(client.ask("select pidd from processes").await.expect_err("none")).contains("pid"));
    }
}
