//! `heapql sql` on a terminal: editing, completion, history, Ctrl-C.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{Ended, Launch, Server, Terminal, heapql, scratch};

const HOURS: &str = "SELECT count(*) FROM generate_series(1, 1000000000000);";

fn prompt(home: &TempDir, size: (u16, u16)) -> Terminal {
    let mut command = Command::new(heapql());
    command.arg("sql").env("HEAPQL_DIR", home.path().join("ledgers")).env("XDG_STATE_HOME", home.path());
    let terminal = Terminal::start(command, size.0, size.1);
    terminal.shows("heapql>");
    terminal
}

/// Before it the terminal would take keys such as Ctrl-D for its own.
fn at_the_prompt(terminal: &Terminal) {
    terminal.until("the next prompt", |screen| screen.ends_with("heapql>"));
}

fn served() -> (Arc<TempDir>, Server) {
    let home = Arc::new(scratch());
    let server = Launch::serve(&home).start();
    (home, server)
}

#[test]
fn statements_and_commands() {
    let (home, server) = served();
    let mut terminal = prompt(&home, (160, 40));
    terminal.shows(&format!("asking {}", server.endpoints.postgres));
    terminal.send("SELECT 40 +\r");
    terminal.send("2 AS answer;\r");
    terminal.shows(" answer");
    terminal.shows("     42");
    terminal.send("\\x\r");
    terminal.shows("one line per value: on");
    terminal.send("SELECT 1 AS one, 'two' AS two;\r");
    terminal.shows("-[ 1 ]-");
    terminal.shows("two | two");
    terminal.send("\\x\r");
    terminal.shows("one line per value: off");
    terminal.send("\\d\r");
    terminal.shows("callsites");
    terminal.send("\\d heapql.self_usage\r");
    terminal.shows("| what is measured");
    terminal.send("SELECT * FROM nonsense;\r");
    terminal.shows("(SQLSTATE 42P01)");
    terminal.shows("hint: ");
    terminal.send("\\nonsense\r");
    terminal.shows("there is no command '\\nonsense'");
    terminal.send("help\r");
    terminal.shows("Ctrl-D ends");
    terminal.send("SELECT 'typed' AS ");
    terminal.shows("SELECT 'typed' AS");
    // What is being typed is cleared, and the client goes on.
    terminal.send("\x03");
    at_the_prompt(&terminal);
    terminal.send("SELECT 6 * 7 AS after;\r");
    terminal.shows(" after");
    at_the_prompt(&terminal);
    terminal.send("\x04");
    assert_eq!(terminal.wait(), Ended::Status(0));
    // ECHO and ICANON are what a prompt of its own takes away.
    assert!(terminal.is_cooked(), "{}", terminal.settings());
}

#[test]
fn ctrl_c_stops_the_statement_and_not_the_client() {
    let (home, server) = served();
    let mut terminal = prompt(&home, (120, 40));
    terminal.send(&format!("{HOURS}\r"));
    let mut other = server.postgres();
    let running =
        |answer: &crate::harness::Answer| answer.column("Info").iter().any(|info| info.contains("1000000000000"));
    crate::harness::eventually("the statement to run", || {
        running(&crate::harness::Client::query(&mut other, "SHOW FULL PROCESSLIST")).then_some(())
    });
    terminal.send("\x03");
    terminal.shows("canceled: ");
    crate::harness::eventually("the statement to end", || {
        (!running(&crate::harness::Client::query(&mut other, "SHOW FULL PROCESSLIST"))).then_some(())
    });
    terminal.send("SELECT 'alive' AS still;\r");
    terminal.shows(" alive");
    terminal.send("\\q\r");
    assert_eq!(terminal.wait(), Ended::Status(0));
}

#[test]
fn names_are_completed_and_lines_remembered() {
    let (home, _server) = served();
    let mut terminal = prompt(&home, (120, 40));
    terminal.send("SELECT est_bytes_e\t FROM callsi\t LIMIT 0;\r");
    terminal.shows("SELECT est_bytes_error FROM callsites");
    terminal.shows(" est_bytes_error\n");
    terminal.send("SET password = 'secret';\r");
    terminal.shows("was ignored");
    at_the_prompt(&terminal);
    terminal.send("\x04");
    assert_eq!(terminal.wait(), Ended::Status(0));
    let file = home.path().join("heapql/history");
    let kept = std::fs::read_to_string(&file).expect("a history");
    assert!(kept.contains("est_bytes_error") && !kept.contains("secret"), "{kept}");
    assert_eq!(std::fs::metadata(&file).expect("metadata").permissions().mode() & 0o777, 0o600);
    let mut terminal = prompt(&home, (120, 40));
    terminal.send("\x1b[A");
    terminal.shows("heapql> SELECT est_bytes_error FROM callsites LIMIT 0;");
    // A signal finds the terminal in the prompt's own mode.
    let raw = terminal.settings();
    terminal.signal(libc::SIGTERM);
    assert_eq!(terminal.wait(), Ended::Status(128 + libc::SIGTERM));
    assert_ne!(terminal.settings(), raw);
}

#[test]
fn a_wide_table_on_a_narrow_terminal_is_vertical() {
    let (home, _server) = served();
    let mut terminal = prompt(&home, (40, 60));
    terminal.send("SHOW PARAMETERS LIKE '_malloc_sample_depth';\r");
    terminal.shows("-[ 1 ]-");
    terminal.shows("one line per value");
    at_the_prompt(&terminal);
    terminal.send("\x04");
    assert_eq!(terminal.wait(), Ended::Status(0));
}

#[test]
fn a_server_that_came_back_is_asked_again() {
    let home = Arc::new(scratch());
    let first = Launch::serve(&home).listen("off", "127.0.0.1:0").start();
    let address = first.endpoints.postgres.clone();
    let mut terminal = prompt(&home, (120, 40));
    drop(first);
    terminal.send("SELECT 1;\r");
    terminal.shows("error: ");
    let _second = Launch::serve(&home).listen("off", &address).start();
    terminal.send("SELECT 'back' AS again;\r");
    terminal.shows(" back");
    at_the_prompt(&terminal);
    terminal.send("\x04");
    assert_eq!(terminal.wait(), Ended::Status(0));
}
