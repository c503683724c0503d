//! The two parameters: where they show, how they change, and that they are kept.

use std::sync::Arc;

use crate::harness::{Client, Launch, Server, scratch};

const MIN: &str = "_min_malloc_sample_interval";
const MAX: &str = "_max_malloc_sample_interval";

fn served() -> Server {
    Launch::serve(&Arc::new(scratch())).start()
}

/// (min, max) as GV$OB_PARAMETERS has them.
fn values(client: &mut dyn Client) -> (String, String) {
    let mut value = |name| {
        let sql = format!("SELECT value FROM GV$OB_PARAMETERS WHERE name = '{name}'");
        client.query(&sql).value().to_owned()
    };
    (value(MIN), value(MAX))
}

fn pair(min: u32, max: u32) -> (String, String) {
    (min.to_string(), max.to_string())
}

#[test]
fn show_parameters_lists_what_the_pattern_names() {
    let server = served();
    for mut client in server.clients() {
        let answer = client.query("SHOW PARAMETERS LIKE '_min_malloc%'");
        let headings = [
            "zone",
            "svr_type",
            "svr_ip",
            "svr_port",
            "name",
            "data_type",
            "value",
            "info",
            "section",
            "scope",
            "source",
            "edit_level",
            "default_value",
            "isdefault",
        ];
        assert_eq!(answer.columns, headings);
        assert_eq!(answer.column("name"), [MIN]);
        assert_eq!(answer.column("value"), ["16"]);
        assert_eq!(answer.column("default_value"), ["16"]);
        assert_eq!(answer.column("svr_ip"), ["127.0.0.1"]);
        assert_eq!(answer.column("edit_level"), ["DYNAMIC_EFFECTIVE"]);
        assert_eq!(answer.column("scope"), ["CLUSTER"]);
        let answer = client.query("SHOW PARAMETERS LIKE '%malloc_sample%'");
        assert_eq!(answer.rows.len(), 3, "the pattern names all");
        assert_eq!(client.query("SHOW PARAMETERS LIKE 'no_such%'").rows.len(), 0);
        assert_eq!(client.query(&format!("SHOW PARAMETERS WHERE name = '{MAX}'")).column("value"), ["256"]);
    }
}

#[test]
fn hidden_parameters_show_once_they_are_changed() {
    let server = served();
    let mut client = server.mysql();
    assert!(!client.query("SHOW PARAMETERS").column("name").contains(&MIN));
    client.query(&format!("ALTER SYSTEM SET {MIN} = 17"));
    let answer = client.query("SHOW PARAMETERS");
    assert!(answer.column("name").contains(&MIN));
    assert!(!answer.column("name").contains(&MAX));
    assert_eq!(client.query(&format!("SHOW PARAMETERS LIKE '{MIN}'")).column("isdefault"), ["0"]);
    assert_eq!(client.query(&format!("SHOW PARAMETERS LIKE '{MAX}'")).column("isdefault"), ["1"]);
}

#[test]
fn the_parameter_tables_always_list_them() {
    let server = served();
    for mut client in server.clients() {
        for table in
            ["GV$OB_PARAMETERS", "gv$ob_parameters", "oceanbase.GV$OB_PARAMETERS", "__all_virtual_sys_parameter_stat"]
        {
            let sql =
                format!("SELECT name, value FROM {table} WHERE name LIKE '%malloc_sample_interval' ORDER BY name");
            assert_eq!(client.query(&sql).rows, [[MAX, "256"], [MIN, "16"]], "{table}");
        }
    }
}

#[test]
fn a_change_is_seen_by_every_client_at_once() {
    let server = served();
    let (mut first, mut second) = (server.mysql(), server.postgres());
    first.query(&format!("ALTER SYSTEM SET {MIN} = 20"));
    assert_eq!(values(&mut second), pair(20, 256));
    second.query(&format!("ALTER SYSTEM SET {MAX} = 200"));
    assert_eq!(values(&mut first), pair(20, 200));
}

#[test]
fn every_form_of_the_statement_is_accepted() {
    let server = served();
    let mut value = 100;
    for mut client in server.clients() {
        let forms = [
            "ALTER SYSTEM SET _max_malloc_sample_interval = {}",
            "alter system set _max_malloc_sample_interval={};",
            "ALTER SYSTEM _MAX_MALLOC_SAMPLE_INTERVAL = {}",
            "ALTER SYSTEM SET _max_malloc_sample_interval = '{}'",
            "ALTER SYSTEM SET _max_malloc_sample_interval = {} COMMENT 'why'",
            "ALTER SYSTEM SET _max_malloc_sample_interval = {} SCOPE = MEMORY",
            "ALTER SYSTEM SET _max_malloc_sample_interval = {} COMMENT 'why' SCOPE = BOTH",
            "ALTER SYSTEM SET _max_malloc_sample_interval = {} ZONE = 'zone1'",
        ];
        for form in forms {
            value += 1;
            let sql = form.replace("{}", &value.to_string());
            let answer = client.query(&sql);
            assert_eq!(answer.affected, Some(0), "{sql}");
            assert_eq!(values(client.as_mut()), pair(16, value), "{sql}");
        }
        client.query("ALTER SYSTEM SET _max_malloc_sample_interval = '0x40'");
        assert_eq!(values(client.as_mut()), pair(16, 64));
        let this = client.query("SELECT svr_ip, svr_port FROM GV$OB_PARAMETERS LIMIT 1").rows[0].join(":");
        client.query(&format!("ALTER SYSTEM SET _max_malloc_sample_interval = 65 SERVER = '{this}'"));
        assert_eq!(values(client.as_mut()), pair(16, 65));
        client.query("ALTER SYSTEM REFRESH MEMORY STAT");
    }
}

#[test]
fn an_inconsistent_pair_is_stored_and_warned_of() {
    let server = served();
    for mut client in server.clients() {
        let client = client.as_mut();
        client.query(&format!("ALTER SYSTEM SET {MIN} = 10000"));
        let warnings = client.warnings();
        assert_eq!(warnings.len(), 1, "{}: {warnings:?}", client.protocol());
        for part in [MIN, MAX, "10000", "256", "16..256"] {
            assert!(warnings[0].contains(part), "{part} in {warnings:?}");
        }
        assert_eq!(values(client), pair(10_000, 256));
        client.query(&format!("ALTER SYSTEM SET {MIN} = 16"));
        assert!(client.warnings().is_empty());
    }
    let mut client = server.mysql();
    client.query(&format!("ALTER SYSTEM SET {MIN} = 300"));
    assert_eq!(client.warning_count(), 1, "the packet counts it");
    let (level, code, _) = client.show_warnings().remove(0);
    assert_eq!((level.as_str(), code.as_str()), ("Warning", "4147"));
}

#[test]
fn a_list_is_checked_before_any_of_it_is_applied() {
    let server = served();
    for mut client in server.clients() {
        let client = client.as_mut();
        client.query(&format!("ALTER SYSTEM SET {MIN} = 2, {MAX} = 3"));
        assert!(client.warnings().is_empty(), "the pair in between never comes into force");
        assert_eq!(values(client), pair(2, 3));
        client.query(&format!("ALTER SYSTEM SET {MIN} = 16 COMMENT 'x', {MAX} = 256 SCOPE = MEMORY"));
        assert_eq!(values(client), pair(16, 256));
        client.refused(&format!("ALTER SYSTEM SET {MIN} = 5, {MAX} = 10001"));
        client.refused(&format!("ALTER SYSTEM SET {MIN} = 5, no_such_parameter = 1"));
        client.refused(&format!("ALTER SYSTEM SET {MIN} = 5, {MAX} ="));
        assert_eq!(values(client), pair(16, 256));
        assert_eq!(
            client.try_query(&format!("ALTER SYSTEM SET {MIN} = 5, {MIN} = 6")).is_ok(),
            values(client) == pair(6, 256)
        );
        client.query(&format!("ALTER SYSTEM SET {MIN} = 16"));
    }
}

#[test]
fn serve_keeps_parameters_across_restarts() {
    let home = Arc::new(scratch());
    let first = Launch::serve(&home).start();
    first.mysql().query(&format!("ALTER SYSTEM SET {MIN} = 21, {MAX} = 210"));
    first.mysql().query(&format!("ALTER SYSTEM SET {MAX} = 333 SCOPE = MEMORY"));
    drop(first); // by SIGKILL
    let second = Launch::serve(&home).start();
    assert_eq!(values(&mut second.mysql()), pair(21, 210), "SCOPE = MEMORY is forgotten");
    second.postgres().query(&format!("ALTER SYSTEM SET {MAX} = 444 SCOPE = SPFILE"));
    assert_eq!(values(&mut second.mysql()), pair(21, 210), "SCOPE = SPFILE waits");
    drop(second);
    let third = Launch::serve(&home).start();
    assert_eq!(values(&mut third.mysql()), pair(21, 444));
    third.mysql().query(&format!("ALTER SYSTEM SET {MIN} = 5000"));
    drop(third);
    let fourth = Launch::serve(&home).start();
    assert_eq!(values(&mut fourth.mysql()), pair(5000, 444), "an inconsistent pair too");
    let forced = "SELECT min_interval, max_interval FROM heapql.processes WHERE state = 'alive'";
    assert_eq!(fourth.mysql().query(forced).rows, [["21", "444"]], "with the pair in force");
}
