//! Connections from outside the cluster: bytes that are no request, other protocols, another secret. They get nothing, and
//! the servers answer as before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::harness::{TIMEOUT, scratch};

fn secret(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode is set");
    path.to_str().expect("UTF-8").to_owned()
}

/// Sends these bytes and returns the whole answer, until the server closes the connection.
fn answered(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    // The server may hang up before all is said.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            panic!("{} bytes were never hung up on", bytes.len())
        }
        _ => answer,
    }
}

/// No randomness: what failed once fails again.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A client's first flight: handshake, version 3.3, one cipher.
const TLS_HELLO: &[u8] = &[
    0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 2, 0x13, 1, 1, 0,
];

#[test]
fn bytes_of_strangers_harm_nothing() {
    let known = Known::start();
    let address = known.address(0);
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let huge: &[u8] = &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1];
    let said: Vec<Vec<u8>> = vec![
        noise(4096),
        b"GET / HTTP/1.1\r\nHost: heapql\r\n\r\n".to_vec(),
        TLS_HELLO.to_vec(),
        [PREFACE, &noise(4096)].concat(),
        [PREFACE, settings, huge, &noise(1 << 16)].concat(),
        vec![0; 1 << 20],
        // Silence after a good beginning.
        [PREFACE, settings].concat(),
        Vec::new(),
    ];
    std::thread::scope(|scope| {
        for bytes in &said {
            scope.spawn(move || {
                let answer = answered(address, bytes);
                for secret in ["malloc", "exact", "heapql-proof", "/"] {
                    let is_told = answer.windows(secret.len()).any(|part| part == secret.as_bytes());
                    assert!(!is_told, "{}", String::from_utf8_lossy(&answer));
                }
            });
        }
        for member in known.cluster.members() {
            for mut client in member.server().clients() {
                known.assert_lacks(client.as_mut(), Ask::Rows, &[]);
            }
        }
    });
    known.cluster.settled();
}

#[test]
fn another_secret_is_another_cluster() {
    let dir = scratch();
    let right = secret(dir.path(), "right", "a secret of more than sixteen bytes\n");
    let wrong = secret(dir.path(), "wrong", "another secret of enough bytes\n");
    let mut cluster = Cluster::with(2, &["--cluster-secret-file", &right]);
    let peer = cluster.member(0).address.clone();
    cluster.add_stranger(&["--cluster-secret-file", &wrong, "--peer", &peer]);
    cluster.add_stranger(&["--peer", &peer]);
    for number in 2..4 {
        let stranger = cluster.member(number);
        let mut client = stranger.mysql();
        client.query("SELECT count(*) FROM heapql.processes");
        let ips = client.query("SELECT DISTINCT svr_ip FROM heapql.processes").rows;
        assert_eq!(ips, [[stranger.ip_and_port()[0]]], "it sees its own only");
        let refused = client.try_query(&format!("ALTER SYSTEM ADD SERVER '{peer}'"));
        assert!(refused.is_err(), "{refused:?}");
    }
    for number in 0..2 {
        cluster.member(number).sees(&[("ACTIVE", 2)]);
    }
    // Nor do they take one in that does not know theirs.
    let stranger = cluster.member(2).address.clone();
    cluster.member(0).mysql().refused(&format!("ALTER SYSTEM ADD SERVER '{stranger}'"));
    let ips = cluster.member(1).postgres().query("SELECT DISTINCT svr_ip FROM heapql.processes ORDER BY 1").rows;
    assert_eq!(ips, [["127.0.0.1"], ["127.0.0.2"]]);
}
