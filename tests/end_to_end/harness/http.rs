//! An HTTP client of a few lines, so that a test can also send what no proper client would.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::TIMEOUT;

/// A server's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Page {
    /// The body of an answer that is none of failure.
    pub(crate) fn ok(&self) -> String {
        assert_eq!(self.status, 200, "{}\n{}", self.head, self.text());
        self.text()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Empty without one.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    }
}

/// Sends GET with a path. The caller escapes its special characters.
pub(crate) fn get(address: &str, path: &str) -> Page {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// Sends bytes and reads until the server closes.
pub(crate) fn ask(address: &str, request: &str) -> Page {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    // A server that has heard enough may close first.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Page {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let page = Page { status, head, body: bytes[end + 4..].to_vec() };
    if page.header("transfer-encoding") == "chunked" { Page { body: joined(&page.body), ..page } } else { page }
}

/// The chunks of a body, which has to be complete.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n").expect("the size of a chunk");
        let digits = std::str::from_utf8(&chunks[..end]).expect("digits");
        let size = usize::from_str_radix(digits, 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
}
