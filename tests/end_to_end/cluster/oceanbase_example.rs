//! OceanBase's documented example on three servers: one query on any of them prints the rows of all.

use std::process::Command;

use super::*;
use crate::harness::{Login, Mysql, eventually, tool};

const SELECT: &str =
    "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' ORDER BY alloc_bytes DESC limit 10";
const MIN: &str = "_min_malloc_sample_interval";
const MAX: &str = "_max_malloc_sample_interval";

/// The stacks of the example: count and bytes of each on every server.
const PICTURE: [(&str, i64, i64); 4] =
    [("malloc", 3, 3_145_744), ("calloc", 1, 4_194_320), ("realloc", 1, 3_145_744), ("memalign", 2, 65_560)];

fn painted(cluster: &Cluster) -> Vec<Recorded> {
    let program = |member: &crate::harness::Member| {
        let mut program = member.record(Program::new("exact.c").path(), &[], (1, 1));
        for (kind, count, bytes) in PICTURE {
            program.order(&format!("{kind} {count} {bytes}"));
        }
        program
    };
    cluster.members().iter().map(program).collect()
}

#[test]
fn the_documented_query_on_any_server_prints_the_rows_of_all() {
    let cluster = Cluster::of(3);
    let _programs = painted(&cluster);
    let mut expected = Vec::new();
    for (_, count, bytes) in PICTURE {
        for member in cluster.members() {
            let [ip, port] = member.ip_and_port();
            expected.push([ip, port, &count.to_string(), &(count * bytes).to_string()].map(str::to_owned));
        }
    }
    for member in cluster.members() {
        for mut client in member.server().clients() {
            let answer = client.query(SELECT);
            assert_eq!(client.warnings(), [""; 0]);
            let names = ["svr_ip", "svr_port", "alloc_count", "alloc_bytes"];
            let columns = names.map(|name| answer.column(name));
            let mut rows: Vec<[String; 4]> =
                (0..answer.rows.len()).map(|row| columns.each_ref().map(|column| column[row].to_owned())).collect();
            assert!(rows.is_sorted_by_key(|row| -row[3].parse::<i64>().expect("a number")), "{rows:?}");
            // The tenth is one of three that are alike.
            let last = rows.pop().expect("ten rows");
            assert!(expected[9..].contains(&last), "{last:?}");
            rows.sort();
            let mut first = expected[..9].to_vec();
            first.sort();
            assert_eq!(rows, first);
        }
    }
    // Offsets in the program are the same everywhere, as in the example.
    let stacks = "SELECT count(DISTINCT split_part(back_trace, ' ', 1)) FROM __all_virtual_malloc_sample_info \
                  WHERE mod_name = 'glibc_malloc'";
    assert_eq!(cluster.member(0).mysql().query(stacks).number(), 4);
}

#[test]
fn the_mariadb_client_prints_the_documented_table() {
    let cluster = Cluster::of(3);
    let _programs = painted(&cluster);
    let port = cluster.member(1).server().endpoints.mysql_port().to_owned();
    let mut mariadb = Command::new("mariadb");
    mariadb.args(["--no-defaults", "-h127.0.0.1", "-P", &port, "-uroot@sys", "-Doceanbase", "-t", "-e", SELECT]);
    let printed = tool(&mut mariadb, "");
    let text = printed.ok();
    for member in cluster.members() {
        let [ip, port] = member.ip_and_port();
        let rows =
            text.lines().filter(|line| line.contains(&format!("| {ip} ")) && line.contains(&format!(" {port} |")));
        assert!(rows.count() >= 3, "{text}");
    }
    assert_eq!(text.matches("|     9437232 |").count(), 3, "{text}");
}

#[test]
fn a_condition_on_the_server_asks_that_one_only() {
    let known = Known::start();
    let [ip, port] = known.cluster.member(1).ip_and_port();
    let sql = format!("{} AND (svr_ip, svr_port) = ('{ip}', {port})", Ask::Rows.sql());
    known.cluster.member(2).stop();
    for mut client in known.cluster.member(0).server().clients() {
        let answer = client.query(&sql);
        assert_eq!(client.warnings(), [""; 0], "no server is waited for that is not asked");
        assert_eq!(Ask::Rows.said(&answer), Ask::Rows.expected(&known.held[1..2]));
        let plan = client.query(&format!("EXPLAIN {sql}"));
        let plan: Vec<String> = plan.rows.iter().map(|row| row.join(" ")).collect();
        assert!(plan.join("\n").contains(&format!("servers=1 [{ip}:{port}]")), "{plan:#?}");
    }
    known.cluster.member(2).resume();
}

/// A parameter as every server says it is, and as the programs on all of them have it.
fn values(client: &mut dyn Client, name: &str) -> Vec<String> {
    let answer = client.query(&format!("SHOW PARAMETERS LIKE '{name}'"));
    answer.column("value").into_iter().map(str::to_owned).collect()
}

fn programs_intervals(client: &mut dyn Client) -> Vec<Vec<String>> {
    let sql = "SELECT min_interval, max_interval FROM heapql.processes WHERE command LIKE '%exact%' AND state = 'alive' \
               ORDER BY svr_ip";
    client.query(sql).rows
}

#[test]
fn a_parameter_set_on_one_holds_on_all_and_in_their_programs() {
    let known = Known::start();
    let mut first = known.cluster.member(0).mysql();
    assert_eq!(programs_intervals(&mut first), [["1", "1"], ["1", "1"], ["1", "1"]]);
    for (pair, number) in [((20, 200), 0), ((30, 300), 1), ((40, 400), 2)] {
        let mut client = known.cluster.member(number).postgres();
        client.query(&format!("ALTER SYSTEM SET {MIN} = {}, {MAX} = {}", pair.0, pair.1));
        assert_eq!(client.warnings(), [""; 0]);
        let pair = [pair.0.to_string(), pair.1.to_string()];
        for member in known.cluster.members() {
            for mut client in member.server().clients() {
                eventually(&format!("{} to hold {pair:?}", member.address), || {
                    let client = client.as_mut();
                    let shown = values(client, MIN) == vec![pair[0].clone(); 3]
                        && values(client, MAX) == vec![pair[1].clone(); 3];
                    (shown && programs_intervals(client) == vec![pair.to_vec(); 3]).then_some(())
                });
            }
        }
    }
    // One server only.
    let other = known.address(1).to_owned();
    first.query(&format!("ALTER SYSTEM SET {MIN} = 77 SERVER = '{other}'"));
    let expected: Vec<Vec<String>> =
        [["40", "400"], ["77", "400"], ["40", "400"]].map(|pair| pair.map(str::to_owned).to_vec()).into();
    eventually("one server's programs to follow", || (programs_intervals(&mut first) == expected).then_some(()));
    assert_eq!(values(&mut first, MIN), ["40", "77", "40"]);
    let refused = first.refused(&format!("ALTER SYSTEM SET {MIN} = 78 SERVER = '127.0.0.1:1'"));
    assert_eq!(refused.number, Some(1210), "{refused}");
}

#[test]
fn servers_are_added_and_deleted_by_statements() {
    let mut cluster = Cluster::of(2);
    cluster.add_stranger(&[]);
    let third = cluster.member(2).address.clone();
    cluster.member(2).sees(&[("ACTIVE", 1)]);
    let mut client = cluster.member(0).mysql();
    client.query(&format!("ALTER SYSTEM ADD SERVER '{third}'"));
    cluster.settled();
    // Again: there is nothing to do.
    client.query(&format!("ALTER SYSTEM ADD SERVER '{third}'"));
    client.query(&format!("ALTER SYSTEM DELETE SERVER '{third}'"));
    for number in 0..2 {
        cluster.member(number).sees(&[("ACTIVE", 2)]);
        let mut client = cluster.member(number).postgres();
        assert_eq!(client.query("SELECT count(DISTINCT svr_ip) FROM heapql.processes").number(), 2);
        assert_eq!(client.warnings(), [""; 0]);
    }
    client.refused(&format!("ALTER SYSTEM DELETE SERVER '{third}'"));
    client.refused("ALTER SYSTEM ADD SERVER 'nowhere'");
}

#[test]
fn membership_survives_the_restart_of_all() {
    let mut cluster = Cluster::of(3);
    for number in 0..3 {
        cluster.member_mut(number).kill();
    }
    // It was started without a peer: it knows the others by what it kept.
    cluster.member_mut(0).restart();
    cluster.member(0).sees(&[("ACTIVE", 1), ("INACTIVE", 2)]);
    let missing = {
        let mut client = cluster.member(0).mysql();
        client.query("SELECT count(*) FROM heapql.processes");
        client.warnings()
    };
    for number in 1..3 {
        assert!(missing.iter().any(|warning| warning.contains(&cluster.member(number).address)), "{missing:?}");
        cluster.member_mut(number).restart();
    }
    cluster.settled();
}

#[test]
fn rows_of_every_table_name_their_server() {
    let known = Known::start();
    let expected: Vec<Vec<String>> =
        known.cluster.members().iter().map(|member| member.ip_and_port().map(str::to_owned).to_vec()).collect();
    let mut client = known.cluster.member(0).postgres();
    for (table, condition) in [
        ("processes", "true"),
        ("callsites", "true"),
        ("frames", "label = 'glibc_malloc'"),
        ("self_usage", "true"),
        ("process_memory", "true"),
        ("servers", "true"),
        ("GV$OB_PARAMETERS", "true"),
        ("GV$OB_MEMORY", "true"),
        ("DBA_OB_SERVERS", "true"),
    ] {
        let sql = format!("SELECT DISTINCT svr_ip, svr_port FROM {table} WHERE {condition} ORDER BY 1, 2");
        assert_eq!(client.query(&sql).rows, expected, "{table}");
        assert_eq!(client.warnings(), [""; 0], "{table}");
    }
    // Where a client of MySQL would go.
    let ports: Vec<String> =
        known.cluster.members().iter().map(|member| member.server().endpoints.mysql_port().to_owned()).collect();
    assert_eq!(client.query("SELECT sql_port FROM servers ORDER BY svr_ip").column("sql_port"), ports);
    let address = &known.cluster.member(2).server().endpoints.mysql;
    let mut other = Mysql::connect(address, &Login::root()).expect("it listens there");
    other.assert_alive();
}
