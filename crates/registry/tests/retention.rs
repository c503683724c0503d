//! Which ledgers of dead processes a server removes: first those that hold nothing, then those that hold little, then the
//! oldest, and none that some process still has mapped.

#[path = "hostile/place.rs"]
#[allow(dead_code)]
mod place;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use heapql_ledger::layout::{CALLSITES_AT, Header, HeaderPage, RawCallsite};
use heapql_ledger::{LabelId, LedgerSettings, MIN_BYTES, Sampling, Writer};
use heapql_registry::{Registry, RegistrySettings as Kept};
use place::{CALLSITES, Place, REAL};

/// No process has a number beyond this.
const NOBODY: u32 = 1 << 23;

fn name(nth: u32) -> String {
    format!("{}-{nth}.heapql", NOBODY + nth)
}

/// What makes a ledger the `nth` dead process's.
fn identity(nth: u32) -> [(usize, Vec<u8>); 2] {
    [
        (offset_of!(Header, pid), (NOBODY + nth).to_ne_bytes().to_vec()),
        (offset_of!(Header, created_at), u64::from(nth).to_ne_bytes().to_vec()),
    ]
}

/// The ledger of a process that has freed nothing but what callsites beyond the first `held` had.
fn put(place: &Place, nth: u32, held: usize) {
    let mut bytes = REAL.clone();
    for (at, value) in identity(nth) {
        bytes[at..at + value.len()].copy_from_slice(&value);
    }
    for callsite in held..CALLSITES {
        let at = CALLSITES_AT + callsite * size_of::<RawCallsite>();
        let (freed, total) = (at + offset_of!(RawCallsite, freed_count), at + offset_of!(RawCallsite, total_count));
        bytes.copy_within(total..total + 8, freed);
    }
    place.put(&name(nth), &bytes);
}

/// The numbers of those that are left when a server has looked.
fn left(place: &Place, keep_dead_files: usize, keep_dead_bytes: u64) -> BTreeSet<u32> {
    let settings = Kept { root: place.dir.path().to_owned(), keep_dead_files, keep_dead_bytes };
    let sources = Registry::open(settings).expect("a registry").sources();
    let files = fs::read_dir(place.dir.path()).expect("readable").count();
    assert_eq!(sources.len(), files, "what is shown is what is there");
    sources.iter().map(|source| source.pid() as u32 - NOBODY).collect()
}

#[test]
fn what_holds_nothing_goes_first_and_then_the_oldest() {
    let place = Place::new();
    for nth in 1..=10 {
        put(&place, nth, if nth % 3 == 0 { 0 } else { CALLSITES });
    }
    assert_eq!(left(&place, 10, u64::MAX).len(), 10);
    assert_eq!(left(&place, 8, u64::MAX), [1, 2, 4, 5, 7, 8, 9, 10].into());
    assert_eq!(left(&place, 5, u64::MAX), [4, 5, 7, 8, 10].into());
    let bytes = place.sources()[0].ledger_bytes();
    assert_eq!(left(&place, usize::MAX - 1, 3 * bytes), [7, 8, 10].into(), "by bytes");
}

/// As after an hour of a shell script that forks.
#[test]
fn what_holds_little_goes_before_what_holds_much() {
    let place = Place::new();
    for nth in 1..=20 {
        put(&place, nth, if nth % 10 == 1 { CALLSITES } else { 3 });
    }
    assert_eq!(left(&place, 8, u64::MAX), [1, 11, 15, 16, 17, 18, 19, 20].into());
    // The newest two of eight have just ended; where all that is older holds much, the oldest goes.
    for nth in 21..=26 {
        put(&place, nth, CALLSITES);
    }
    for nth in 27..=28 {
        put(&place, nth, 3);
    }
    assert_eq!(left(&place, 8, u64::MAX), [21, 22, 23, 24, 25, 26, 27, 28].into());
}

#[test]
fn what_is_mapped_stays() {
    let place = Place::new();
    static PAGE: HeaderPage = HeaderPage::zeroed();
    let writer = Writer::new(&PAGE);
    let dir = CString::new(place.dir.path().as_os_str().as_bytes()).expect("no zero byte");
    let default_label = LabelId { tenant_id: 1, ctx_id: 0, text: b"label" };
    let settings = LedgerSettings { dir: &dir, bytes: MIN_BYTES, sampling: Sampling::DEFAULT, default_label };
    // SAFETY: this writer and its page are this test's alone.
    unsafe { writer.open(&settings) }.expect("a ledger");
    // As a process of another pid namespace looks from here: the oldest, and dead.
    let path = fs::read_dir(place.dir.path()).expect("readable").next().expect("a ledger").expect("an entry").path();
    let file = fs::File::options().write(true).open(&path).expect("the file");
    for (at, value) in identity(1) {
        file.write_all_at(&value, at as u64).expect("written");
    }
    fs::rename(path, place.path(&name(1))).expect("renamed");
    for nth in 2..=5 {
        put(&place, nth, CALLSITES);
    }
    assert_eq!(left(&place, 2, u64::MAX), [1, 5].into());
    assert_eq!(left(&place, 0, u64::MAX), [1].into());
    // SAFETY: nothing else uses the writer.
    unsafe { writer.abandon() };
    assert_eq!(left(&place, 0, u64::MAX), BTreeSet::new(), "nobody has it mapped any more");
}

#[test]
fn a_server_that_nobody_asks_keeps_to_its_bounds() {
    let place = Place::new();
    let settings = Kept { root: place.dir.path().to_owned(), keep_dead_files: 4, keep_dead_bytes: u64::MAX };
    let registry = Registry::open(settings).expect("a registry");
    let files = || fs::read_dir(place.dir.path()).expect("readable").count();
    for nth in 1..=10 {
        put(&place, nth, CALLSITES);
    }
    registry.tidy();
    assert_eq!(files(), 4);
    registry.tidy();
    assert_eq!(files(), 4);
}
