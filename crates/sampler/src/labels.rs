//! The labels of this process, by number: the same numbers in every ledger it ever writes.
//!
//! A private copy, because a forked child starts a ledger of its own while its threads still carry the numbers. Called by
//! `scope` and by `recorder` when it opens a ledger.

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::*};

use heapql_ledger::layout::LABEL_CAPACITY;
use heapql_ledger::{LABEL_BYTES, LabelId, TryLock, Writer};

use crate::text::{Line, log};

struct Entry {
    tenant_id: AtomicU64,
    ctx_id: AtomicU64,
    /// Text in the first 15 bytes, its length in the last.
    text: [AtomicU64; 2],
}

static ENTRIES: [Entry; LABEL_CAPACITY] = [const {
    Entry { tenant_id: AtomicU64::new(0), ctx_id: AtomicU64::new(0), text: [AtomicU64::new(0), AtomicU64::new(0)] }
}; LABEL_CAPACITY];
static COUNT: AtomicU32 = AtomicU32::new(0);
pub(crate) static LOCK: TryLock = TryLock::new();

/// From a label's hash to its number plus one, by open addressing: 0 is free, and half of the places always are. Labels that
/// a program makes up as it runs are looked up at every scope.
static PLACES: [AtomicU16; 2 * LABEL_CAPACITY] = [const { AtomicU16::new(0) }; 2 * LABEL_CAPACITY];

fn hash(wanted: &LabelId, text: [u64; 2]) -> usize {
    let words = [wanted.tenant_id, wanted.ctx_id, text[0], text[1]];
    let mixed =
        words.iter().fold(0, |hash: u64, &word| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (mixed >> 32) as usize
}

/// The number of a label, or else the place for it.
fn find(wanted: &LabelId, text: [u64; 2]) -> Result<u16, Option<&'static AtomicU16>> {
    let hash = hash(wanted, text);
    for step in 0..PLACES.len() {
        let place = &PLACES[(hash + step) % PLACES.len()];
        let Some(number) = place.load(Acquire).checked_sub(1) else {
            return Err(Some(place));
        };
        let entry = &ENTRIES[number as usize % LABEL_CAPACITY];
        if entry.tenant_id.load(Relaxed) == wanted.tenant_id
            && entry.ctx_id.load(Relaxed) == wanted.ctx_id
            && entry.text[0].load(Relaxed) == text[0]
            && entry.text[1].load(Relaxed) == text[1]
        {
            return Ok(number);
        }
    }
    Err(None)
}

/// The number of a label, which the ledger gets too if there is one. `None` when there are too many, or another thread
/// is adding one for too long.
pub(crate) fn number(wanted: &LabelId, writer: &Writer) -> Option<u16> {
    let text = wanted.words();
    if let Ok(found) = find(wanted, text) {
        return Some(found);
    }
    // Lock-free where it is full, since every scope of a label too many comes here.
    ENTRIES.get(COUNT.load(Relaxed) as usize)?;
    let _held = LOCK.lock()?;
    let place = match find(wanted, text) {
        Ok(found) => return Some(found),
        Err(place) => place?,
    };
    let at = COUNT.load(Relaxed);
    let entry = ENTRIES.get(at as usize)?;
    entry.tenant_id.store(wanted.tenant_id, Relaxed);
    entry.ctx_id.store(wanted.ctx_id, Relaxed);
    for (to, from) in entry.text.iter().zip(text) {
        to.store(from, Relaxed);
    }
    // The ledger's table first: a thread that gets the number may use it at once.
    if writer.is_open() && writer.label(wanted) != Some(at as u16) {
        return None;
    }
    COUNT.store(at + 1, Release);
    place.store(at as u16 + 1, Release);
    Some(at as u16)
}

pub(crate) fn are_full() -> bool {
    COUNT.load(Relaxed) as usize >= LABEL_CAPACITY
}

/// Tenants and contexts are bigint in SQL, and no tenant is 0. What cannot be a label is said once: a scope may be entered a
/// million times.
pub(crate) fn is_possible(wanted: &LabelId) -> bool {
    const MOST: u64 = i64::MAX as u64;
    static SAID: AtomicBool = AtomicBool::new(false);
    if (1..=MOST).contains(&wanted.tenant_id) && wanted.ctx_id <= MOST {
        return true;
    }
    if !SAID.swap(true, Relaxed) {
        let text = wanted.text.get(..LabelId::kept(wanted.text)).unwrap_or_default();
        let line = Line::new().text(b"no scope: the label '").text(text).text(b"' has tenant ");
        let line = line.number(wanted.tenant_id).text(b" and ctx ").number(wanted.ctx_id);
        log(line.text(b"; tenants are 1..").number(MOST).text(b", ctxs 0..").number(MOST));
    }
    false
}

/// False for what [`number`] never gave.
pub(crate) fn is_known(label: u16) -> bool {
    u32::from(label) < COUNT.load(Acquire)
}

/// Adds all labels but the first, which a ledger starts with, to a fresh ledger.
pub(crate) fn restore(writer: &Writer) {
    for entry in ENTRIES.iter().take(COUNT.load(Acquire) as usize).skip(1) {
        let mut text = [0; 16];
        for (to, from) in text.chunks_exact_mut(8).zip(&entry.text) {
            to.copy_from_slice(&from.load(Relaxed).to_ne_bytes());
        }
        let length = (text[LABEL_BYTES] as usize).min(LABEL_BYTES);
        let label = LabelId {
            tenant_id: entry.tenant_id.load(Relaxed),
            ctx_id: entry.ctx_id.load(Relaxed),
            text: &text[..length],
        };
        writer.label(&label);
    }
}
