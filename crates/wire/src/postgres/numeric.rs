//! Converts PostgreSQL's binary NUMERIC, digits of base 10,000, from and to decimal text. It is exact for every decimal of the engine;
//! the usual decimal types end at 28 digits. It knows no message.

use bytes::{BufMut, BytesMut};

use crate::cursor::{DecodeError, MessageCursor};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const DIGITS: usize = 4;

/// Appends the NUMERIC of `text`: an optional sign, digits, and optionally a point and more digits.
pub(super) fn put(out: &mut BytesMut, text: &str) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = Vec::new();
    let lead = (DIGITS - whole.len() % DIGITS) % DIGITS;
    let trail = (DIGITS - fraction.len() % DIGITS) % DIGITS;
    let digits: Vec<u8> = std::iter::repeat_n(b'0', lead)
        .chain(whole.bytes())
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', trail))
        .collect();
    for group in digits.chunks(DIGITS) {
        groups.push(group.iter().fold(0u16, |value, digit| value * 10 + u16::from(digit.wrapping_sub(b'0') % 10)));
    }
    let mut weight = (lead + whole.len()) as i64 / DIGITS as i64 - 1;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= leading as i64;
    let kept = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    groups.truncate(kept);
    out.put_u16(groups.len() as u16);
    out.put_i16(if groups.is_empty() { 0 } else { weight as i16 });
    out.put_u16(if negative && !groups.is_empty() { NEGATIVE } else { 0 });
    out.put_u16(fraction.len() as u16);
    groups.iter().for_each(|group| out.put_u16(*group));
}

/// Returns the decimal text of a binary NUMERIC.
pub(super) fn read(bytes: &[u8]) -> Result<String, DecodeError> {
    const WHAT: &str = "binary numeric";
    let mut cursor = MessageCursor::new(bytes);
    let count = cursor.u16_be(WHAT)?;
    let weight = i64::from(cursor.i16_be(WHAT)?);
    let sign = cursor.u16_be(WHAT)?;
    let scale = usize::from(cursor.u16_be(WHAT)?);
    if sign == NAN {
        return Ok("NaN".to_owned());
    }
    let groups = (0..count).map(|_| cursor.u16_be(WHAT)).collect::<Result<Vec<u16>, _>>()?;
    if !cursor.is_empty() || groups.iter().any(|group| *group >= 10_000) || !matches!(sign, 0 | NEGATIVE) {
        return Err(DecodeError(WHAT));
    }
    let group = |position: i64| {
        let index = usize::try_from(weight - position).ok();
        index.and_then(|index| groups.get(index)).copied().unwrap_or(0)
    };
    let mut text: String = (0..=weight.max(0)).rev().map(|position| format!("{:04}", group(position))).collect();
    let zeros = text.bytes().take_while(|digit| *digit == b'0').count().min(text.len() - 1);
    text.drain(..zeros);
    if scale > 0 {
        let fraction: String =
            (1..=scale.div_ceil(DIGITS)).map(|place| format!("{:04}", group(-(place as i64)))).collect();
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    if sign == NEGATIVE {
        text.insert(0, '-');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_bytes() {
        let mut out = BytesMut::new();
        put(&mut out, "-12345.678");
        // 3 groups, weight 1, negative, 3 decimals: 1, 2345, 6780
        assert_eq!(&out[..], [0, 3, 0, 1, 0x40, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
    }

    #[test]
    fn reads_as_it_is_written() {
        for text in [
            "0",
            "1",
            "-1",
            "9999",
            "10000",
            "123456789012345678901234567890.12345",
            "0.1",
            "0.0001",
            "-0.00001",
            "100000000",
            "0.00",
            "1.50",
            "99999999999999999999999999999999999999",
        ] {
            let mut out = BytesMut::new();
            put(&mut out, text);
            assert_eq!(read(&out).as_deref(), Ok(text));
        }
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(read(b"").is_err());
        assert!(read(&[0, 1, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(read(&[0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).is_err());
        assert_eq!(read(&[0, 0, 0, 0, 0xc0, 0, 0, 0]).as_deref(), Ok("NaN"));
        assert!(read(&[0, 0, 0x7f, 0xff, 0, 0, 0, 0]).is_ok());
    }
}
