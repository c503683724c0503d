//! OceanBase's documented example: its statements, verbatim and in its order, from the `mariadb` client and from `psql`.

use std::process::Command;

use crate::harness::{Client, Launch, Program, Server, tool};

const SETS: [&str; 6] = [
    "ALTER SYSTEM SET _min_malloc_sample_interval=10000;",
    "ALTER SYSTEM SET _max_malloc_sample_interval=10000;",
    "ALTER SYSTEM SET _min_malloc_sample_interval=1;",
    "ALTER SYSTEM SET _max_malloc_sample_interval=1;",
    "ALTER SYSTEM SET _min_malloc_sample_interval=16;",
    "ALTER SYSTEM SET _max_malloc_sample_interval=256;",
];

const SELECT: &str =
    "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' ORDER BY alloc_bytes DESC limit 10;";

const HEADINGS: &str = "svr_ip svr_port tenant_id ctx_id mod_name back_trace ctx_name alloc_count alloc_bytes";

/// After these the minimum is above the maximum.
const INCONSISTENT: [usize; 2] = [0, 4];

fn recorded() -> Server {
    let server = Launch::run(Program::new("stacks.c").path(), &[]).intervals(1, 1).start();
    server.ready();
    server
}

fn mariadb(server: &Server) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "-h127.0.0.1", "-P", server.endpoints.mysql_port(), "-uroot@sys", "-Doceanbase"]);
    command
}

fn psql(server: &Server) -> Command {
    let mut command = Command::new("psql");
    let connection = format!("host=127.0.0.1 port={} user=root dbname=oceanbase", server.endpoints.postgres_port());
    command.args(["-X", "-v", "ON_ERROR_STOP=1"]).arg(connection);
    command.env("PGCONNECT_TIMEOUT", "30");
    command
}

/// Cells of the lines of a printed table.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn mariadb_pastes_the_page() {
    let server = recorded();
    let page = format!("{}\n{SELECT}\n", SETS.join("\n"));
    // -vvv prints what an interactive session prints.
    let printed = tool(mariadb(&server).args(["-vvv", "--show-warnings"]), &page);
    let text = printed.ok();
    let answers: Vec<&str> = text.lines().filter(|line| line.starts_with("Query OK")).collect();
    assert_eq!(answers.len(), 6, "{text}");
    for (nth, answer) in answers.iter().enumerate() {
        let warned = answer.starts_with("Query OK, 0 rows affected, 1 warning");
        assert!(answer.starts_with("Query OK, 0 rows affected"), "{answer}");
        assert_eq!(warned, INCONSISTENT.contains(&nth), "{}: {answer}", SETS[nth]);
    }
    assert_eq!(text.matches("Warning (Code ").count(), 2, "{text}");
    assert_table(text, "in set");
}

#[test]
fn psql_pastes_the_page() {
    let server = recorded();
    let page = format!("{}\n{SELECT}\n", SETS.join("\n"));
    let printed = tool(&mut psql(&server), &page);
    let text = printed.ok();
    assert_eq!(text.lines().filter(|line| *line == "ALTER SYSTEM").count(), 6, "{text}");
    let warned = |line: &&str| line.starts_with("WARNING:") || line.starts_with("NOTICE:");
    let warnings: Vec<&str> = printed.stderr.lines().filter(warned).collect();
    assert_eq!(warnings.len(), 2, "{}", printed.stderr);
    assert!(warnings.iter().all(|line| line.contains("_min_malloc_sample_interval")), "{warnings:?}");
    assert_table(text, "rows)");
}

/// The SELECT's answer: the documented headings, rows in order, ten at most, the leak among them.
fn assert_table(text: &str, end: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains('|')).collect();
    let headings = cells(lines.first().expect("a table"));
    assert_eq!(headings.join(" "), HEADINGS, "{text}");
    let rows: Vec<Vec<&str>> = lines[1..].iter().map(|line| cells(line)).filter(|row| row.len() == 9).collect();
    assert!((1..=10).contains(&rows.len()), "{text}");
    let bytes: Vec<i64> = rows.iter().map(|row| row[8].parse().expect("a number")).collect();
    assert!(bytes.is_sorted_by(|a, b| a >= b), "{bytes:?}");
    assert!(rows.iter().any(|row| row[7..] == ["300", "371100"]), "{text}");
    assert!(text.contains(end), "{text}");
}

#[test]
fn single_statements_of_the_page_work_with_dash_e_and_dash_c() {
    let server = recorded();
    let printed = tool(mariadb(&server).args(["-t", "-e", SELECT]), "");
    assert_table(printed.ok(), "alloc_bytes");
    let printed = tool(psql(&server).args(["-c", SELECT]), "");
    assert_table(printed.ok(), "alloc_bytes");
    for set in SETS {
        tool(mariadb(&server).args(["-e", set]), "").ok();
        assert_eq!(tool(psql(&server).args(["-c", set]), "").ok(), "ALTER SYSTEM\n");
    }
}

/// The same statements, with what each pair does to the program that runs meanwhile.
#[test]
fn the_modes_of_the_page_are_the_modes_of_the_program() {
    use crate::full_mode::rows_of_size;
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).start();
    server.ready();
    let mut client = server.mysql();
    let mut set = |pair: &[&str]| {
        for statement in pair {
            let answer = client.query(statement.trim_end_matches(';'));
            assert_eq!(answer.affected, Some(0));
        }
    };
    set(&SETS[0..2]);
    server.order("malloc 5000 1009");
    set(&SETS[2..4]);
    server.order("calloc 500 1013");
    set(&SETS[4..6]);
    server.order("valloc 5000 1019");
    let mut client = server.postgres();
    assert_eq!(rows_of_size(&mut client, 1009), [], "zero mode");
    assert_eq!(rows_of_size(&mut client, 1013), [(500, 500 * 1013)], "full mode");
    let normal: i64 = rows_of_size(&mut client, 1019).iter().map(|&(count, _)| count).sum();
    assert!((5000 / 256..=5000 / 16 + 1).contains(&normal), "{normal} samples in normal mode");
}
