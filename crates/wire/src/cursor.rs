//! A bounds-checked reader over the bytes of one message. It knows no protocol. Both protocols use it: a client's bytes are untrusted,
//! and a read past the end must be an error, never a panic.

/// A message does not follow its protocol. The text names the element that is missing or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodeError(pub(crate) &'static str);

pub(crate) struct MessageCursor<'a> {
    rest: &'a [u8],
}

impl<'a> MessageCursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> MessageCursor<'a> {
        MessageCursor { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError(what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes the remaining bytes.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16_le(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(crate) fn u32_le(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn i16_be(&mut self, what: &'static str) -> Result<i16, DecodeError> {
        self.array(what).map(i16::from_be_bytes)
    }

    pub(crate) fn u16_be(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(crate) fn i32_be(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.array(what).map(i32::from_be_bytes)
    }

    pub(crate) fn u32_be(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Takes the bytes up to a zero, and the zero.
    pub(crate) fn until_zero(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(DecodeError(what))?;
        let taken = self.take(end, what)?;
        self.take(1, what)?;
        Ok(taken)
    }

    /// Takes UTF-8 text up to a zero, and the zero.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<String, DecodeError> {
        let bytes = self.until_zero(what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError(what))
    }

    /// Takes MySQL's length-encoded integer. 0xfb (NULL) and 0xff are not integers.
    pub(crate) fn length(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let value = match self.u8(what)? {
            small @ 0..=0xfa => u64::from(small),
            0xfc => u64::from(self.u16_le(what)?),
            0xfd => {
                let [a, b, c] = self.array(what)?;
                u64::from(u32::from_le_bytes([a, b, c, 0]))
            }
            0xfe => u64::from_le_bytes(self.array(what)?),
            _ => return Err(DecodeError(what)),
        };
        usize::try_from(value).map_err(|_| DecodeError(what))
    }

    /// Takes MySQL's length-encoded bytes.
    pub(crate) fn lenenc(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.length(what)?;
        self.take(length, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_and_stops_at_the_end() {
        let mut cursor = MessageCursor::new(b"ab\0\x03xyz\xfc\x02\x00hi!");
        assert_eq!(cursor.text("name"), Ok("ab".to_owned()));
        assert_eq!(cursor.lenenc("value"), Ok(&b"xyz"[..]));
        assert_eq!(cursor.lenenc("value"), Ok(&b"hi"[..]));
        assert_eq!(cursor.u16_le("short"), Err(DecodeError("short")));
        assert_eq!(cursor.rest(), b"!");
        assert!(cursor.is_empty());
    }

    #[test]
    fn a_length_beyond_the_message_is_an_error() {
        let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(MessageCursor::new(&huge).lenenc("blob"), Err(DecodeError("blob")));
        assert_eq!(MessageCursor::new(&[0xfb]).length("n"), Err(DecodeError("n")));
        assert_eq!(MessageCursor::new(b"no end").until_zero("text"), Err(DecodeError("text")));
    }
}
