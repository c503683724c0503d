//! Decimal numbers without an allocator: in file names, in /proc, in settings.

/// The most digits that a number has.
const MOST_DIGITS: usize = 20;

/// The digits of a number, in a buffer of its own.
pub struct Decimal {
    digits: [u8; MOST_DIGITS],
    from: usize,
}

impl Decimal {
    /// Writes `number` in decimal digits.
    pub fn new(number: u64) -> Decimal {
        let (mut digits, mut from, mut rest) = ([0; MOST_DIGITS], MOST_DIGITS, number);
        loop {
            from -= 1;
            if let Some(digit) = digits.get_mut(from) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 || from == 0 {
                return Decimal { digits, from };
            }
        }
    }

    /// The digits, as ASCII.
    pub fn digits(&self) -> &[u8] {
        self.digits.get(self.from..).unwrap_or_default()
    }
}

/// The number that a text of decimal digits and nothing else says; `None` for any other text, and for numbers that do not
/// fit.
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    let add = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    text.iter().try_fold(0, add).filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for number in [0, 7, 10, 4096, 1_700_000_000_000_000_000, u64::MAX] {
            let decimal = Decimal::new(number);
            assert_eq!(decimal.digits(), number.to_string().as_bytes());
            assert_eq!(parse_decimal(decimal.digits()), Some(number));
        }
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in ["", " 1", "1 ", "+1", "-1", "0x10", "1e3", "18446744073709551616"] {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text}");
        }
    }
}
