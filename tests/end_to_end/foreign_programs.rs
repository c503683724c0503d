//! A program that HeapQL does not know, Debian's perl: its frames without debug info, its end before a verdict, and errors in
//! statements about it.

use crate::harness::{Client, Launch, eventually, kill};

/// Debian's perl has no debug info, and its own malloc around that of libc.
const PERL: &str = "my @keep; push @keep, 'x' x (2000 + $_ % 7) for 1 .. 3000; $| = 1; print \"ready $$\\n\"; <STDIN>;";

#[test]
fn an_interpreters_malloc_is_not_the_programs_code() {
    let server = Launch::run("/usr/bin/perl", &["-e", PERL]).intervals(1, 1).start();
    let pid = server.ready();
    let mut client = server.postgres();
    let sql = format!("SELECT app_frame FROM live_by_callsite WHERE pid = {pid} ORDER BY est_bytes DESC");
    let frames = client.query(&sql);
    let frames = frames.column("app_frame");
    assert!(!frames.is_empty());
    assert!(frames.iter().all(|frame| !frame.contains("safesys")), "{frames:?}");
    assert!(frames[0].starts_with("Perl_"), "of those without a name none comes before one that has one: {frames:?}");
    let of_frames = client.query(&format!(
        "SELECT count(*) FROM frames WHERE pid = {pid} AND is_app_frame AND function NOT LIKE 'Perl%' \
         AND kind = 'runtime' AND symbol_note LIKE '%none at this address'"
    ));
    assert_eq!(of_frames.number(), 0, "the rows agree");
}

#[test]
fn a_program_that_ended_too_soon_for_a_verdict_has_a_hint_where_to_look() {
    let server = Launch::run("/usr/bin/perl", &["-e", PERL]).intervals(1, 1).flag("--keep").start();
    let pid = server.ready();
    kill(pid, libc::SIGKILL);
    let mut client = server.mysql();
    eventually("the program to be dead", || {
        (client.query(&format!("SELECT state FROM processes WHERE pid = {pid}")).value() == "dead").then_some(())
    });
    client.query("SELECT mark('after its end')");
    let why =
        client.query(&format!("SELECT DISTINCT why FROM leak_verdicts WHERE pid = {pid} AND verdict = 'watching'"));
    assert!(why.value().contains("has ended") && why.value().contains("live_by_callsite"), "{why:?}");
    let held = client.query(&format!("SELECT sum(est_bytes) FROM live_by_callsite WHERE pid = {pid}"));
    assert!(held.number() > 3000 * 2000, "{held:?}");
}

#[test]
fn errors_are_brief_and_name_the_bad_value() {
    let server = Launch::run("/usr/bin/perl", &["-e", PERL]).start();
    server.ready();
    for mut client in server.clients() {
        client.query("SELECT mark('first')");
        client.query("SELECT mark('now')");
        for long in
            ["SELECT mark(repeat('m', 10000))".to_owned(), format!("SELECT * FROM growth('{}')", "m".repeat(10_000))]
        {
            let said = client.refused(&long).to_string();
            assert!(said.contains("'mmm") && said.len() < 500, "{} letters", said.len());
        }
        let said = client.refused("SELECT * FROM growth('now', '1 hour')").to_string();
        // What is nearest to an hour ago is the first that there is.
        assert!(said.contains("'1 hour' is before 'now'"), "{said}");
    }
}
