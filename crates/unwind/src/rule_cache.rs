//! Return address to packed rule: a direct-mapped table of single words in `.bss`.
//!
//! Each entry is one word, so there is nothing to tear and nothing to order: a reader sees a whole entry or another
//! whole entry, and every access is relaxed. Two threads that resolve the same address store the same word.
//!
//! ```text
//!   63            31 30      25 24       0
//!  |  pc >> 14      | generation |  rule   |      at index  pc & 0x3fff
//! ```
//!
//! Tag and index together are the whole address (47 bits of user space; on aarch64 46, since its 48 end in two zeroes,
//! which are shifted out), so a hit is never a different address.
//! The generation makes entries of before the last [`forget_all`] miss: a thread that resolved a rule before it and
//! stores it after it stores it under the old generation. 0 is never a generation, so an empty entry never matches.
//! When the 63 generations have been used up, the table is emptied.
//!
//! It knows nothing of what a rule means; `walk.rs` calls it.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::arch::{ADDRESS_BITS, ADDRESS_SHIFT};

const INDEX_BITS: u32 = 14;
const RULE_BITS: u32 = 25;
const TAG_SHIFT: u32 = 31;
const LAST_GENERATION: usize = (1 << (TAG_SHIFT - RULE_BITS)) - 1;

const _: () = assert!(ADDRESS_BITS - ADDRESS_SHIFT - INDEX_BITS + TAG_SHIFT <= 64);

/// A rule in [`RULE_BITS`] bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PackedRule(u32);

impl PackedRule {
    pub(crate) const BITS: u32 = RULE_BITS;

    pub(crate) const fn new(bits: u32) -> Option<PackedRule> {
        if bits >> RULE_BITS == 0 { Some(PackedRule(bits)) } else { None }
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}

static ENTRIES: [AtomicU64; 1 << INDEX_BITS] = [const { AtomicU64::new(0) }; 1 << INDEX_BITS];
static GENERATION: AtomicUsize = AtomicUsize::new(1);

/// The state of the table that one walk looks at and stores for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Generation(u64);

impl Generation {
    /// Never 0.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

#[inline(always)]
pub(crate) fn generation() -> Generation {
    Generation((GENERATION.load(Relaxed) as u64) << RULE_BITS)
}

/// A rule below `below`, which is at most `1 << PackedRule::BITS`.
///
/// `address` is in `1..1 << ADDRESS_BITS`, else the answer may be another address's rule.
#[inline(always)]
pub(crate) fn get_below(address: usize, generation: Generation, below: u32) -> Option<PackedRule> {
    let rule = entry(address).load(Relaxed) ^ key(address, generation);
    (rule < u64::from(below)).then_some(PackedRule(rule as u32))
}

pub(crate) fn get(address: usize, generation: Generation) -> Option<PackedRule> {
    get_below(address, generation, 1 << RULE_BITS)
}

pub(crate) fn put(address: usize, generation: Generation, rule: PackedRule) {
    entry(address).store(key(address, generation) | u64::from(rule.0), Relaxed);
}

/// Nothing that was stored so far, or is stored for an older generation, matches any more.
pub(crate) fn forget_all() {
    let before =
        GENERATION.fetch_update(Relaxed, Relaxed, |old| Some(if old >= LAST_GENERATION { 1 } else { old + 1 }));
    if before.is_ok_and(|old| old >= LAST_GENERATION) {
        for entry in &ENTRIES {
            // Most pages were never touched; a load leaves them so.
            if entry.load(Relaxed) != 0 {
                entry.store(0, Relaxed);
            }
        }
    }
}

#[inline(always)]
fn key(address: usize, generation: Generation) -> u64 {
    // The same as (address >> INDEX_BITS) << TAG_SHIFT, in fewer instructions.
    (address as u64 >> ADDRESS_SHIFT) << (TAG_SHIFT - INDEX_BITS) & (!0 << TAG_SHIFT) | generation.0
}

#[inline(always)]
fn entry(address: usize) -> &'static AtomicU64 {
    // The mask is the table's length - 1, so the check is compiled away.
    &ENTRIES[(address >> ADDRESS_SHIFT) & (ENTRIES.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because the table is one for the process.
    #[test]
    fn answers_only_for_the_same_address_and_generation() {
        let rule = PackedRule::new((1 << RULE_BITS) - 1).unwrap();
        let (address, same_index) = (0x7fff_1234_5678, 0x7fff_1234_5678 ^ (1 << (INDEX_BITS + ADDRESS_SHIFT)));
        let first = generation();
        assert_eq!(get(address, first), None);
        put(address, first, rule);
        assert_eq!(get(address, first), Some(rule));
        assert_eq!(get(same_index, first), None);
        assert_eq!(get(address + (1 << ADDRESS_SHIFT), first), None);
        for _ in 0..LAST_GENERATION - 1 {
            forget_all();
            assert_eq!(get(address, generation()), None);
        }
        put(address, generation(), rule);
        forget_all();
        assert_eq!(get(address, generation()), None);
        assert!(PackedRule::new(1 << RULE_BITS).is_none());
    }
}
