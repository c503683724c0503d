//! Membership: joining, leaving, coming back, and refusals. Parameters are tested in `parameters`.

use heapql_server::FailureKind;

use super::*;

#[test]
fn one_peer_is_enough_to_join() {
    let one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    let three = Host::joining(3, &two);
    see_each_other(&[&one, &two, &three]);
    let line = one.line(&three).expect("a row");
    assert!(line.is_active && line.why.is_empty() && line.last_seen_at.is_some() && line.started_at.is_some());
    assert_eq!((line.version.as_str(), line.sql_port), (env!("CARGO_PKG_VERSION"), SQL_PORT));
}

#[test]
fn a_peer_may_come_later_and_have_a_name() {
    let free = listener(([127, 0, 0, 1], 0).into());
    let port = free.local_addr().expect("an address").port();
    let two = Host::start(2, |config| config.peers = vec![format!("localhost:{port}"), "no such host:1".to_owned()]);
    let mut one = Host { folder: tempfile::tempdir().expect("a folder"), address: two.address, running: None };
    one.address = free.local_addr().expect("an address");
    one.run(free, |_| {}).expect("started");
    see_each_other(&[&one, &two]);
}

#[test]
fn members_are_known_after_a_restart_without_peers() {
    let mut one = Host::start(1, |_| {});
    let mut two = Host::joining(2, &one);
    see_each_other(&[&one, &two]);
    one.stop();
    eventually("two knows that one is gone", || two.why(&one) == "refused the connection");
    assert_eq!(two.members(), [two.address]);
    assert_eq!(two.node().roster().absent, [(one.address, "refused the connection".to_owned())]);
    two.stop();
    one.restart(|_| {});
    two.restart(|_| {});
    see_each_other(&[&one, &two]);
}

#[test]
fn one_that_does_not_answer_is_inactive_until_it_does() {
    let one = Host::start(1, |_| {});
    let mut two = Host::joining(2, &one);
    see_each_other(&[&one, &two]);
    two.kill();
    let mut silent = None;
    eventually("its port can be bound", || {
        silent = TcpListener::bind(two.address).ok();
        silent.is_some()
    });
    eventually("the silent one is missed", || one.why(&two).starts_with("no answer for"));
    drop(silent);
    two.restart(|_| {});
    see_each_other(&[&one, &two]);
    one.node().mark_unreachable(two.address, "it made a statement wait");
    eventually("it is heard of again", || one.members().len() == 2);
}

#[test]
fn a_deleted_server_stays_out_until_it_is_added() {
    let one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    let mut three = Host::joining(3, &two);
    see_each_other(&[&one, &two, &three]);
    assert_eq!(text(&one.delete(&three).expect("deleted")), "");
    see_each_other(&[&one, &two]);
    eventually("it knows", || three.why(&three).contains("deleted from the cluster"));
    assert_eq!(three.members(), [three.address]);
    assert!(one.line(&three).is_none());

    three.stop();
    let peer = one.address.to_string();
    three.restart(|config| config.peers = vec![peer.clone()]);
    assert!(three.why(&three).contains("deleted from the cluster"));
    three.stop();
    fs::remove_file(three.file()).expect("its memory is gone");
    three.restart(|config| config.peers = vec![peer]);
    eventually("it is told again", || three.why(&three).contains("deleted from the cluster"));
    see_each_other(&[&one, &two]);

    assert_eq!(text(&two.add(&three).expect("added")), "");
    see_each_other(&[&one, &two, &three]);
    assert!(three.why(&three).is_empty());
}

#[test]
fn one_that_is_deleted_while_it_is_away_learns_of_it() {
    let one = Host::start(1, |_| {});
    let mut two = Host::joining(2, &one);
    see_each_other(&[&one, &two]);
    two.stop();
    eventually("it is away", || !one.why(&two).is_empty());
    assert!(text(&one.delete(&two).expect("deleted")).contains("does not know yet"));
    two.restart(|_| {});
    eventually("it is told", || two.why(&two).contains("deleted from the cluster"));
    assert_eq!(one.members(), [one.address]);
}

#[test]
fn two_clusters_become_one_by_adding_one_to_the_other() {
    let (one, three) = (Host::start(1, |_| {}), Host::start(3, |_| {}));
    let (two, four) = (Host::joining(2, &one), Host::joining(4, &three));
    see_each_other(&[&one, &two]);
    see_each_other(&[&three, &four]);
    one.set(&[(MIN, "20")]);
    three.set(&[(MIN, "30")]);
    two.add(&four).expect("added");
    see_each_other(&[&one, &two, &three, &four]);
    for host in [&one, &two, &three, &four] {
        eventually("the later value is everywhere", || host.value(MIN).as_deref() == Some("30"));
    }
}

#[test]
fn what_cannot_be_added_or_deleted_is_an_error() {
    let one = Host::start(1, |_| {});
    let mut two = Host::start(2, |_| {});
    assert!(text(&one.add(&one).expect("a note")).contains("is a member already"));
    let failure = one.delete(&one).expect_err("refused");
    assert!(failure.hint.is_some_and(|hint| hint.contains("connect to another server")));
    let failure = one.delete(&two).expect_err("unknown");
    assert_eq!(failure.kind, FailureKind::UnknownServer);
    two.stop();
    let failure = one.add(&two).expect_err("it does not run");
    assert_eq!(failure.kind, FailureKind::UnknownServer);
    assert!(failure.message.starts_with("Incorrect arguments to server"), "{failure}");
    assert!(failure.message.contains("refused the connection"), "{failure}");
    assert_eq!(one.node().servers().len(), 1);
}

#[test]
fn another_version_is_not_asked() {
    let one = Host::start(1, |_| {});
    let mut two = Host::joining(2, &one);
    see_each_other(&[&one, &two]);
    two.stop();
    two.restart(|config| (config.version, config.protocol) = ("0.2.0".to_owned(), 2));
    eventually("the newer is left out", || one.why(&two) == "version 0.2.0 (protocol 2), this one speaks 1");
    eventually("so is the older", || two.why(&one).ends_with("(protocol 1), this one speaks 2"));
    assert_eq!(one.line(&two).expect("a row").version, "0.2.0");
    assert_eq!((one.members(), two.members()), (vec![one.address], vec![two.address]));
    let three = Host::start(3, |config| config.protocol = 3);
    assert!(one.add(&three).expect_err("refused").message.contains("(protocol 3)"));
    two.stop();
    two.restart(|_| {});
    see_each_other(&[&one, &two]);
}

#[test]
fn a_broken_file_is_named() {
    let mut one = Host::start(1, |_| {});
    one.stop();
    fs::write(one.file(), "{").expect("written");
    let failure = one.run(listener(([127, 0, 0, 1], 0).into()), |_| {}).expect_err("refused");
    assert!(failure.message.contains("cluster.json"), "{failure}");
}

#[test]
fn what_the_catalog_asks_arrives() {
    let one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    see_each_other(&[&one, &two]);
    let ask = |call: &str| {
        let asked = one.node().call(two.address, call.as_bytes().to_vec(), Duration::from_secs(20));
        String::from_utf8(one.wait(asked).expect("answered")).expect("text")
    };
    assert_eq!(ask(r#"{"Mark":{"name":"before"}}"#), r#"{"Ok":null}"#);
    assert_eq!(ask(r#"{"Unmark":{"name":"before"}}"#), r#"{"Ok":true}"#);
    assert_eq!(ask(r#"{"Unmark":{"name":"before"}}"#), r#"{"Ok":false}"#);
    let nobody = one.node().call(([127, 0, 0, 1], 1).into(), Vec::new(), Duration::from_secs(20));
    assert_eq!(one.wait(nobody), Err("refused the connection".to_owned()));
    // What it cannot do is for the catalog here to read.
    assert!(ask("no such call").contains("it knows no such call"));
}
