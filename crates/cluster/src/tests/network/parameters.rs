//! Replicated parameters: a value set on one server holds on all, with servers away, killed, or setting another value meanwhile.

use std::thread;

use heapql_server::FailureKind;

use super::*;

fn all_have(hosts: &[&Host], name: &str, value: &str) {
    for host in hosts {
        eventually(&format!("{name} = {value} on {}", host.address), || host.value(name).as_deref() == Some(value));
    }
}

#[test]
fn a_set_reaches_all_and_those_that_come_later() {
    let one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    let three = Host::joining(3, &one);
    see_each_other(&[&one, &two, &three]);
    assert_eq!(text(&two.set(&[(MIN, "32"), (MAX, "64")])), "");
    assert_eq!(two.value(MIN).as_deref(), Some("32"));
    all_have(&[&one, &two, &three], MIN, "32");
    all_have(&[&one, &two, &three], MAX, "64");
    let four = Host::joining(4, &three);
    all_have(&[&four], MIN, "32");
}

#[test]
fn a_set_for_one_server_is_its_own_until_the_next_for_all() {
    let one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    see_each_other(&[&one, &two]);
    one.set(&[(MIN, "20")]);
    all_have(&[&one, &two], MIN, "20");
    one.try_set(&[(MIN, "30")], Some(two.address)).expect("set");
    all_have(&[&two], MIN, "30");
    assert_eq!(one.value(MIN).as_deref(), Some("20"));
    two.set(&[(MIN, "40")]);
    all_have(&[&one, &two], MIN, "40");
    let failure = one.try_set(&[(MIN, "50")], Some(([127, 0, 0, 9], 9).into())).expect_err("unknown");
    assert_eq!(failure.kind, FailureKind::UnknownServer);
}

#[test]
fn what_was_set_before_joining_gives_way_to_the_cluster() {
    let one = Host::start(1, |_| {});
    one.set(&[(MIN, "20")]);
    let two = Host::start(2, |config| config.file = None);
    assert_eq!(two.value(MIN), None, "nothing is written until something is set");
    one.add(&two).expect("added");
    all_have(&[&two], MIN, "20");
}

#[test]
fn a_server_that_was_away_gets_it() {
    let one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    let mut three = Host::joining(3, &one);
    see_each_other(&[&one, &two, &three]);
    three.kill();
    eventually("it is missed", || !one.why(&three).is_empty());
    let warned = text(&one.set(&[(MIN, "32")]));
    assert!(warned.contains(&three.address.to_string()) && warned.contains("get it when they do"), "{warned}");
    three.restart(|_| {});
    all_have(&[&one, &two, &three], MIN, "32");
}

#[test]
fn a_server_that_is_alone_says_so() {
    let mut one = Host::start(1, |_| {});
    let mut two = Host::joining(2, &one);
    see_each_other(&[&one, &two]);
    two.stop();
    eventually("it is missed", || !one.why(&two).is_empty());
    let warned = text(&one.set(&[(MIN, "32")]));
    assert!(warned.contains("kept on this server only"), "{warned}");
    one.kill();
    one.restart(|_| {});
    two.restart(|_| {});
    all_have(&[&one, &two], MIN, "32");
}

#[test]
fn an_answered_set_survives_the_server_that_answered() {
    let mut one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    let three = Host::joining(3, &one);
    see_each_other(&[&one, &two, &three]);
    one.set(&[(MIN, "77")]);
    one.kill();
    let kept = |host: &Host| fs::read_to_string(host.file()).is_ok_and(|text| text.contains("\"77\""));
    assert!(kept(&two) || kept(&three), "it was on another disk when the client was told");
    all_have(&[&two, &three], MIN, "77");
}

#[test]
fn sets_at_the_same_time_end_in_one_pair_everywhere() {
    let one = Host::start(1, |_| {});
    let two = Host::joining(2, &one);
    let three = Host::joining(3, &one);
    let hosts = [&one, &two, &three];
    see_each_other(&hosts);
    thread::scope(|scope| {
        for (at, host) in hosts.iter().enumerate() {
            scope.spawn(move || {
                for round in 1..=5 {
                    let value = (100 * (at + 1) + round).to_string();
                    host.set(&[(MIN, &value), (MAX, &value)]);
                }
            });
        }
    });
    let pair = |host: &Host| (host.value(MIN), host.value(MAX));
    eventually("all agree", || hosts.iter().all(|host| pair(host) == pair(&one)));
    let (min, max) = pair(&one);
    assert_eq!(min, max, "no statement's half");
    let digest = |host: &Host| host.node().state.config.current().digest.clone();
    eventually("on everything", || hosts.iter().all(|host| digest(host) == digest(&one)));
}
