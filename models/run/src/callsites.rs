//! The ledger's tables: what threads add at once is added once, nothing that is counted is lost, and a reader of another
//! process sees whole records only.

use core::memory;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::path::Path;

use heapql_ledger::layout::HeaderPage;
use heapql_ledger::{
    CERTAIN, CallsiteKey, Intervals, LabelId, Ledger, LedgerSettings, MIN_BYTES, ModuleEntry, Sampling, Weight, Writer,
};

use crate::{Model, at_once};

pub(crate) const MODELS: &[Model] = &[
    ("callsites: two threads find or add the same stack", 2, same_stack),
    ("callsites: two threads, three stacks", 2, three_stacks),
    ("callsites: found while the index grows", 2, growing_index),
    ("callsites: a reader sees whole callsites", 2, reader_of_callsites),
    ("callsites: a reader sees whole labels", 2, reader_of_labels),
    ("callsites: a reader sees whole modules", 3, reader_of_modules),
    ("callsites: two threads add the same label", 2, same_label),
    ("callsites: a file that is being created", 2, reader_of_a_new_file),
];

const DEFAULT: LabelId = LabelId { tenant_id: 500, ctx_id: 22, text: b"glibc_malloc" };
const OTHER: LabelId = LabelId { tenant_id: 7, ctx_id: 8, text: b"a_long_label_ab" };

const WEIGHT: Weight = CERTAIN;

fn unopened() -> &'static Writer {
    memory::place(Writer::new(memory::place(HeaderPage::zeroed())))
}

fn open(writer: &Writer) {
    let settings =
        LedgerSettings { dir: c"/ledgers", bytes: MIN_BYTES, sampling: Sampling::DEFAULT, default_label: DEFAULT };
    // SAFETY: the model's own writer and page, opened once.
    unsafe { writer.open(&settings) }.expect("a ledger");
}

fn writer() -> &'static Writer {
    let writer = unopened();
    open(writer);
    writer
}

fn ledger() -> Ledger {
    Ledger::open(Path::new("")).expect("a valid ledger")
}

/// What the recorder does at a sample.
fn sample(writer: &Writer, frames: &[usize]) -> u32 {
    let key = CallsiteKey { label: 0, shard: 0, weight: WEIGHT, frames };
    let id = writer.find(&key).unwrap_or_else(|| writer.add(&key, 10).expect("room"));
    writer.count(id, 10);
    id
}

/// Live objects of each stack, with the bytes.
fn live(ledger: &Ledger) -> Vec<(Vec<u64>, i64, i64)> {
    let callsites = ledger.callsites().expect("readable");
    let mut live: Vec<_> = callsites
        .iter()
        .map(|site| {
            let stack = ledger.words(site.stack_at, site.depth.into()).expect("inside");
            (stack, site.live_count, site.live_bytes)
        })
        .collect();
    live.sort();
    live
}

fn same_stack() {
    let writer = writer();
    let ids = [memory::place(AtomicU32::new(9)), memory::place(AtomicU32::new(9))];
    let thread = |id: &'static AtomicU32| move || id.store(sample(writer, &[1, 2, 3]), Relaxed);
    at_once!(thread(ids[0]), thread(ids[1]));
    assert_eq!([ids[0].load(Relaxed), ids[1].load(Relaxed)], [0, 0]);
    assert_eq!(live(&ledger()), [(vec![1, 2, 3], 2, 20)]);
}

fn three_stacks() {
    let writer = writer();
    let thread = |own: &'static [usize]| {
        move || {
            sample(writer, own);
            let id = sample(writer, &[1, 2]);
            writer.uncount(id, 10);
        }
    };
    at_once!(thread(&[3]), thread(&[4, 5]));
    assert_eq!(live(&ledger()), [(vec![1, 2], 0, 0), (vec![3], 1, 10), (vec![4, 5], 1, 10)]);
}

/// The 512th entry is the last that the first table of the index takes.
fn growing_index() {
    let writer = writer();
    let mut at = 0;
    while at < 511 {
        // A stack and its callsite are two entries; the last one here shares its stack with the one before.
        let shard = u8::from(at == 510);
        let key = CallsiteKey { label: 0, shard, weight: WEIGHT, frames: &[100 + at / 2 - usize::from(shard)] };
        writer.add(&key, 10).expect("room");
        at += if shard == 1 { 1 } else { 2 };
    }
    let adds = || assert_ne!(sample(writer, &[7]), 1);
    let finds = || {
        let known = CallsiteKey { label: 0, shard: 0, weight: WEIGHT, frames: &[101] };
        assert_eq!(writer.find(&known), Some(1), "known before and for ever");
        writer.count(1, 10);
        if let Some(id) = writer.find(&CallsiteKey { label: 0, shard: 0, weight: WEIGHT, frames: &[7] }) {
            writer.count(id, 10);
            writer.uncount(id, 10);
        }
    };
    at_once!(adds, finds);
    let live = live(&ledger());
    assert_eq!(live.iter().filter(|(_, count, _)| *count != 0).count(), 2);
    assert!(live.iter().all(|(_, count, bytes)| count * 10 == *bytes));
}

fn reader_of_callsites() {
    let writer = writer();
    let writes = || assert_ne!(sample(writer, &[11, 12]), sample(writer, &[21]));
    let reads = || {
        for (stack, count, _) in live(&ledger()) {
            assert!(stack == [11, 12] || stack == [21], "{stack:?}");
            assert!((0..=1).contains(&count));
        }
    };
    at_once!(writes, reads);
    assert_eq!(live(&ledger()), [(vec![11, 12], 1, 10), (vec![21], 1, 10)]);
}

fn reader_of_labels() {
    let writer = writer();
    let writes = || {
        let label = writer.label(&OTHER).expect("room");
        writer.add(&CallsiteKey { label, shard: 0, weight: WEIGHT, frames: &[1] }, 10).expect("room");
    };
    let reads = || {
        let ledger = ledger();
        // Callsites first, as the registry does: whatever label they name is there then.
        let callsites = ledger.callsites().expect("readable");
        let labels = ledger.labels().expect("readable");
        assert!(callsites.iter().all(|site| labels.get(site.label as usize).is_some()));
        for label in labels {
            let known = [(500, "glibc_malloc"), (7, "a_long_label_ab")];
            assert!(known.contains(&(label.tenant_id, label.text.as_str())), "{label:?}");
        }
    };
    at_once!(writes, reads);
}

const MODULE: ModuleEntry = ModuleEntry {
    start: 0x1000,
    end: 0x2000,
    load_bias: 3,
    name: b"/lib/libx.so",
    build_id: &[5; 20],
    is_program: true,
};

fn reader_of_modules() {
    let writer = writer();
    let writes = || assert!(writer.add_module(&MODULE));
    let reads = || {
        for module in ledger().modules().expect("readable") {
            assert_eq!((module.start, module.end, module.load_bias), (MODULE.start, MODULE.end, MODULE.load_bias));
            assert_eq!((module.path.as_bytes(), module.build_id.as_slice()), (MODULE.name, MODULE.build_id));
            assert!(module.is_program && module.unloaded.is_none());
        }
    };
    at_once!(writes, reads);
}

fn same_label() {
    let writer = writer();
    let adds = || assert_eq!(writer.label(&OTHER), Some(1));
    at_once!(adds, adds);
    assert_eq!(ledger().labels().expect("readable").len(), 2);
}

/// From the first byte of its header on, a ledger is either not ready or right.
fn reader_of_a_new_file() {
    let writer = unopened();
    // The file must be there, and empty, for the reader to open.
    let page = core::ptr::from_ref(writer.header()) as usize;
    libc::announce(page, MIN_BYTES);
    let reads = || match Ledger::open(Path::new("")) {
        Ok(ledger) => {
            assert_eq!(ledger.intervals().expect("readable"), Some(Intervals::DEFAULT));
            assert_eq!(ledger.identity().pid, std::process::id());
            assert_eq!(ledger.labels().expect("readable")[0].text, "glibc_malloc");
        }
        Err(error) => assert!(matches!(error, heapql_ledger::ReadError::NotReady), "{error}"),
    };
    at_once!(|| open(writer), reads);
    assert_eq!(ledger().labels().expect("readable").len(), 1, "ready in the end");
}
