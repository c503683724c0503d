//! PostgreSQL's dialect, its prepared statements, and what psql's backslash commands send (psql 15).

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::House;
use super::answer;
use super::ledger::GLIBC;
use super::ledger::Recorded;
use crate::Outcome;
use heapql_server::FailureKind;

#[tokio::test]
async fn settings() {
    let house = House::new();
    let client = house.postgres();
    assert_eq!(client.one("show server_version").await, "15.0");
    assert_eq!(client.one("SHOW TRANSACTION ISOLATION LEVEL").await, "read committed");
    for text in [
        "SET client_encoding = 'UTF8'",
        "set application_name to 'x'",
        "SET DateStyle = ISO, MDY",
        "SET extra_float_digits TO 3",
        "set search_path = public",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "set time zone 'UTC'",
        "RESET ALL",
        "begin",
        "commit",
        "BEGIN READ ONLY",
        "rollback",
        "discard all",
        "deallocate all",
        "DEALLOCATE x",
        "end",
        "abort",
        "set statement_timeout = '5s'",
    ] {
        client.done(text).await;
    }
    assert_eq!(client.one("show statement_timeout").await, "5s");
    assert_eq!(client.refused("show none_such").await, FailureKind::UnknownParameter);
    assert_eq!(client.refused("set statement_timeout = 'soon'").await, FailureKind::InvalidParameter);
    assert_eq!(client.refused("prepare x as select 1").await, FailureKind::Unsupported);
    let row = "select current_database(), current_schema(), current_user, session_user, pg_backend_pid(), current_setting('server_version')";
    let rows = client.rows(row).await;
    assert_eq!(rows[0][..4], ["oceanbase", "oceanbase", "root", "root"]);
    assert_eq!(client.ask(row).await.expect("answers").headings[0], "current_database");
    assert!(client.one("select version()").await.starts_with("PostgreSQL 15"));
    assert_eq!(client.one("select count(*) from information_schema.tables").await, "24");
}

#[tokio::test]
async fn information_schema_is_postgres_own() {
    let house = House::new();
    let client = house.postgres();
    let text = "select table_catalog, data_type from information_schema.columns \
                where table_name = '__all_virtual_malloc_sample_info' order by ordinal_position limit 2";
    assert_eq!(client.rows(text).await, [["oceanbase", "character varying"], ["oceanbase", "bigint"]]);
    client.done("use heapql").await;
    assert_eq!(client.one("select distinct table_catalog from information_schema.tables").await, "heapql");
}

#[tokio::test]
async fn prepared_statements() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), 4 << 20);
    process.live(&GLIBC, &[1], 2, 8);
    process.live(&GLIBC, &[2], 1, 8);
    let text = "select alloc_count, cast({} as bigint) as n, {} as t from __all_virtual_malloc_sample_info \
                where mod_name = {} and alloc_bytes >= {} order by 1 limit {}";
    let numbered = (1..=5).fold(text.to_owned(), |text, index| text.replacen("{}", &format!("${index}"), 1));
    for (client, text) in [(house.mysql(), text.replace("{}", "?")), (house.postgres(), numbered)] {
        let prepared = client.session.prepare(&text, &[None, Some(DataType::Utf8)]).await.expect("prepares");
        let kinds = &prepared.parameters;
        assert_eq!(kinds[1..], [DataType::Utf8, DataType::Utf8, DataType::Int64, DataType::Int64]);
        let names: Vec<_> =
            prepared.schema.as_ref().expect("rows").fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["alloc_count", "n", "t"]);
        let values = |label: &str, limit: i64| {
            let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
            vec![
                ScalarValue::Int64(Some(-7)),
                text("it's"),
                text(label),
                ScalarValue::Int32(Some(8)),
                ScalarValue::Int64(Some(limit)),
            ]
        };
        let outcome = client.session.execute_prepared(&prepared, values("glibc_malloc", 1)).await.expect("runs");
        assert_eq!(answer(outcome).await.expect("rows").rows, [["1", "-7", "it's"]]);
        let outcome = client.session.execute_prepared(&prepared, values("' or 1=1 -- ", 9)).await.expect("runs");
        assert!(answer(outcome).await.expect("rows").rows.is_empty());
        assert!(client.session.execute_prepared(&prepared, Vec::new()).await.is_err());
    }
}

#[tokio::test]
async fn preparing_changes_nothing() {
    let house = House::new();
    for client in [house.mysql(), house.postgres()] {
        let set =
            client.session.prepare("alter system set _min_malloc_sample_interval = 9", &[]).await.expect("prepares");
        assert!(set.schema.is_none());
        assert_eq!(
            client.one("select value from gv$ob_parameters where name like '_min%'").await,
            "16",
            "only prepared"
        );
        let show = client.session.prepare("show parameters like '_min%'", &[]).await.expect("prepares");
        assert_eq!(show.schema.expect("rows").fields().len(), 14);
        assert!(client.session.prepare("insert into t values (1)", &[]).await.is_err());
    }
}

async fn names(client: &super::Client, text: &str, column: usize) -> Vec<String> {
    client.rows(text).await.into_iter().map(|row| row[column].clone()).collect()
}

#[tokio::test]
async fn backslash_commands() {
    let house = House::new();
    let client = house.postgres();
    let d = r#"SELECT n.nspname as "Schema", c.relname as "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type",
  pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r','p','v','m','S','f','')
      AND n.nspname <> 'pg_catalog'
      AND n.nspname !~ '^pg_toast'
      AND n.nspname <> 'information_schema'
  AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 1,2;"#;
    assert_eq!(
        names(&client, d, 1).await,
        [
            "callsites",
            "frames",
            "history",
            "leak_suspects",
            "leak_verdicts",
            "live_by_callsite",
            "live_by_function",
            "live_by_label",
            "live_by_module",
            "live_by_process",
            "past_suspects",
            "process_memory",
            "processes",
            "self_usage",
            "servers",
            "snapshots",
            "top",
            "__all_server",
            "__all_virtual_malloc_sample_info",
            "__all_virtual_memory_info",
            "__all_virtual_sys_parameter_stat",
            "dba_ob_servers",
            "gv$ob_memory",
            "gv$ob_parameters"
        ]
    );
    assert_eq!(client.rows(d).await[0], ["heapql", "callsites", "table", "root"]);
    let du = r#"SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolconnlimit, r.rolvaliduntil,
  ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE m.member = r.oid) as memberof
, r.rolreplication, r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1;"#;
    assert_eq!(names(&client, du, 0).await, ["root"]);
    let dt = r#"SELECT n.nspname as "Schema", pg_catalog.format_type(t.oid, NULL) AS "Name"
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))
  AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_type el WHERE el.oid = t.typelem AND el.typarray = t.oid)
  AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema' AND pg_catalog.pg_type_is_visible(t.oid)
ORDER BY 1, 2;"#;
    assert!(client.rows(dt).await.is_empty());
    let dn = r#"SELECT n.nspname AS "Name", pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner",
  pg_catalog.array_to_string(n.nspacl, E'\n') AS "Access privileges",
  pg_catalog.obj_description(n.oid, 'pg_namespace') AS "Description"
FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1;"#;
    assert_eq!(names(&client, dn, 0).await, ["heapql", "oceanbase"]);
}

#[tokio::test]
async fn deallocate_names_a_prepared_statement() {
    let house = House::new();
    let client = house.postgres();
    for (text, expected) in [
        ("DEALLOCATE ALL;", None),
        ("deallocate prepare all", None),
        ("deallocate prepare S_1", Some("s_1")),
        ("/* a */ DEALLOCATE \"S_1\"", Some("S_1")),
    ] {
        let Ok(Outcome::Deallocate { name }) = client.session.execute(text).await else { panic!("{text}") };
        assert_eq!(name.as_deref(), expected, "{text}");
    }
    for text in ["DEALLOCATE", "DEALLOCATE a b", "DEALLOCATE 1"] {
        assert_eq!(client.refused(text).await, FailureKind::Syntax, "{text}");
    }
}
