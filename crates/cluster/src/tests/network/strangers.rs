//! Unauthenticated connections to the cluster's port get nothing and do no harm.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

const SECRET: &str = "a secret of the cluster";

fn with(text: &str, peer: &Host) -> Host {
    Host::start(3, |config| {
        config.secret = secret(text);
        config.peers = vec![peer.address.to_string()];
    })
}

fn pair() -> (Host, Host) {
    let one = Host::start(1, |config| config.secret = secret(SECRET));
    let two = Host::start(2, |config| {
        config.secret = secret(SECRET);
        config.peers = vec![one.address.to_string()];
    });
    see_each_other(&[&one, &two]);
    (one, two)
}

#[test]
fn a_wrong_secret_or_none_is_not_let_in() {
    let (one, two) = pair();
    for stranger in [with("another secret altogether", &one), Host::joining(3, &one)] {
        let refused = one.count("cluster_refused_strangers");
        eventually("it has tried", || one.count("cluster_refused_strangers") > refused + 1);
        assert_eq!(stranger.members(), [stranger.address]);
        assert!(one.line(&stranger).is_none());
        let failure = one.add(&stranger).expect_err("refused");
        assert!(failure.message.ends_with("wrong secret"), "{failure}");
        let failure = stranger.add(&one).expect_err("refused");
        assert!(failure.message.ends_with("wrong secret"), "{failure}");
    }
    see_each_other(&[&one, &two]);
}

#[test]
fn a_member_whose_secret_has_changed_is_left_out_and_says_why() {
    let (one, mut two) = pair();
    two.stop();
    two.restart(|config| config.secret = None);
    eventually("it is not believed", || one.why(&two) == "wrong secret");
    eventually("nor does it get in", || two.why(&one) == "wrong secret");
    two.stop();
    two.restart(|config| config.secret = secret(SECRET));
    see_each_other(&[&one, &two]);
}

#[test]
fn garbage_and_silence_harm_nothing() {
    let (one, two) = pair();
    let connect = || {
        let stream = TcpStream::connect(one.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    };
    let silent = connect();
    let mut speaking = connect();
    speaking.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("a preface");
    for garbage in
        [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &[0xff; 4096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff"]
    {
        let mut stream = connect();
        // It may be closed before all is written.
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 200, "{answer:?}");
    }
    // Those that say nothing, or nothing that proves anything, are dropped.
    for mut stream in [silent, speaking] {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 200, "{answer:?}");
    }
    assert!(one.count("cluster_dropped_silent") >= 2);
    see_each_other(&[&one, &two]);
}

#[test]
fn more_connections_than_there_is_room_for_are_refused_and_members_stay() {
    let (one, two) = pair();
    let held: Vec<_> = (0..200).map(|_| TcpStream::connect(one.address).expect("connected")).collect();
    eventually("some are refused", || one.count("cluster_refused_connections") > 0);
    one.set(&[(MIN, "21")]);
    eventually("members go on", || two.value(MIN).as_deref() == Some("21"));
    drop(held);
    let three = with(SECRET, &one);
    see_each_other(&[&one, &two, &three]);
}
