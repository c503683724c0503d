//! A server that is killed, silent, or back again: the others answer and name the missing server, or refuse if a setting says so.

use super::*;

const MAX: &str = "_max_malloc_sample_interval";

/// A way for member 2 to go away, and the way back.
type Way = (fn(&mut Cluster), fn(&mut Cluster));
const KILLED: Way = (|cluster| cluster.member_mut(2).kill(), |cluster| cluster.member_mut(2).restart());
const STOPPED: Way = (|cluster| cluster.member(2).stop(), |cluster| cluster.member(2).resume());

fn others_answer((away, back): Way) {
    let mut known = Known::start();
    let third = known.address(2).to_owned();
    known.cluster.member(0).mysql().query("ALTER SYSTEM SET _cluster_timeout = 1500");
    away(&mut known.cluster);
    for number in 0..2 {
        for mut client in known.cluster.member(number).server().clients() {
            for ask in Ask::ALL {
                known.assert_lacks(client.as_mut(), ask, &[&third]);
            }
        }
        let member = known.cluster.member(number);
        member.sees(&[("ACTIVE", 2), ("INACTIVE", 1)]);
        let [ip, port] = known.cluster.member(2).ip_and_port();
        let why = format!("SELECT status, why FROM servers WHERE svr_ip = '{ip}' AND svr_port = {port}");
        let line = member.postgres().query(&why).rows.remove(0);
        assert!(line[0] == "INACTIVE" && !line[1].is_empty(), "{line:?}");
    }
    refused_if_strict(&known);
    back(&mut known.cluster);
    known.cluster.settled();
    for member in known.cluster.members() {
        for mut client in member.server().clients() {
            client.query("SET cluster_strict = 1");
            for ask in Ask::ALL {
                known.assert_lacks(client.as_mut(), ask, &[]);
            }
        }
    }
}

fn refused_if_strict(known: &Known) {
    let third = known.address(2);
    for mut client in known.cluster.member(0).server().clients() {
        client.query("SET cluster_strict = 1");
        for ask in Ask::ALL {
            let error = client.refused(&ask.sql());
            assert!(error.message.contains(third), "{error}");
            assert!(is_incomplete(&error), "{error}");
        }
        // What does not need it is answered.
        let [ip, port] = known.cluster.member(1).ip_and_port();
        let sql = format!("{} AND svr_ip = '{ip}' AND svr_port = {port}", Ask::Rows.sql());
        assert_eq!(Ask::Rows.said(&client.query(&sql)), Ask::Rows.expected(&known.held[1..2]));
        client.query("SET cluster_strict = 0");
        known.assert_lacks(client.as_mut(), Ask::Rows, &[third]);
    }
}

#[test]
fn the_others_answer_when_one_is_killed() {
    others_answer(KILLED);
}

#[test]
fn the_others_answer_when_one_is_silent() {
    others_answer(STOPPED);
}

fn a_set_reaches_it_later((away, back): Way) {
    let mut known = Known::start();
    away(&mut known.cluster);
    let mut client = known.cluster.member(0).mysql();
    client.query(&format!("ALTER SYSTEM SET {MAX} = 123"));
    back(&mut known.cluster);
    let [ip, _] = known.cluster.member(2).ip_and_port();
    let value = format!("SELECT value FROM GV$OB_PARAMETERS WHERE name = '{MAX}' AND svr_ip = '{ip}'");
    let program = format!(
        "SELECT max_interval FROM heapql.processes WHERE svr_ip = '{ip}' AND command LIKE '%exact%' AND state = 'alive'"
    );
    let mut client = known.cluster.member(2).postgres();
    eventually("the server that was away to hold the value", || {
        (client.query(&value).rows == [["123"]] && client.query(&program).rows == [["123"]]).then_some(())
    });
}

#[test]
fn a_set_reaches_a_server_that_was_killed() {
    a_set_reaches_it_later(KILLED);
}

#[test]
fn a_set_reaches_a_server_that_was_silent() {
    a_set_reaches_it_later(STOPPED);
}

#[test]
fn the_last_one_answers_alone() {
    let mut known = Known::start();
    known.cluster.member_mut(1).kill();
    known.cluster.member_mut(2).kill();
    let mut client = known.cluster.member(0).postgres();
    for ask in Ask::ALL {
        known.assert_lacks(&mut client, ask, &[known.address(1), known.address(2)]);
    }
}
