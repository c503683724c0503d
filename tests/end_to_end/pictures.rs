//! Flame graphs, pprof and folded stacks of a real program: as SQL values over both protocols, and by the verbs.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::clients::python;
use crate::harness::{Client, Ended, Launch, Program, Server, get, heapql, scratch, tests_dir, tool};

/// Holds what is known: 12 objects of 1009 bytes, 5 of 400, and stacks of 60 calls.
fn recorded() -> (Server, i32) {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1).http("127.0.0.1:0").start();
    let pid = server.ready();
    server.order("malloc 12 1009");
    server.order("calloc 5 400");
    server.order("deep 3 77");
    (server, pid)
}

/// `heapql VERB ..` about the server's ledgers.
fn verb(server: &Server, arguments: &[&str]) -> crate::harness::Output {
    let mut command = Command::new(heapql());
    command.args(arguments).args(["--server", &server.endpoints.postgres]).env("NO_COLOR", "1");
    tool(&mut command, "")
}

#[test]
fn folded_stacks_add_up_to_what_the_tables_say() {
    let (mut server, pid) = recorded();
    server.order("churn 10 500");
    for mut client in server.clients() {
        let folded = client.query("SELECT folded()").value().to_owned();
        let values =
            folded.lines().map(|line| line.rsplit_once(' ').expect("a value").1.parse::<i64>().expect("a number"));
        let sum = client.query(&format!("SELECT sum(est_bytes) FROM callsites WHERE pid = {pid}")).number();
        assert_eq!(values.sum::<i64>(), sum, "{folded}");
        assert_eq!(sum, 12 * 1009 + 5 * 400 + 3 * 77);
        assert!(folded.lines().any(|line| line.contains(";main;") && line.ends_with("by_malloc 12108")), "{folded}");
        let counts = client.query("SELECT folded('live_count', NULL, 'glibc_malloc')").value().to_owned();
        assert!(counts.lines().any(|line| line.ends_with("by_malloc 12")), "{counts}");
        assert_eq!(client.query("SELECT folded('live_bytes', 1)").value(), "");
        let ever = client.query("SELECT folded('total_count')").value().to_owned();
        assert!(ever.lines().any(|line| line.contains(";churn;") && line.ends_with(" 10")), "{ever}");
    }
}

#[test]
fn a_flame_graph_has_functions_files_and_lines() {
    let (server, pid) = recorded();
    for mut client in server.clients() {
        let svg = client.query("SELECT flamegraph_svg()").value().to_owned();
        let total = 12 * 1009 + 5 * 400 + 3 * 77;
        assert!(svg.contains("all: 14,339 bytes in 20 allocations, 100.00%"), "{total}: {svg}");
        assert!(svg.contains("exact.c:23: 12,108 bytes in 12 allocations, 84.44%"), "{svg}");
        assert!(svg.contains("the numbers are exact") && svg.contains(&format!("(pid {pid})")), "{svg}");
        let page = client.query(&format!("SELECT flamegraph_html('live_count', {pid})")).value().to_owned();
        assert!(page.contains("by_malloc") && page.contains("default-src 'none'"), "{page}");
        let refused = client.refused("SELECT flamegraph_svg('bytes')");
        assert!(refused.to_string().contains("live_bytes"), "{refused}");
        assert!(client.refused("SELECT flamegraph_svg('live_bytes', 1, 'a', 'b', 'c', 'd')").to_string().contains("6"));
        // One for each process.
        let rows = client.query("SELECT pid, length(flamegraph_svg('live_bytes', pid)) FROM processes").rows;
        assert_eq!(rows.len(), 2);
    }
}

#[test]
fn what_changed_between_marks_is_drawn() {
    let (mut server, _) = recorded();
    let mut client = server.postgres();
    client.query("SELECT mark('before')");
    server.order("malloc 100 1009");
    server.order("free calloc 5");
    client.query("SELECT mark('after')");
    server.order("malloc 100 1009");
    let svg = client.query("SELECT flamegraph_svg('live_bytes', NULL, NULL, 'before', 'after')").value().to_owned();
    assert!(svg.contains("before 11.8 KiB, change +98.5 KiB"), "{svg}");
    assert!(svg.contains("Gone: 2.0 KiB in 1 paths") && svg.contains("by_calloc"), "{svg}");
    let page = get(&server.endpoints.http, "/flamegraph?from=before&to=after&format=svg");
    assert!(page.ok().contains("change +98.5 KiB"), "{}", page.text());
    let since = client.query("SELECT flamegraph_html('live_count', NULL, NULL, 'before')").value().to_owned();
    assert!(since.contains("Live allocations grew from 20 to 215 (+195)"), "{since}");
    let refused = client.refused("SELECT flamegraph_svg('live_bytes', NULL, NULL, 'after', 'before')");
    assert!(refused.to_string().contains("before"), "{refused}");
    let refused = client.refused("SELECT flamegraph_svg('total_bytes', NULL, NULL, 'before')");
    assert!(refused.to_string().contains("total_bytes"), "{refused}");

    let diff = verb(&server, &["diff", "before", "after"]);
    assert!(diff.ok().contains("change +98.5 KiB"), "{}", diff.stdout);
    assert_eq!(verb(&server, &["diff", "nonesuch"]).ended, Ended::Status(1));
}

#[test]
fn pprof_is_what_a_protobuf_parser_says() {
    let (server, pid) = recorded();
    let file = server.home().path().join("heap.pb.gz");
    let name = file.to_str().expect("text");
    let wrote = verb(&server, &["export", "--format", "pprof", "-o", name]);
    assert!(wrote.ok().is_empty() && wrote.stderr.contains("wrote"), "{}", wrote.stderr);
    let mut command = Command::new(python());
    command.arg(tests_dir().join("clients/with_protobuf.py")).args([name, &pid.to_string()]);
    let output = tool(command.env("PYTHONDONTWRITEBYTECODE", "1"), "");
    assert_eq!(output.ok(), "ok\n", "{}", output.stderr);
    // The same bytes come over HTTP, but for the time.
    let page = get(&server.endpoints.http, &format!("/debug/pprof/heap?pid={pid}"));
    std::fs::write(&file, &page.body).expect("written");
    assert_eq!(tool(&mut command, "").ok(), "ok\n");
}

#[test]
fn verbs_write_what_was_asked_for_where_it_was_asked() {
    let (server, pid) = recorded();
    let at = |name: &str| server.home().path().join(name).to_str().expect("text").to_owned();
    verb(&server, &["flame", "-o", &at("heap.html"), "--pid", &pid.to_string()]).ok();
    verb(&server, &["flame", "-o", &at("heap.svg"), "--value", "live_count", "--label", "glibc_malloc"]).ok();
    let read = |name: &str| std::fs::read_to_string(at(name)).expect("the file");
    assert!(read("heap.html").starts_with("<!DOCTYPE html>") && read("heap.svg").starts_with("<svg "));
    let svg = verb(&server, &["flame"]);
    assert!(svg.ok().starts_with("<svg ") && svg.stdout.ends_with("</svg>\n"));
    let folded = verb(&server, &["export", "--format", "folded"]);
    assert!(folded.ok().contains("by_malloc 12108\n"), "{}", folded.stdout);
    let nowhere = verb(&server, &["export", "-o", "/nonexistent/heap.pb.gz"]);
    assert!(nowhere.ended == Ended::Status(1) && nowhere.stderr.contains("/nonexistent"), "{}", nowhere.stderr);
    assert_eq!(verb(&server, &["flame", "--value", "bytes"]).ended, Ended::Status(2));
    // Without a server, from the ledgers.
    let mut offline = Command::new(heapql());
    offline.args(["flame", "--server", "off", "--dir"]).arg(server.ledgers());
    assert!(tool(&mut offline, "").ok().contains("by_malloc"));
}

#[test]
fn a_programs_own_name_is_only_text() {
    let home = scratch();
    let program = home.path().join("<img src=x onerror=alert(1)>;&'\"");
    symlink(Program::new("exact.c").path(), &program).expect("linked");
    let mut server = Launch::run(&program, &["<script>alert(1)<!--"]).intervals(1, 1).http("127.0.0.1:0").start();
    server.ready();
    server.order("malloc 12 1009");
    for of in ["/", "/flamegraph", "/flamegraph?format=svg", "/metrics"] {
        let page = get(&server.endpoints.http, of).ok();
        assert!(of == "/metrics" || (!page.contains("<img") && !page.contains("<script>alert")), "{of}: {page}");
        assert!(page.contains("onerror=alert"), "{of}: {page}");
    }
}
