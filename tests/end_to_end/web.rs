//! The HTTP listener: its answers, its refusals, and that no client holds it up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use crate::harness::{Client, Ended, Launch, Page, Program, Server, ask, eventually, get, scratch};

/// A program that holds 12 objects of 1009 bytes, all recorded.
fn recorded() -> Server {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1).http("127.0.0.1:0").start();
    server.ready();
    server.order("malloc 12 1009");
    server
}

fn path(server: &Server, path: &str) -> Page {
    get(&server.endpoints.http, path)
}

/// Sends a request with these headers instead of a proper Host.
fn with_headers(server: &Server, path: &str, headers: &str) -> Page {
    ask(&server.endpoints.http, &format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"))
}

#[test]
fn each_path_has_its_kind_of_answer() {
    let server = recorded();
    let cases = [
        ("/", "text/html", "HeapQL"),
        ("/healthz", "text/plain", "ok"),
        ("/flamegraph", "text/html", "by_malloc"),
        ("/flamegraph?format=svg&value=live_count", "image/svg+xml", "by_malloc"),
        ("/folded", "text/plain", "by_malloc 12108"),
        ("/folded?value=live_count&label=glibc_malloc", "text/plain", "by_malloc 12"),
        ("/metrics", "text/plain", "heapql_processes{state=\"alive\"} 2"),
        ("/sql?q=SELECT+1+AS+one", "application/json", "[{\"one\":1}]"),
        ("/sql?q=SELECT+1+AS+one,NULL+AS+none&format=csv", "text/csv", "one,none\n1,"),
    ];
    for (of, kind, word) in cases {
        let page = path(&server, of);
        assert!(page.ok().contains(word), "{word} in {of}: {}", page.text());
        assert!(page.header("content-type").starts_with(kind), "{of}: {}", page.header("content-type"));
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{of}");
        assert_eq!(page.header("cache-control"), "no-store", "{of}");
        assert!(page.header("content-security-policy").contains('\''), "{of}");
    }
    let pprof = path(&server, "/debug/pprof/heap?seconds=1");
    assert_eq!((pprof.status, &pprof.body[..2]), (200, &[0x1f, 0x8b][..]));
    // The start page shows the statement behind each of its tables.
    let index = path(&server, "/").ok();
    assert!(index.contains("<code>SELECT svr_ip, svr_port, pid, state") && index.contains("by_malloc"), "{index}");
    let head = ask(&server.endpoints.http, "HEAD /folded HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn statements_are_answered_as_by_the_other_protocols() {
    let server = recorded();
    let sql = "SELECT label, alloc_count FROM (SELECT mod_name AS label, alloc_count FROM __all_virtual_malloc_sample_info \
               WHERE alloc_bytes = 12108) t";
    let post = |content: &str, body: &str| {
        let head = format!("POST /sql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content}\r\n");
        ask(&server.endpoints.http, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
    };
    let expected = "[{\"label\":\"glibc_malloc\",\"alloc_count\":12}]";
    assert_eq!(post("text/plain", sql).ok().trim(), expected);
    // As curl -d sends it.
    assert_eq!(post("application/x-www-form-urlencoded", sql).ok().trim(), expected);
    assert_eq!(post("application/x-www-form-urlencoded", "q=SELECT+7+AS+a&format=csv").ok(), "a\n7\n");
    // Many rows, in pieces.
    let many = post("text/plain", "SELECT value, 'x' AS x FROM generate_series(1, 30000)").ok();
    let many: serde_json::Value = serde_json::from_str(&many).expect("JSON");
    let many = many.as_array().expect("rows");
    assert_eq!((many.len(), many[29_999]["value"].as_i64()), (30_000, Some(30_000)));
    assert_eq!(post("text/plain", "SELECT 1 AS a WHERE false").ok().trim(), "[]");
}

#[test]
fn what_cannot_be_answered_has_a_status_and_a_hint() {
    let server = recorded();
    let cases = [
        ("/nope", 404, "/flamegraph"),
        ("/flamegraph?format=png", 400, "png"),
        ("/flamegraph?value=bytes", 400, "live_bytes"),
        ("/flamegraph?pid=x", 400, "number"),
        ("/flamegraph?pdi=1", 400, "pdi"),
        ("/flamegraph?from=nonesuch", 400, "mark"),
        ("/flamegraph?to=now", 400, "from"),
        ("/sql", 400, "/sql?q="),
        ("/sql?q=SELECT+1;SELECT+2", 400, "one statement"),
        ("/sql?q=SELEC", 403, "read"),
        ("/sql?q=SELECT+nonesuch", 400, "nonesuch"),
        ("/sql?q=SELECT+*+FROM+nonesuch", 404, "nonesuch"),
        ("/sql?q=SELECT+*+FROM+(SELECT", 400, ""),
        ("/sql?q=ALTER+SYSTEM+SET+_min_malloc_sample_interval=7", 403, "read"),
        ("/sql?q=KILL+1", 403, "read"),
        ("/sql?q=SELECT+*+INTO+t+FROM+processes", 403, "read-only"),
        ("/sql?q=SELECT+sleep(1e99)", 400, "sleep"),
    ];
    for (of, status, word) in cases {
        let page = path(&server, of);
        assert_eq!(page.status, status, "{of}: {}", page.text());
        assert!(page.text().starts_with("error: ") && page.text().contains(word), "{of}: {}", page.text());
    }
    let post = "POST /folded HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let refused = ask(&server.endpoints.http, post);
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"));
    server.mysql().assert_alive();
}

#[test]
fn other_sites_and_names_are_refused() {
    let server = recorded();
    for host in ["evil.example", "127.0.0.1.evil.example", "192.168.0.7"] {
        assert_eq!(with_headers(&server, "/", &format!("Host: {host}\r\n")).status, 421, "{host}");
    }
    assert_eq!(with_headers(&server, "/", "").status, 421);
    let of = |path: &str, headers: &str| with_headers(&server, path, &format!("Host: localhost\r\n{headers}")).status;
    assert_eq!(of("/sql?q=SELECT+1", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"), 403);
    assert_eq!(of("/sql?q=SELECT+1", "Origin: https://evil.example\r\n"), 403);
    assert_eq!(of("/folded", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"), 200);
    assert_eq!(of("/sql?q=SELECT+1", "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n"), 200);
}

#[test]
fn a_password_is_asked_for() {
    let home = Arc::new(scratch());
    let file = home.path().join("password");
    std::fs::write(&file, "se:cret\n").expect("written");
    let server = Launch::serve(&home).flag("--password-file").flag(&file).http("127.0.0.1:0").start();
    let with =
        |of: &str, proof: &str| with_headers(&server, of, &format!("Host: localhost\r\nAuthorization: {proof}\r\n"));
    let refused = path(&server, "/folded");
    assert_eq!((refused.status, refused.header("www-authenticate").starts_with("Basic ")), (401, true));
    // root@sys:se:cret, root:se:cret, root@sys:wrong, admin:se:cret
    assert_eq!(with("/folded", "Basic cm9vdEBzeXM6c2U6Y3JldA==").status, 200);
    assert_eq!(with("/sql?q=SELECT+1", "Basic cm9vdDpzZTpjcmV0").status, 200);
    assert_eq!(with("/folded", "Basic cm9vdEBzeXM6d3Jvbmc=").status, 401);
    assert_eq!(with("/folded", "Basic YWRtaW46c2U6Y3JldA==").status, 401);
    assert_eq!(path(&server, "/healthz").ok(), "ok\n");
}

#[test]
fn what_is_too_large_or_no_http_ends_only_its_own_connection() {
    let server = recorded();
    let address = &server.endpoints.http;
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(ask(address, &long).status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert_eq!(ask(address, &many).status, 431);
    assert_eq!(ask(address, "\u{1}\u{2}\r\n\r\n").status, 400);
    let statement = format!("SELECT '{}'", "x".repeat(2 << 20));
    let head = "POST /sql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let large = ask(address, &format!("{head}Content-Length: {}\r\n\r\n{statement}", statement.len()));
    assert_eq!(large.status, 400, "{}", large.text());
    assert!(path(&server, "/healthz").ok() == "ok\n");
}

#[test]
fn connections_are_bounded_and_their_end_frees_the_place() {
    let server = recorded();
    let address = &server.endpoints.http;
    let idle: Vec<TcpStream> = (0..256).map(|_| TcpStream::connect(address).expect("connected")).collect();
    eventually("a refusal", || (path(&server, "/healthz").status == 503).then_some(()));
    drop(idle);
    eventually("a free place", || (path(&server, "/healthz").status == 200).then_some(()));
}

#[test]
fn a_client_that_leaves_ends_its_statement_and_the_server_stops_at_once() {
    let mut server = recorded();
    let address = server.endpoints.http.clone();
    let mut leaver = TcpStream::connect(&address).expect("connected");
    leaver.write_all(b"GET /sql?q=SELECT+sleep(1000) HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let running = |server: &Server| {
        let rows = server.mysql().query("SHOW FULL PROCESSLIST").rows;
        rows.iter().filter(|row| row.iter().any(|cell| cell.contains("sleep(1000)"))).count()
    };
    eventually("the statement", || (running(&server) == 1).then_some(()));
    drop(leaver);
    eventually("its end", || (running(&server) == 0).then_some(()));
    // Kept alive, and in the middle of a statement.
    let mut idle = TcpStream::connect(&address).expect("connected");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut first = [0; 12];
    idle.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut busy = TcpStream::connect(&address).expect("connected");
    busy.write_all(b"GET /sql?q=SELECT+sleep(1001) HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    server.say("quit");
    assert_eq!(server.wait(), Ended::Status(0));
}

#[test]
fn without_the_listener_there_is_none() {
    let server = Launch::run(Program::new("exact.c").path(), &[]).start();
    assert_eq!(server.endpoints.http, "");
    assert!(!server.log().contains("web "));
    let server = recorded();
    // The endpoints file is there a moment before it is said.
    let line = format!("web      http://{}/", server.endpoints.http);
    eventually("the line to be printed", || server.log().contains(&line).then_some(()));
}
