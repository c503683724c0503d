//! A real ledger with any bytes anywhere in it, and of any length: a source that says why it cannot be read, or one with a
//! sane answer. Never a panic; memory and time are libFuzzer's to bound (`run.sh`).
//!
//! The input is a list of changes, `[where: 4 bytes][how many: 1 byte][bytes]`: most of a ledger is never looked at, so
//! where counts what is used, the four tables one after the other.
#![no_main]

#[rustfmt::skip]
#[path = "../../crates/registry/tests/hostile/place.rs"]
mod place;

use heapql_ledger::layout::{
    CALLSITES_AT, HEADER_BYTES, LABELS_AT, MODULES_AT, RawCallsite, RawLabel, RawModule, capacities,
};
use heapql_ledger::{MIN_BYTES, Sampling};
use libfuzzer_sys::fuzz_target;
use place::{Place, REAL, assert_sane};

/// Where each table begins, and how much of it is changed.
fn used() -> [(usize, usize); 5] {
    let words = CALLSITES_AT + capacities(MIN_BYTES).0 * size_of::<RawCallsite>();
    [
        (0, HEADER_BYTES),
        (LABELS_AT, 4 * size_of::<RawLabel>()),
        (MODULES_AT, 2 * size_of::<RawModule>()),
        (CALLSITES_AT, 24 * size_of::<RawCallsite>()),
        (words, 1024),
    ]
}

fn place_of(mut at: usize) -> Option<usize> {
    for (start, bytes) in used() {
        if at < bytes {
            return Some(start + at);
        }
        at -= bytes;
    }
    None
}

fuzz_target!(|changes: &[u8]| {
    let mut bytes = REAL.clone();
    let mut rest = changes;
    while let Some((head, tail)) = rest.split_at_checked(5) {
        let at = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (new, after) = tail.split_at(tail.len().min(head[4].into()));
        match place_of(at) {
            Some(at) => {
                let end = bytes.len().min(at + new.len());
                bytes[at.min(end)..end].copy_from_slice(&new[..end - at.min(end)]);
            }
            // Elsewhere: its length.
            None => bytes.resize(at % (2 * MIN_BYTES), 0x5a),
        }
        rest = after;
    }
    let place = Place::new();
    place.put("7-1.heapql", &bytes);
    let registry = place.registry();
    for source in registry.sources() {
        assert_sane(&source);
    }
    registry.set_sampling(Sampling::DEFAULT);
    for source in registry.sources() {
        assert_sane(&source);
    }
});
