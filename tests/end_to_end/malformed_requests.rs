//! Requests that follow no protocol: their connection ends, the server and its other clients go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Launch, eventually, scratch};

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A client's first bytes, before garbage follows.
fn beginnings() -> Vec<Vec<u8>> {
    let mut startup = vec![0, 0, 0, 38, 0, 3, 0, 0];
    startup.extend(b"user\0root\0database\0oceanbase\0\0");
    vec![
        Vec::new(),
        // PostgreSQL: offers of encryption, a cancel request, a start, lengths that lie.
        vec![0, 0, 0, 8, 4, 210, 22, 47],
        vec![0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1],
        startup,
        vec![0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        vec![0, 0, 0, 0],
        // MySQL: a reply to the greeting with all capabilities, an empty packet, a packet of 16 MiB less one.
        [&[32, 0, 0, 1][..], &[0xff; 32]].concat(),
        vec![0, 0, 0, 1],
        vec![0xff, 0xff, 0xff, 1],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ]
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    let mut witnesses = server.clients();
    let mut numbers = Numbers(0x5eed);
    for address in [&server.endpoints.mysql, &server.endpoints.postgres] {
        for beginning in beginnings() {
            for length in [0, 1, 40, 3000] {
                let mut stream = TcpStream::connect(address).expect("it accepts");
                stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
                // It may hang up at any of these.
                let _ = stream.write_all(&beginning).and_then(|()| stream.write_all(&numbers.bytes(length)));
                let _ = stream.read(&mut [0; 4096]);
            }
        }
    }
    for witness in &mut witnesses {
        witness.assert_alive();
    }
    for mut client in server.clients() {
        client.assert_alive();
    }
}

#[test]
fn connections_beyond_the_limit_are_told_so_and_places_come_free() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    let idle: Vec<TcpStream> = (0..2000).map_while(|_| TcpStream::connect(&server.endpoints.mysql).ok()).collect();
    assert!(!idle.is_empty());
    drop(idle);
    for address in [&server.endpoints.mysql, &server.endpoints.postgres] {
        eventually("a place", || TcpStream::connect(address).is_ok().then_some(()));
    }
    let login = crate::harness::Login::root();
    eventually("a login", || crate::harness::Mysql::connect(&server.endpoints.mysql, &login).ok());
    for mut client in server.clients() {
        client.assert_alive();
    }
}

#[test]
fn long_and_deep_statements_are_answered_or_refused() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let wide = format!("SELECT {}", vec!["1"; 20_000].join(" + "));
    let nots = format!("SELECT {} TRUE", "NOT ".repeat(5000));
    let nested = format!("SELECT * FROM {}(SELECT 1 AS a){}", "(SELECT * FROM ".repeat(300), " AS t)".repeat(300));
    let list = format!("SELECT 1 IN ({})", (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let long = format!("SELECT '{}'", "x".repeat(3 << 20));
    let comment = format!("SELECT 1 {}", "/* x */".repeat(20_000));
    for mut client in server.clients() {
        for sql in [&deep, &wide, &nots, &nested, &list, &long, &comment] {
            if let Err(error) = client.try_query(sql) {
                assert!(!error.state.is_empty(), "{}: the connection broke: {error}", client.protocol());
            }
            client.assert_alive();
        }
    }
}
