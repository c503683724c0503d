//! `heapql sql` and `heapql set`: which server they find, and that it answers as the ledgers do.

use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{Client, Ended, Launch, Output, Program, Server, heapql, record_into, scratch, tool};

const FORMATS: [&str; 4] = ["table", "csv", "json", "md"];
const MIN: &str = "_min_malloc_sample_interval";

fn run(home: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(heapql());
    command.args(arguments).env("HEAPQL_DIR", home.path().join("ledgers")).env_remove("HEAPQL_PASSWORD");
    tool(&mut command, "")
}

fn sql(home: &TempDir, query: &str) -> String {
    run(home, &["sql", query, "-f", "csv"]).ok().lines().skip(1).collect::<Vec<_>>().join("\n")
}

/// The server of `SHOW PARAMETERS`: its port, 0 without a listener.
fn found_port(home: &TempDir) -> String {
    sql(home, "SELECT DISTINCT svr_port FROM oceanbase.gv$ob_parameters")
}

/// A home with the ledger of a program that has ended.
fn recorded() -> Arc<TempDir> {
    let home = Arc::new(scratch());
    let mut command = Command::new(Program::new("fixed.c").path());
    record_into(&mut command, &home.path().join("ledgers"), (1, 1));
    tool(&mut command, "");
    home
}

fn port(server: &Server) -> String {
    server.endpoints.mysql_port().to_owned()
}

#[test]
fn a_server_and_the_ledgers_answer_alike() {
    let home = recorded();
    // The server records itself as well, and goes on changing.
    let dead = "(SELECT pid FROM processes WHERE state = 'dead')";
    let queries = [
        format!("SELECT * FROM (SELECT pid, label, back_trace, est_bytes, est_count FROM callsites WHERE pid IN {dead})"),
        format!("SELECT pid, program, process_started_at, why, state FROM processes WHERE pid IN {dead}"),
        "SELECT 1 AS a, 1.5 AS b, true AS c, NULL AS d, 'x,\"y\"\nz' AS e, CAST('NaN' AS DOUBLE) AS f, now() > now() AS g"
            .to_owned(),
        "SHOW TABLES; SHOW FULL COLUMNS FROM callsites".to_owned(),
        "SELECT value FROM generate_series(1, 3000)".to_owned(),
        "-- a comment first\nSELECT count(*) FROM callsites WHERE pid = -1".to_owned(),
        "SELECT * FROM nonsense".to_owned(),
        "SELECT 1; SELEC 2; SELECT 3".to_owned(),
    ];
    let _server = Launch::serve(&home).start();
    for query in &queries {
        for format in FORMATS {
            let served = run(&home, &["sql", query, "-f", format]);
            let read = run(&home, &["sql", query, "-f", format, "--server", "off"]);
            assert_eq!(served, read, "{query}");
            assert!(!served.stdout.is_empty() || served.ended == Ended::Status(1), "{query}");
        }
    }
    let wrong = run(&home, &["sql", "SELECT * FROM nonsense"]);
    assert_eq!(wrong.ended, Ended::Status(1));
    assert!(wrong.stderr.contains("(SQLSTATE 42P01)") && wrong.stderr.contains("hint: "), "{}", wrong.stderr);
}

#[test]
fn the_server_that_runs_is_found() {
    let home = recorded();
    assert_eq!(found_port(&home), "0", "no server runs");
    let mut server = Launch::serve(&home).start();
    assert_eq!(found_port(&home), port(&server));
    server.signal(libc::SIGTERM);
    server.wait();
    assert_eq!(found_port(&home), "0", "it has taken its file away");
    let server = Launch::serve(&home).start();
    server.signal(libc::SIGKILL);
    drop(server);
    assert_eq!(found_port(&home), "0", "the file that it left is ignored");
    let left = std::fs::read_dir(home.path().join("ledgers")).expect("listed").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with("server-")));
}

#[test]
fn the_server_of_a_run_is_found_unless_there_are_several() {
    let home = Arc::new(scratch());
    let run_of = || Launch::run("sleep", &["1000"]).home(&home).start();
    let first = run_of();
    assert_eq!(found_port(&home), port(&first));
    let second = run_of();
    let said = run(&home, &["sql", "SELECT 1 AS a", "-f", "csv"]);
    assert_eq!(said.ok(), "a\n1\n");
    assert!(said.stderr.contains("2 programs are being run") && said.stderr.contains(&second.endpoints.postgres));
    assert_eq!(found_port(&home), "0");
    let chosen = ["sql", "SELECT DISTINCT svr_port FROM oceanbase.gv$ob_parameters", "-f", "csv", "--server"];
    let chosen = run(&home, &[&chosen[..], &[&first.endpoints.postgres]].concat());
    assert_eq!(chosen.ok(), format!("svr_port\n{}\n", port(&first)));
    // A server over all of them comes before those of the runs.
    let all = Launch::serve(&home).start();
    assert_eq!(found_port(&home), port(&all));
}

#[test]
fn set_is_told_to_every_server() {
    let home = Arc::new(scratch());
    let ran = Launch::run("sleep", &["1000"]).home(&home).start();
    let served = Launch::serve(&home).start();
    run(&home, &["set", &format!("{MIN}=7"), "_max_malloc_sample_interval=9"]).ok();
    for server in [&ran, &served] {
        let shown = server.mysql().query(&format!("SHOW PARAMETERS LIKE '{MIN}'"));
        assert_eq!(shown.column("value"), ["7"]);
    }
    let intervals = "SELECT DISTINCT min_interval, max_interval FROM processes WHERE program LIKE '%sleep'";
    assert_eq!(sql(&home, intervals), "7,9");
    let kept = std::fs::read_to_string(home.path().join("data/parameters.toml")).expect("the parameter file");
    assert!(kept.contains(MIN), "{kept}");
    let wrong = run(&home, &["set", &format!("{MIN}=0")]);
    assert_eq!(wrong.ended, Ended::Status(1));
    assert!(wrong.stderr.contains("[1, 10000]"), "{}", wrong.stderr);
}

#[test]
fn a_password_is_asked_for_and_taken() {
    let home = Arc::new(scratch());
    let file = home.path().join("password");
    std::fs::write(&file, "open sesame\n").expect("written");
    let file = file.to_str().expect("text");
    let _server = Launch::serve(&home).flag("--password-file").flag(file).start();
    let query = ["sql", "SELECT 1 AS a", "-f", "csv"];
    let without = run(&home, &query);
    assert_eq!(without.ended, Ended::Status(1));
    assert!(without.stderr.contains("asks for a password") && without.stderr.contains("--password-file"));
    assert_eq!(run(&home, &[&query[..], &["--password-file", file]].concat()).ok(), "a\n1\n");
    let mut command = Command::new(heapql());
    command.args(query).env("HEAPQL_DIR", home.path().join("ledgers")).env("HEAPQL_PASSWORD", "wrong");
    let wrong = tool(&mut command, "");
    assert_eq!(wrong.ended, Ended::Status(1));
    assert!(wrong.stderr.contains("28P01") && !wrong.stderr.contains("sesame"), "{}", wrong.stderr);
}

#[test]
fn rows_are_not_collected() {
    let home = scratch();
    // A gigabyte, of which the reader takes three lines.
    let script = "ulimit -v 4000000; \"$0\" sql 'SELECT repeat(cast(value AS varchar), 100) FROM \
                  generate_series(1, 10000000)' -f \"$1\" | head -3 | wc -l";
    for format in FORMATS {
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(heapql()).arg(format).env("HEAPQL_DIR", home.path().join("ledgers"));
        let counted = tool(&mut command, "");
        assert_eq!(counted.ok().trim(), "3", "{format}: {}", counted.stderr);
    }
}
