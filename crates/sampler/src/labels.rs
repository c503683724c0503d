//! The labels of this process, by number: the same numbers in every ledger it ever writes.
//!
//! A private copy, because a forked child starts a ledger of its own while its threads still carry the numbers. Called by
//! `scope` and by `recorder` when it opens a ledger.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use heapql_ledger::layout::LABEL_CAPACITY;
use heapql_ledger::{LABEL_BYTES, LabelId, TryLock, Writer};

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

fn position(wanted: &LabelId, text: [u64; 2]) -> Option<u16> {
    let count = COUNT.load(Acquire) as usize;
    let found = ENTRIES.iter().take(count).position(|entry| {
        entry.tenant_id.load(Relaxed) == wanted.tenant_id
            && entry.ctx_id.load(Relaxed) == wanted.ctx_id
            && entry.text[0].load(Relaxed) == text[0]
            && entry.text[1].load(Relaxed) == text[1]
    });
    found.map(|at| at as u16)
}

/// The number of a label, which the ledger gets too if there is one. `None` when there are too many.
pub(crate) fn number(wanted: &LabelId, writer: &Writer) -> Option<u16> {
    let text = wanted.words();
    if let Some(found) = position(wanted, text) {
        return Some(found);
    }
    let _held = LOCK.lock()?;
    if let Some(found) = position(wanted, text) {
        return Some(found);
    }
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
    Some(at as u16)
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
