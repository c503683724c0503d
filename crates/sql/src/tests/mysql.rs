//! MySQL's clients, expressions and headings.

use super::House;

#[tokio::test]
async fn mysql_clients_start_up() {
    let house = House::new();
    let client = house.mysql();
    let connector_j = "/* mysql-connector-j-8.0.33 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, \
        @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, \
        @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, \
        @@collation_server AS collation_server, @@collation_connection AS collation_connection, \
        @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, \
        @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, \
        @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, \
        @@query_cache_size AS query_cache_size, @@query_cache_type AS query_cache_type, @@sql_mode AS sql_mode, \
        @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, \
        @@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout";
    let row = &client.rows(connector_j).await[0];
    assert!(row.len() == 21 && row.iter().all(|cell| cell != "NULL"), "{row:?}");
    let settings = [
        "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci",
        "set names 'utf8'",
        "SET autocommit=1",
        "set @@session.autocommit = ON",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET character_set_results = NULL",
        "set sql_safe_updates=1, sql_select_limit=DEFAULT",
        "SET sql_mode=(SELECT CONCAT(@@sql_mode,',PIPES_AS_CONCAT'))",
        "/*!40101 SET NAMES utf8 */",
        "set global wait_timeout = 5",
        "begin",
        "start transaction",
        "commit",
        "rollback",
        "use heapql",
        "set foreign_key_checks = 0",
        "unlock tables",
        "lock tables processes read local",
        "SET TRANSACTION READ ONLY",
    ];
    for text in settings {
        client.done(text).await;
    }
    for name in ["event_scheduler", "default_tmp_storage_engine", "default_storage_engine", "socket", "version_comment"]
    {
        assert_eq!(client.ask(&format!("select @@{name} limit 1")).await.expect(name).headings, [format!("@@{name}")]);
    }
    assert_eq!(client.one("select database() from dual").await, "heapql");
    assert_eq!(client.one("SELECT USER()").await, "root@127.0.0.1");
    assert!(client.one("select version()").await.starts_with("5.7.25-OceanBase"));
    assert_eq!(client.one("select connection_id()").await, client.slot.id().to_string());
    assert_eq!(client.rows("select @@autocommit, @@autocommit, 1, 1").await, [["1", "1", "1", "1"]]);
    assert_eq!(client.done("-- nothing").await, "");
}

#[tokio::test]
async fn mysql_expressions() {
    let house = House::new();
    let client = house.mysql();
    let cases = [
        ("select if(1 > 2, 'a', 'b')", "b"),
        ("select ifnull(null, 'c')", "c"),
        ("select group_concat(a order by a desc separator '-') from (select 1 as a union all select 2) t", "2-1"),
        ("select group_concat(a) from (select 'x' as a) t", "x"),
        ("select 1 <=> null", "false"),
        ("select 'Abc' regexp 'b'", "true"),
        ("select 5 / 2", "2.5"),
        ("select 5 / 0", "NULL"),
        ("select 7 div 2", "3"),
        ("select 7 div 0", "NULL"),
        ("select unix_timestamp() > 1700000000", "true"),
        ("select sleep(0)", "0"),
        ("select \"a'b\"", "a'b"),
        ("select a from (select 1 as `A`, 2 as `order`) t where `order` = 2", "1"),
        ("select last_insert_id()", "0"),
        ("select count(*) from processes for update", "0"),
        ("select sql_no_cache 1", "1"),
    ];
    for (text, value) in cases {
        assert_eq!(client.one(text).await, value, "{text}");
    }
    assert_eq!(client.rows("select value from generate_series(1, 5) order by 1 limit 1, 2").await, [["2"], ["3"]]);
    let headings = client.ask("select SUM( pid ), Count(*), pid + 1 as P from processes group by pid + 1").await;
    assert_eq!(headings.expect("answers").headings, ["SUM( pid )", "Count(*)", "P"]);
    client.rows("select mod_name, sum(alloc_bytes) from __all_virtual_malloc_sample_info group by mod_name order by sum(alloc_bytes) desc").await;
}
