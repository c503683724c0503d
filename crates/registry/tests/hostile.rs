//! Ledgers that are truncated, damaged, foreign, or no ledgers at all: each is a source that says why it cannot be read,
//! or one with a sane answer. Never a panic, never a wait, never another source's trouble.

#[path = "hostile/place.rs"]
mod place;

use std::fs;
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::sync::Arc;

use heapql_ledger::layout::{self, Control, Header, LABELS_AT, MODULES_AT};
use heapql_ledger::{Intervals, MIN_BYTES, Sampling};
use heapql_registry::{Source, SourceState};
use place::{CALLSITES, Place, REAL, assert_sane};
use proptest::prelude::*;

fn assert_unreadable(source: &Source, word: &str) {
    match source.state() {
        SourceState::Unreadable(why) => assert!(why.contains(word), "{word:?} in {why:?}"),
        other => panic!("{} is {other:?}", source.path().display()),
    }
    assert!(source.callsites().is_ok_and(|callsites| callsites.is_empty()));
    assert_sane(source);
}

fn with_u32(offset: usize, value: u32) -> Vec<u8> {
    let mut bytes = REAL.clone();
    bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    bytes
}

#[test]
fn the_copy_of_a_real_ledger_is_as_good() {
    let place = Place::new();
    place.put("7-1.heapql", &REAL);
    let source = place.only();
    assert_eq!(source.state(), SourceState::Alive, "this very process wrote it");
    let callsites = source.callsites().expect("readable");
    assert_eq!(callsites.len(), CALLSITES);
    assert_eq!(callsites.iter().map(|callsite| callsite.counters.live_count).sum::<i64>(), 210);
    assert_eq!(callsites.iter().map(|callsite| callsite.counters.live_bytes).sum::<i64>(), 21_000);
    assert!(callsites.iter().all(|callsite| callsite.stack[1] == 0x2000), "addresses of the program are its file's");
    assert_sane(&source);
}

#[test]
fn truncated_at_every_boundary() {
    let ends = [
        offset_of!(Header, version),
        offset_of!(Header, byte_order),
        offset_of!(Header, file_bytes),
        offset_of!(Header, pid),
        offset_of!(Header, control),
        offset_of!(Header, control) + size_of::<Control>(),
        offset_of!(Header, ready),
        offset_of!(Header, label_count),
        offset_of!(Header, callsite_count),
        offset_of!(Header, losses),
        offset_of!(Header, program),
        offset_of!(Header, command),
        layout::HEADER_BYTES,
        LABELS_AT + size_of::<layout::RawLabel>(),
        MODULES_AT,
        MODULES_AT + size_of::<layout::RawModule>(),
        layout::CALLSITES_AT,
        layout::CALLSITES_AT + size_of::<layout::RawCallsite>(),
        REAL.len() / 2,
        REAL.len(),
    ];
    for end in ends.into_iter().flat_map(|end| [end.saturating_sub(1), end, end + 1]).filter(|end| *end < REAL.len()) {
        let place = Place::new();
        place.put("7-1.heapql", &REAL[..end]);
        assert_unreadable(&place.only(), "");
    }
}

#[test]
fn an_empty_file_says_so_once_it_is_old() {
    let place = Place::new();
    place.put("7-1.heapql", &[]);
    assert_unreadable(&place.only(), "");
    let young = Place::new();
    fs::write(young.path("7-1.heapql"), []).expect("a file");
    assert!(young.sources().is_empty(), "a young one may become a ledger yet");
}

#[test]
fn longer_than_it_says() {
    let place = Place::new();
    let mut bytes = REAL.clone();
    bytes.extend([0; 4096]);
    place.put("7-1.heapql", &bytes);
    assert_unreadable(&place.only(), "not a valid ledger");
}

#[test]
fn truncated_while_it_is_open() {
    let place = Place::new();
    let path = place.put("7-1.heapql", &REAL);
    let registry = place.registry();
    let source = registry.sources().remove(0);
    assert_eq!(source.callsites().expect("readable").len(), CALLSITES);
    for end in [REAL.len() - 1, layout::CALLSITES_AT + 70, 5000, 100, 0] {
        fs::File::options().write(true).open(&path).and_then(|file| file.set_len(end as u64)).expect("truncated");
        assert_sane(&source);
        assert!(end >= layout::CALLSITES_AT + CALLSITES * 64 || source.callsites().is_err(), "{end} bytes");
        for source in registry.sources() {
            assert_sane(&source);
        }
        registry.set_sampling(Sampling::DEFAULT);
    }
}

#[test]
fn other_versions_are_named() {
    for version in [0, 1, 77, u32::MAX] {
        let place = Place::new();
        place.put("7-1.heapql", &with_u32(offset_of!(Header, version), version));
        assert_unreadable(&place.only(), &version.to_string());
    }
}

#[test]
fn other_byte_orders_are_named() {
    let place = Place::new();
    place.put("7-1.heapql", &with_u32(offset_of!(Header, byte_order), layout::BYTE_ORDER.swap_bytes()));
    assert_unreadable(&place.only(), "byte order");
}

#[test]
fn counters_beyond_every_table() {
    let fields = [
        offset_of!(Header, label_count),
        offset_of!(Header, module_count),
        offset_of!(Header, callsite_count),
        offset_of!(Header, word_count),
        offset_of!(Header, callsite_capacity),
        offset_of!(Header, word_capacity),
        offset_of!(Header, program_bytes),
        offset_of!(Header, command_bytes),
        offset_of!(Header, default_label),
        offset_of!(Header, pid),
    ];
    for field in fields {
        for value in [0, 1, 513, 1 << 20, i32::MAX as u32, u32::MAX] {
            let place = Place::new();
            place.put("7-1.heapql", &with_u32(field, value));
            let registry = place.registry();
            assert_sane(&registry.sources()[0]);
            registry.set_sampling(Sampling::DEFAULT);
            assert_sane(&registry.sources()[0]);
        }
    }
}

/// Callsites whose numbers are as large as they can be, all of one stack, so that they are added up.
#[test]
fn numbers_that_overflow_when_they_are_added_up() {
    let place = Place::new();
    let mut bytes = REAL.clone();
    let first = layout::CALLSITES_AT..layout::CALLSITES_AT + size_of::<layout::RawCallsite>();
    let mut record = bytes[first.clone()].to_vec();
    for word in [offset_of!(layout::RawCallsite, total_count), offset_of!(layout::RawCallsite, total_bytes)] {
        record[word..word + 8].copy_from_slice(&i64::MAX.to_ne_bytes());
    }
    for nth in 0..CALLSITES {
        let at = first.start + nth * record.len();
        bytes[at..at + record.len()].copy_from_slice(&record);
    }
    place.put("7-1.heapql", &bytes);
    assert_sane(&place.only());
}

#[test]
fn stacks_outside_the_file() {
    for (stack_at, depth) in [(u32::MAX, 3_u8), (u32::MAX - 2, 128), (0, 129), (0, u8::MAX), (1 << 20, 1), (0, 0)] {
        let place = Place::new();
        let mut bytes = REAL.clone();
        let at = layout::CALLSITES_AT + offset_of!(layout::RawCallsite, stack_at);
        bytes[at..at + 4].copy_from_slice(&stack_at.to_ne_bytes());
        let at = layout::CALLSITES_AT + offset_of!(layout::RawCallsite, depth);
        bytes[at] = depth;
        place.put("7-1.heapql", &bytes);
        assert_sane(&place.only());
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path("1-1.heapql")).status().expect("mkfifo");
    assert!(made.success());
    fs::create_dir(place.path("2-1.heapql")).expect("a directory");
    let elsewhere = Place::new();
    let real = elsewhere.put("real", &REAL);
    symlink(&real, place.path("3-1.heapql")).expect("a link");
    symlink("/nonexistent", place.path("4-1.heapql")).expect("a link");
    symlink(place.path("5-1.heapql"), place.path("5-1.heapql")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(place.path("6-1.heapql")).expect("a socket");
    place.put("7-1.heapql", &REAL);
    let sources = place.sources();
    let unreadable = |source: &&Arc<Source>| matches!(source.state(), SourceState::Unreadable(_));
    assert_eq!(sources.iter().filter(unreadable).map(|source| source.pid()).max(), Some(6));
    assert_eq!(sources.len(), 7);
    for source in &sources {
        assert_sane(source);
    }
    let good: Vec<_> = sources.iter().filter(|source| !unreadable(source)).collect();
    assert_eq!(good.len(), 1, "links are not followed");
    assert_eq!(good[0].callsites().expect("readable").len(), CALLSITES, "bad neighbours do no harm");
}

#[test]
fn a_file_that_may_not_be_read() {
    let place = Place::new();
    let path = place.put("7-1.heapql", &REAL);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("its owner may");
    let source = place.only();
    // The superuser reads it all the same.
    if fs::File::open(&path).is_err() {
        assert_unreadable(&source, "ermission");
    }
    assert_sane(&source);
}

#[test]
fn names_of_any_kind() {
    let place = Place::new();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe-\xfd.heapql");
    fs::write(place.dir.path().join(odd), &*REAL).expect("a file");
    for name in [".heapql", "-.heapql", "99999999999999999999-1.heapql", "-5-1.heapql", "x.heapql"] {
        place.put(name, &REAL[..100]);
    }
    for source in place.sources() {
        assert_sane(&source);
    }
}

/// Where something lies in [`REAL`]: the header, the first records of each table, and their words.
fn used_offset() -> impl Strategy<Value = usize> {
    let words = layout::CALLSITES_AT + layout::capacities(MIN_BYTES).0 * size_of::<layout::RawCallsite>();
    prop_oneof![
        4 => 0..offset_of!(Header, program),
        1 => offset_of!(Header, program)..layout::HEADER_BYTES,
        1 => LABELS_AT..LABELS_AT + 2 * size_of::<layout::RawLabel>(),
        1 => MODULES_AT..MODULES_AT + size_of::<layout::RawModule>(),
        4 => layout::CALLSITES_AT..layout::CALLSITES_AT + CALLSITES * size_of::<layout::RawCallsite>(),
        1 => words..words + 8 * 80,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits(flips in proptest::collection::vec((used_offset(), 0_u32..8), 1..12)) {
        let mut bytes = REAL.clone();
        for (at, bit) in flips {
            bytes[at] ^= 1 << bit;
        }
        let place = Place::new();
        place.put("7-1.heapql", &bytes);
        let registry = place.registry();
        for source in registry.sources() {
            assert_sane(&source);
        }
        registry.set_sampling(Sampling { intervals: Intervals { min: 3, max: 4 }, ..Sampling::DEFAULT });
        for source in registry.sources() {
            assert_sane(&source);
        }
    }

    /// The file changes while it is open, as a hostile process can do at any moment.
    #[test]
    fn overwritten_between_two_queries(writes in proptest::collection::vec((used_offset(), any::<u64>()), 1..8)) {
        let place = Place::new();
        let path = place.put("7-1.heapql", &REAL);
        let registry = place.registry();
        let file = fs::File::options().write(true).open(&path).expect("the file");
        for (at, value) in writes {
            file.write_all_at(&value.to_ne_bytes(), at as u64).expect("written");
            for source in registry.sources() {
                assert_sane(&source);
            }
        }
    }

    #[test]
    fn any_bytes_with_a_good_beginning(tail in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let mut bytes = REAL.clone();
        let at = offset_of!(Header, control);
        let upto = (at + tail.len()).min(bytes.len());
        bytes[at..upto].copy_from_slice(&tail[..upto - at]);
        let place = Place::new();
        place.put("7-1.heapql", &bytes);
        for source in place.sources() {
            assert_sane(&source);
        }
    }
}
