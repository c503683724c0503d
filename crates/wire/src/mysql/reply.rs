//! The short answers: OK, EOF, error. Result sets are in `column` and `rows`.

use bytes::BufMut;
use heapql_server::Failure;

use super::packet::PacketStream;
use crate::codes::{ErrorCode, code};

/// Maximum length of an error text. Old clients cut it at 512 bytes.
const MAX_TEXT: usize = 2048;

/// Writes an OK: no row was changed, and SHOW WARNINGS has this many warnings.
pub(super) fn ok(wire: &mut PacketStream, status: u16, warnings: u16) {
    wire.write(|out| {
        out.put_slice(&[0x00, 0, 0]);
        out.put_u16_le(status);
        out.put_u16_le(warnings);
    });
}

/// The end of the rows, in the format of clients with and without CLIENT_DEPRECATE_EOF.
pub(super) fn end_of_rows(wire: &mut PacketStream, deprecate_eof: bool, status: u16, warnings: u16) {
    if !deprecate_eof {
        return eof(wire, status, warnings);
    }
    wire.write(|out| {
        out.put_slice(&[0xfe, 0, 0]);
        out.put_u16_le(status);
        out.put_u16_le(warnings);
    });
}

pub(super) fn eof(wire: &mut PacketStream, status: u16, warnings: u16) {
    wire.write(|out| {
        out.put_u8(0xfe);
        out.put_u16_le(warnings);
        out.put_u16_le(status);
    });
}

pub(super) fn error(wire: &mut PacketStream, code: ErrorCode, message: &str) {
    let text = shorten(message);
    wire.write(|out| {
        out.put_u8(0xff);
        out.put_u16_le(code.mysql_errno);
        out.put_u8(b'#');
        out.put_slice(code.mysql_state.as_bytes());
        out.put_slice(text.as_bytes());
    });
}

/// Writes a failure with its hint in the text. The protocol has no field for hints.
pub(super) fn failure(wire: &mut PacketStream, failure: &Failure) {
    error(wire, code(failure.kind), &failure.to_string());
}

fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}
