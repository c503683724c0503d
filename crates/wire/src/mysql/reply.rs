//! The short answers: OK, EOF, error. Result sets are `column` and `rows`.

use bytes::BufMut;
use heapql_server::Failure;

use super::packet::Wire;
use crate::codes::{Code, code};

/// Clients of old cut error texts at 512 bytes; more than this is never read.
const MAX_TEXT: usize = 2048;

/// OK: nothing was changed, `warnings` wait for SHOW WARNINGS.
pub(super) fn ok(wire: &mut Wire, status: u16, warnings: u16) {
    wire.write(|out| {
        out.put_slice(&[0x00, 0, 0]);
        out.put_u16_le(status);
        out.put_u16_le(warnings);
    });
}

/// The end of the rows, in the form of clients with and without CLIENT_DEPRECATE_EOF.
pub(super) fn end_of_rows(wire: &mut Wire, deprecate_eof: bool, status: u16, warnings: u16) {
    if !deprecate_eof {
        return eof(wire, status, warnings);
    }
    wire.write(|out| {
        out.put_slice(&[0xfe, 0, 0]);
        out.put_u16_le(status);
        out.put_u16_le(warnings);
    });
}

pub(super) fn eof(wire: &mut Wire, status: u16, warnings: u16) {
    wire.write(|out| {
        out.put_u8(0xfe);
        out.put_u16_le(warnings);
        out.put_u16_le(status);
    });
}

pub(super) fn error(wire: &mut Wire, code: Code, message: &str) {
    let text = shorten(message);
    wire.write(|out| {
        out.put_u8(0xff);
        out.put_u16_le(code.mysql_errno);
        out.put_u8(b'#');
        out.put_slice(code.mysql_state.as_bytes());
        out.put_slice(text.as_bytes());
    });
}

/// A failure with its hint, which this protocol has no field for.
pub(super) fn failure(wire: &mut Wire, failure: &Failure) {
    error(wire, code(failure.kind), &failure.to_string());
}

fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}
