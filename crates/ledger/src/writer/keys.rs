//! The keys and values that the writer is given: labels, callsites, modules. They own nothing. Part of `writer`.

use crate::layout::{LABEL_BYTES, Weight};

/// A label: tenant, context and text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelId<'a> {
    /// OceanBase's tenant, 1 to `i64::MAX`.
    pub tenant_id: u64,
    /// OceanBase's memory context, 0 to `i64::MAX`.
    pub ctx_id: u64,
    /// The text, of which [`LabelId::kept`] bytes are kept.
    pub text: &'a [u8],
}

impl LabelId<'_> {
    /// How many bytes of a text make a label: up to the first NUL, at most [`LABEL_BYTES`], and no part of a character.
    pub const fn kept(text: &[u8]) -> usize {
        let mut end = 0;
        while end < text.len() && text[end] != 0 {
            if end == LABEL_BYTES {
                return whole_characters(text, end);
            }
            end += 1;
        }
        end
    }

    /// Text and length as they stand in `RawLabel::text`.
    pub fn words(&self) -> [u64; 2] {
        let text = self.text.get(..LabelId::kept(self.text)).unwrap_or_default();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        bytes[LABEL_BYTES] = text.len() as u8;
        let (low, high) = bytes.split_at(8);
        [word_of(low), word_of(high)]
    }
}

/// `end`, or where the character begins that goes on there. What is not UTF-8 is cut as it is.
const fn whole_characters(text: &[u8], end: usize) -> usize {
    let mut start = end;
    while start + 3 > end && text[start] & 0xc0 == 0x80 {
        start -= 1;
    }
    if text[start] >= 0xc0 { start } else { end }
}

/// The key of a callsite: samples of equal keys are counted together. `shard` keeps threads apart so that they do not share cache lines; readers
/// add the shards up.
pub struct CallsiteKey<'a> {
    /// The number of the label.
    pub label: u16,
    /// Below [`SHARDS`](crate::SHARDS).
    pub shard: u8,
    /// The weight of its samples.
    pub weight: Weight,
    /// Innermost first, at most `MAX_DEPTH`.
    pub frames: &'a [usize],
}

/// A loaded module to be named.
pub struct ModuleEntry<'a> {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// The difference between an address in memory and the same address in the file.
    pub load_bias: u64,
    /// Its path.
    pub name: &'a [u8],
    /// Its GNU build id, empty if it has none; 32 bytes of it are kept.
    pub build_id: &'a [u8],
    /// Whether it is the program itself.
    pub is_program: bool,
}

/// Up to eight bytes as a word, padded with zeroes.
pub(super) fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_ne_bytes(word)
}
