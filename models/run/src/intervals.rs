//! A change of the intervals: whoever sees that there was one samples by the new ones, and no change is missed.

use core::memory;
use core::sync::atomic::Ordering::Relaxed;
use std::path::Path;

use heapql_ledger::layout::{HeaderPage, LIMIT_START, LIMIT_STEP};
use heapql_ledger::{Intervals, LabelId, Ledger, LedgerSettings, MIN_BYTES, Sampling, Writer};

use crate::thread::{self, Thread};
use crate::{Model, at_once, decide};

pub(crate) const MODELS: &[Model] = &[
    ("intervals: a change reaches a thread whole", 2, change),
    ("intervals: two changes reach two threads", 1, two_changes),
    ("intervals: two servers change them at once", 3, two_servers),
];

fn sampling(min: u32) -> Sampling {
    Sampling { intervals: Intervals::new(min, min).expect("valid"), ..Sampling::DEFAULT }
}

fn writer() -> &'static Writer {
    let writer = memory::place(Writer::new(memory::place(HeaderPage::zeroed())));
    let default_label = LabelId { tenant_id: 1, ctx_id: 0, text: b"" };
    let settings = LedgerSettings { dir: c"/ledgers", bytes: MIN_BYTES, sampling: sampling(10_000), default_label };
    // SAFETY: the model's own writer and page, opened once.
    unsafe { writer.open(&settings) }.expect("a ledger");
    let thread = thread::current();
    // SAFETY: this thread's block, of which each thread of the model shall have its own; nothing holds on to it.
    unsafe {
        memory::renew(thread);
        core::model::own_memory(core::ptr::from_ref(thread).cast_mut().cast(), size_of::<Thread>());
    }
    writer
}

/// What the allocation path does. True if the allocation is sampled.
fn allocate(writer: &Writer, bytes: u64) -> bool {
    let control = &writer.header().control;
    let due = thread::tick() >= control.limit.load(Relaxed) || bytes >= control.byte_rule.load(Relaxed);
    due && decide::due(thread::current(), control, bytes).is_some()
}

fn set(min: u32) {
    Ledger::set_sampling(Path::new(""), sampling(min)).expect("the file is there");
}

/// What the two words that decide say when all is over.
fn assert_settled(writer: &Writer, changes: u64) {
    let control = &writer.header().control;
    let found = Intervals::from_word(control.intervals.load(Relaxed)).expect("some that were set");
    assert_eq!(control.byte_rule.load(Relaxed), found.byte_rule(), "of {found:?}");
    assert_eq!(control.limit.load(Relaxed), LIMIT_START - changes * LIMIT_STEP);
}

/// From zero mode, in which no thread ever looks, to every allocation.
fn change() {
    let writer = writer();
    let allocates = || {
        for _ in 0..2 {
            let is_changed = writer.header().control.limit.load(Relaxed) != LIMIT_START;
            let is_sampled = allocate(writer, 100);
            assert!(is_sampled || !is_changed, "who sees that there was a change samples by it");
        }
    };
    at_once!(|| set(1), allocates);
    assert!(allocate(writer, 100), "at the next allocation");
    assert_settled(writer, 1);
}

fn two_changes() {
    let writer = writer();
    let allocates = || {
        for _ in 0..2 {
            allocate(writer, 100);
        }
    };
    let changes = || {
        set(1);
        set(10_000);
    };
    at_once!(changes, allocates);
    assert!(!allocate(writer, 17 << 20), "zero mode in the end");
    assert_settled(writer, 2);
}

fn two_servers() {
    let writer = writer();
    at_once!(|| set(10_000), || set(16));
    assert_settled(writer, 2);
}
