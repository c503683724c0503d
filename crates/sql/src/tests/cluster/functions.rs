//! Pictures, marks and names over two servers, and what they ask of each other.

use std::sync::Arc;
use std::time::Duration;

use super::BASES;
use super::Town;
use super::frames;
use crate::tests::ledger::GLIBC;
use heapql_server::ClusterQuery;
use heapql_server::cluster::Cluster;
use heapql_server::diagnostics::Diagnostics;
use heapql_server::failure::FailureKind;
use heapql_server::tenant::Tenant;
use heapql_tables::TableScope;
use heapql_tables::heap;
use heapql_tables::heap::ProfileFilter;
use heapql_tables::remote;

#[tokio::test]
async fn pictures_are_of_all_servers() {
    let town = Town::new();
    let processes = town.processes();
    for (nth, process) in processes.iter().enumerate() {
        process.live(&GLIBC, &frames(nth, &[0x10, 0x20]), 5, 100 * (nth as u64 + 1));
    }
    let client = town.client();
    let folded = client.one("SELECT folded()").await;
    let lines: Vec<&str> = folded.lines().collect();
    assert_eq!(lines.len(), 2, "{folded}");
    for (line, (ip, bytes)) in lines.iter().zip([("10.0.0.1", 500), ("10.0.0.2", 1000)]) {
        assert!(line.starts_with(&format!("server {ip}:2882;")), "{line}");
        assert!(line.ends_with(&format!(");leaky.so+0x20;leaky.so+0x10 {bytes}")), "{line}");
    }
    let svg = client.one("SELECT flamegraph_svg()").await;
    assert!(svg.contains("2 processes on 2 servers") && svg.contains("server 10.0.0.2:2882"));
    let pid = std::process::id();
    assert_eq!(client.one(&format!("SELECT folded('live_bytes', {pid})")).await, folded, "both have that pid");
    assert_eq!(client.one("SELECT folded('live_bytes', NULL, 'other')").await, "");
    // For every row the same, and of rows each its own.
    assert_eq!(client.rows("SELECT length(folded()) FROM servers").await.len(), 2);
    let each = "SELECT folded('live_bytes', pid) FROM processes";
    assert_eq!(client.rows(each).await, [[folded.clone()], [folded]]);
    let Ok(pprof) = client.ask("SELECT pprof()").await else { panic!("no pprof") };
    assert!(pprof.rows[0][0].starts_with("1f8b"), "gzip: {pprof:?}");

    *town.cluster.silent.lock() = Some("the connection was refused".to_owned());
    let svg = client.one("SELECT flamegraph_svg()").await;
    assert!(svg.contains("Server 10.0.0.2:2882 is missing: the connection was refused"));
    let warnings = client.session.warnings();
    assert_eq!(warnings[0].kind, FailureKind::ServerMissing);
    assert!(warnings[0].message.contains("10.0.0.2:2882"), "{warnings:?}");
    assert_eq!(client.one("SELECT folded()").await, "leaky.so+0x20;leaky.so+0x10 500\n");
    client.done("SET cluster_strict = 1").await;
    assert_eq!(client.refused("SELECT flamegraph_svg()").await, FailureKind::ServerMissing);
}

#[tokio::test]
async fn a_file_is_one_module_on_all_servers() {
    let town = Town::new();
    for (nth, process) in town.processes().iter().enumerate() {
        process.live(&GLIBC, &frames(nth, &[0x10]), 3, 100);
        process.live(&GLIBC, &[0x5000_0000_0000], 1, 8);
    }
    let scope = TableScope {
        cluster_query: Some(Arc::new(ClusterQuery::new(
            Arc::clone(&town.cluster) as Arc<dyn Cluster>,
            town.servers[0].server().address(),
            Duration::from_secs(3),
            false,
            Diagnostics::default(),
        ))),
        ..remote::scope(town.servers[0].server(), Tenant::Sys, Diagnostics::default())
    };
    let wanted = ProfileFilter::default();
    let profiles = heap::profiles(&Arc::new(scope), &wanted, vec![None]).await.expect("a profile");
    let [profile] = &profiles[..] else { panic!("{profiles:?}") };
    let libraries: Vec<_> = profile.modules.iter().filter(|module| module.path.ends_with("leaky.so")).collect();
    assert_eq!(libraries.len(), 1, "{:?}", profile.modules);
    assert_eq!(libraries[0].build_id, "c0ffee");
    let place = |stack: &heapql_profile::Stack| {
        let location = &stack.locations[0];
        let module = profile.modules.get(location.module as usize);
        (module.map(|module| module.path.clone()), location.address, stack.server.to_string())
    };
    let mut places: Vec<_> = profile.stacks.iter().map(place).collect();
    places.sort();
    let (one, two) = ("10.0.0.1:2882".to_owned(), "10.0.0.2:2882".to_owned());
    let library = || Some("/lib/leaky.so".to_owned());
    let nowhere = 0x5000_0000_0000;
    let expected =
        [(None, nowhere, one.clone()), (None, nowhere, two.clone()), (library(), 0x10, one), (library(), 0x10, two)];
    assert_eq!(places, expected);
}

#[tokio::test]
async fn a_mark_is_one_on_all_servers() {
    let town = Town::new();
    let processes = town.processes();
    for (nth, process) in processes.iter().enumerate() {
        process.live(&GLIBC, &frames(nth, &[0x10]), 3, 100);
    }
    let client = town.client();
    client.rows("SELECT mark('before')").await;
    let marks = "SELECT svr_ip FROM snapshots WHERE mark = 'before' ORDER BY 1";
    assert_eq!(client.rows(marks).await, [["10.0.0.1"], ["10.0.0.2"]]);
    for (nth, process) in processes.iter().enumerate() {
        process.live(&GLIBC, &frames(nth, &[0x10]), 1 + nth as u64, 100);
    }
    let growth = "SELECT svr_ip, est_bytes_growth FROM growth('before') ORDER BY 1";
    assert_eq!(client.rows(growth).await, [["10.0.0.1", "100"], ["10.0.0.2", "200"]]);
    let svg = client.one("SELECT flamegraph_svg('live_bytes', NULL, NULL, 'before')").await;
    assert!(svg.contains("server 10.0.0.2:2882"));
    // The other finds its moment by the name, and says if it has none.
    town.servers[1].server().unmark("before");
    client.one("SELECT flamegraph_svg('live_bytes', NULL, NULL, 'before')").await;
    let warnings = client.session.warnings();
    assert!(warnings.iter().any(|why| why.message.contains("'before' is neither a mark nor a time")), "{warnings:?}");
    assert_eq!(client.rows("SELECT mark('x') FROM servers").await.len(), 2);
    assert_eq!(client.rows("SELECT unmark('x')").await, [["true"]]);
    assert_eq!(client.rows("SELECT unmark('x')").await, [["false"]]);

    *town.cluster.silent.lock() = Some("no route".to_owned());
    client.rows("SELECT mark('alone')").await;
    let warnings = client.session.warnings();
    assert!(warnings[0].message.contains("10.0.0.2:2882: no route"), "{warnings:?}");
    assert_eq!(client.rows("SELECT svr_ip FROM snapshots WHERE mark = 'alone'").await, [["10.0.0.1"]]);
    assert_eq!(client.refused("SELECT mark('')").await, FailureKind::Query);
}

#[tokio::test]
async fn stacks_of_other_servers_get_names() {
    let town = Town::new();
    let processes = town.processes();
    for (nth, process) in processes.iter().enumerate() {
        process.live(&GLIBC, &frames(nth, &[0x10 + nth as u64, 0x20]), 3, 100);
    }
    let client = town.client();
    let all = "SELECT svr_ip, symbolize(back_trace) FROM __all_virtual_malloc_sample_info ORDER BY 1";
    let expected = [["10.0.0.1", "leaky.so+0x10\nleaky.so+0x20"], ["10.0.0.2", "leaky.so+0x11\nleaky.so+0x20"]];
    assert_eq!(client.rows(all).await, expected);
    let theirs = format!("SELECT symbolize('{:#x} {:#x}')", BASES[1] + 0x11, BASES[1] + 0x20);
    assert_eq!(client.one(&theirs).await, "leaky.so+0x11\nleaky.so+0x20");
    assert_eq!(client.rows("SELECT symbolize('0x660000000000') FROM servers").await, [["0x660000000000"]; 2]);
    assert_eq!(client.one("SELECT symbolize(NULL)").await, "NULL");
    *town.cluster.silent.lock() = Some("no route".to_owned());
    // What nobody knows stays an address.
    assert!(client.one(&theirs).await.starts_with("0x7e34"));
    assert_eq!(client.session.warnings().len(), 1);
}

#[tokio::test]
async fn calls_that_are_not_understood_are_answers() {
    let town = Town::new();
    for call in [&b""[..], b"\xff\x00garbage", b"{}", br#"{"Dance":{"name":"x"}}"#, br#"{"Mark":{}}"#] {
        let answer = heapql_tables::answer(town.servers[1].server(), call).expect("an answer");
        let answer: std::result::Result<(), String> = serde_json::from_slice(&answer).expect("a result");
        assert!(answer.is_err_and(|why| why.contains("no such call")));
    }
}
