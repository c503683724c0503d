//! Packets: three bytes of length, one of sequence, a body; longer messages continue in the next packet. It knows no
//! message. Everything else in `mysql` reads and writes through `Wire`.

use bytes::{BufMut, Bytes, BytesMut};

use super::protocol::MAX_PACKET;
use crate::link::{Link, LinkError};

const HEADER: usize = 4;

pub(super) struct Wire {
    pub(super) link: Link,
    /// Of the next packet to be written.
    sequence: u8,
}

impl Wire {
    pub(super) fn new(link: Link) -> Wire {
        Wire { link, sequence: 0 }
    }

    /// The next message of the client. What is written next answers it.
    pub(super) async fn read(&mut self) -> Result<Bytes, LinkError> {
        // Should the wait end in a farewell, the client reads it as the answer to what it sends next.
        self.sequence = 1;
        let (mut message, full) = self.read_packet(0).await?;
        let mut more = full;
        while more {
            let (part, full) = self.read_packet(message.len()).await?;
            message.unsplit(part);
            more = full;
        }
        Ok(message.freeze())
    }

    /// One packet, and whether the message goes on. `before` counts towards the limit.
    async fn read_packet(&mut self, before: usize) -> Result<(BytesMut, bool), LinkError> {
        self.link.need(HEADER).await?;
        let [a, b, c, sequence] = [self.link.input[0], self.link.input[1], self.link.input[2], self.link.input[3]];
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let limit = self.link.limit;
        if before + length > limit {
            return Err(LinkError::TooLarge { bytes: before + length, limit });
        }
        self.sequence = sequence.wrapping_add(1);
        // The header is no part of the limit.
        drop(self.link.take(HEADER));
        self.link.need(length).await?;
        Ok((self.link.take(length), length == MAX_PACKET))
    }

    /// Appends one message to the output.
    pub(super) fn write(&mut self, body: impl FnOnce(&mut BytesMut)) {
        let start = self.link.output.len();
        self.link.output.put_bytes(0, HEADER);
        body(&mut self.link.output);
        let length = self.link.output.len() - start - HEADER;
        if length < MAX_PACKET {
            self.write_header(start, length);
        } else {
            self.split(start);
        }
    }

    fn write_header(&mut self, start: usize, length: usize) {
        let [a, b, c, _] = (length as u32).to_le_bytes();
        self.link.output[start..start + HEADER].copy_from_slice(&[a, b, c, self.sequence]);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// A body of 16 MiB and more becomes several packets, the last one shorter than the maximum, empty if need be.
    fn split(&mut self, start: usize) {
        let body = self.link.output.split_off(start + HEADER);
        self.link.output.truncate(start);
        let mut rest = &body[..];
        loop {
            let piece = rest.len().min(MAX_PACKET);
            let start = self.link.output.len();
            self.link.output.put_bytes(0, HEADER);
            self.link.output.put_slice(&rest[..piece]);
            self.write_header(start, piece);
            rest = &rest[piece..];
            if piece < MAX_PACKET {
                return;
            }
        }
    }
}

/// Length-encoded integer.
pub(super) fn put_length(out: &mut BytesMut, value: u64) {
    match value {
        0..=0xfa => out.put_u8(value as u8),
        0xfb..=0xffff => {
            out.put_u8(0xfc);
            out.put_u16_le(value as u16);
        }
        0x1_0000..=0xff_ffff => {
            out.put_u8(0xfd);
            out.put_uint_le(value, 3);
        }
        _ => {
            out.put_u8(0xfe);
            out.put_u64_le(value);
        }
    }
}

/// Length-encoded bytes.
pub(super) fn put_lenenc(out: &mut BytesMut, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Length-encoded text that is formatted in place; it is shorter than 251 bytes.
pub(super) fn put_short(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    let start = out.len();
    out.put_u8(0);
    // SANITY: `BytesMut` grows, so writing into it cannot fail.
    let _ = std::fmt::Write::write_fmt(out, text);
    let length = out.len() - start - 1;
    debug_assert!(length <= 0xfa, "{length} bytes are not short");
    out[start] = length as u8;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Cursor;

    #[test]
    fn lengths_read_as_they_are_written() {
        for value in [0u64, 1, 250, 251, 65_535, 65_536, 16_777_215, 16_777_216, 1 << 40] {
            let mut out = BytesMut::new();
            put_length(&mut out, value);
            let mut cursor = Cursor::new(&out);
            assert_eq!(cursor.length("n"), Ok(value as usize));
            assert!(cursor.is_empty());
        }
    }

    #[test]
    fn short_text_is_length_encoded() {
        let mut out = BytesMut::new();
        put_short(&mut out, format_args!("{}", -42));
        assert_eq!(&out[..], b"\x03-42");
    }
}
