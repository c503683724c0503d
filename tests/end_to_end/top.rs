//! `heapql top` on a terminal, where it restores the settings however it ends, and without one.

use std::process::Command;
use std::sync::Arc;

use crate::harness::{Ended, Launch, Server, Terminal, heapql, scratch, tool};

/// The built-in program that leaks, recorded.
fn leaking() -> Server {
    Launch::run(heapql(), &["demo-program"]).intervals(1, 4).start()
}

fn command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(heapql());
    command.arg("top").args(arguments).env("HEAPQL_DIR", server.ledgers());
    command
}

fn on_a_terminal(server: &Server, size: (u16, u16)) -> Terminal {
    Terminal::start(command(server, &["--interval", "300ms"]), size.0, size.1)
}

/// The alternate screen is left and the cursor is there again.
fn assert_restored(terminal: &Terminal, before: &str) {
    let raw = terminal.raw();
    assert!(raw.contains("\x1b[?1049h"), "it took a screen of its own");
    assert!(raw.rfind("\x1b[?1049l") > raw.rfind("\x1b[?1049h"), "it left the alternate screen");
    assert!(raw.rfind("\x1b[?25h") > raw.rfind("\x1b[?25l"), "it showed the cursor again");
    assert_eq!(terminal.settings(), before, "the terminal is set as it was");
}

#[test]
fn keys_turn_to_views_and_q_gives_the_terminal_back() {
    let server = leaking();
    let mut terminal = on_a_terminal(&server, (100, 30));
    let before = terminal.settings();
    terminal.shows("q quit");
    terminal.shows("est bytes*");
    terminal.send("s");
    terminal.shows("with calls*");
    // By the user's own code: the demo program leaks in a file of this name.
    terminal.send("4");
    terminal.shows("demo_program");
    terminal.send("2");
    let screen = terminal.shows("glibc_malloc");
    assert!(screen.contains(&server.endpoints.postgres), "it names the server that it asks:\n{screen}");
    terminal.send("\t");
    terminal.shows("demo-program");
    terminal.send("\x1b[D");
    terminal.shows("glibc_malloc");
    terminal.send("s");
    terminal.shows("per minute*");
    // It leaks: some line grows as long as it is looked at.
    terminal.until("growth", |screen| screen.lines().any(|line| line.contains("glibc_malloc") && line.contains('+')));
    terminal.send("/no such label\r");
    terminal.shows("no line passes the filter");
    terminal.send("\x1b");
    terminal.shows("glibc_malloc");
    terminal.send("p");
    terminal.shows("paused");
    terminal.send("q");
    assert_eq!(terminal.wait(), Ended::Status(0));
    assert_restored(&terminal, &before);
}

#[test]
fn ctrl_c_and_signals_give_the_terminal_back() {
    let server = leaking();
    type End = fn(&mut Terminal);
    let ways: [(End, i32); 4] = [
        (|terminal| terminal.send("\x03"), 0),
        (|terminal| terminal.signal(libc::SIGINT), 128 + libc::SIGINT),
        (|terminal| terminal.signal(libc::SIGTERM), 128 + libc::SIGTERM),
        (|terminal| terminal.signal(libc::SIGHUP), 128 + libc::SIGHUP),
    ];
    for (end, status) in ways {
        let mut terminal = on_a_terminal(&server, (80, 24));
        let before = terminal.settings();
        terminal.shows("est bytes*");
        end(&mut terminal);
        assert_eq!(terminal.wait(), Ended::Status(status));
        assert_restored(&terminal, &before);
    }
}

#[test]
fn any_size_will_do() {
    let server = leaking();
    let mut terminal = on_a_terminal(&server, (20, 10));
    terminal.shows("q Tab s / p");
    terminal.send("2");
    terminal.shows("glibc_mal");
    for size in [(1, 1), (300, 3), (2, 60), (0, 0), (79, 24)] {
        terminal.resize(size.0, size.1);
        terminal.send("\t");
    }
    terminal.resize(100, 30);
    terminal.shows("q quit");
    terminal.send("q");
    assert_eq!(terminal.wait(), Ended::Status(0));
}

#[test]
fn a_server_that_went_away_is_waited_for() {
    let home = Arc::new(scratch());
    let first = Launch::serve(&home).start();
    let mut terminal = on_a_terminal(&first, (100, 30));
    terminal.shows("nothing is live");
    first.signal(libc::SIGKILL);
    terminal.shows("is gone; trying again");
    let second = Launch::serve(&home).start();
    terminal.until("the end of the trouble", |screen| !screen.contains("trying again"));
    assert!(
        !terminal.screen().contains(&first.endpoints.postgres) || first.endpoints.postgres == second.endpoints.postgres
    );
    terminal.send("q");
    assert_eq!(terminal.wait(), Ended::Status(0));
}

#[test]
fn without_a_terminal_it_is_one_table() {
    let server = leaking();
    let printed = tool(&mut command(&server, &["--by", "labels"]), "");
    let mut lines = printed.ok().lines();
    assert_eq!(lines.next().map(str::trim_end), Some(" est_bytes | est_count | label"));
    assert!(lines.any(|line| line.ends_with(" | glibc_malloc")), "{}", printed.stdout);
    let printed = tool(&mut command(&server, &["--once", "--by", "processes", "--pid", "1"]), "");
    assert_eq!(printed.ok().lines().count(), 2, "{}", printed.stdout);
    let wrong = tool(&mut command(&server, &["--server", "127.0.0.1:1"]), "");
    assert_eq!(wrong.ended, Ended::Status(1));
    assert!(wrong.stderr.contains("cannot connect to 127.0.0.1:1"), "{}", wrong.stderr);
    assert_eq!(tool(&mut command(&server, &["--interval", "1"]), "").ended, Ended::Status(0));
    assert_eq!(tool(&mut command(&server, &["--interval", "1ms"]), "").ended, Ended::Status(2));
}
