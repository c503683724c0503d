//! Packets: three bytes of length, one of sequence, a body. Longer messages continue in the next packet. It knows no message; the rest
//! of `mysql` reads and writes through [`PacketStream`].

use bytes::{BufMut, Bytes, BytesMut};

use super::protocol::MAX_PACKET;
use crate::transport::{Transport, TransportError};

const HEADER: usize = 4;

pub(super) struct PacketStream {
    pub(super) transport: Transport,
    /// Sequence number of the next packet to be written.
    sequence: u8,
}

impl PacketStream {
    pub(super) fn new(transport: Transport) -> PacketStream {
        PacketStream { transport, sequence: 0 }
    }

    /// Reads the client's next message. The next write answers it.
    pub(super) async fn read(&mut self) -> Result<Bytes, TransportError> {
        // If the wait ends in a farewell, the client reads it as the answer to its next message.
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

    /// Reads one packet, and returns whether the message continues. `before` bytes count towards the limit.
    async fn read_packet(&mut self, before: usize) -> Result<(BytesMut, bool), TransportError> {
        self.transport.need(HEADER).await?;
        let [a, b, c, sequence] =
            [self.transport.input[0], self.transport.input[1], self.transport.input[2], self.transport.input[3]];
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let limit = self.transport.limit;
        if before + length > limit {
            return Err(TransportError::TooLarge { bytes: before + length, limit });
        }
        self.sequence = sequence.wrapping_add(1);
        // The header does not count towards the limit.
        drop(self.transport.take(HEADER));
        self.transport.need(length).await?;
        Ok((self.transport.take(length), length == MAX_PACKET))
    }

    /// Appends one message to the output.
    pub(super) fn write(&mut self, body: impl FnOnce(&mut BytesMut)) {
        let start = self.transport.output.len();
        self.transport.output.put_bytes(0, HEADER);
        body(&mut self.transport.output);
        let length = self.transport.output.len() - start - HEADER;
        if length < MAX_PACKET {
            self.write_header(start, length);
        } else {
            self.split(start);
        }
    }

    fn write_header(&mut self, start: usize, length: usize) {
        let [a, b, c, _] = (length as u32).to_le_bytes();
        self.transport.output[start..start + HEADER].copy_from_slice(&[a, b, c, self.sequence]);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Splits a body of 16 MiB or more into several packets. The last one is shorter than the maximum, and may be empty.
    fn split(&mut self, start: usize) {
        let body = self.transport.output.split_off(start + HEADER);
        self.transport.output.truncate(start);
        let mut rest = &body[..];
        loop {
            let piece = rest.len().min(MAX_PACKET);
            let start = self.transport.output.len();
            self.transport.output.put_bytes(0, HEADER);
            self.transport.output.put_slice(&rest[..piece]);
            self.write_header(start, piece);
            rest = &rest[piece..];
            if piece < MAX_PACKET {
                return;
            }
        }
    }
}

/// Writes a length-encoded integer.
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

/// Writes length-encoded bytes.
pub(super) fn put_lenenc(out: &mut BytesMut, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Writes length-encoded text of less than 251 bytes, formatted in place.
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
    use crate::cursor::MessageCursor;

    #[test]
    fn lengths_read_as_they_are_written() {
        for value in [0u64, 1, 250, 251, 65_535, 65_536, 16_777_215, 16_777_216, 1 << 40] {
            let mut out = BytesMut::new();
            put_length(&mut out, value);
            let mut cursor = MessageCursor::new(&out);
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
