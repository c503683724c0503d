//! The recorder's states: one thread opens the ledger, nobody samples before it is open, and what is sampled and freed at
//! once is counted right.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::{memory, model};
use std::path::Path;

use heapql_ledger::layout::LIMIT_START;
use heapql_ledger::{Intervals, LabelId, Ledger};
use heapql_unwind::Registers;

use crate::recorder::{self, Defaults, PAGE, Request, Underlying};
use crate::thread::{self, Thread};
use crate::{Model, at_once};

pub(crate) const MODELS: &[Model] = &[
    ("recording: two threads come first", 1, two_come_first),
    ("recording: one allocates, another frees", 2, allocate_and_free),
    ("recording: it starts while another asks for a label", 2, start_and_label),
];

static EXACT: Underlying = Underlying { usable_bytes: |bytes| bytes, resized: |_, _| None };
const DEFAULTS: Defaults = Defaults { tenant_id: 500, ctx_id: 22, label: "glibc_malloc" };

fn own_threads() {
    let thread = thread::current();
    // SAFETY: this thread's block, of which each thread of the model shall have its own; nothing holds on to it.
    unsafe {
        memory::renew(thread);
        model::own_memory(core::ptr::from_ref(thread).cast_mut().cast(), size_of::<Thread>());
    }
}

/// What `malloc` does in full mode, with a stack that cannot be followed.
fn allocate(bytes: usize) -> Option<usize> {
    if !recorder::may_be_due(bytes) {
        return None;
    }
    let request = Request { bytes, align: 16, zeroed: false, underlying: &EXACT };
    let object = recorder::allocate(request, Registers { pc: 1, sp: 8, bp: 8 }, &[], &DEFAULTS)?;
    let address = object.as_ptr() as usize;
    assert!(recorder::is_sampled(object.as_ptr()), "free will know it");
    model::touch(address);
    Some(address)
}

/// Live and total objects and bytes.
fn counted() -> [i64; 4] {
    let callsites = Ledger::open(Path::new("")).expect("a ledger").callsites().expect("readable");
    callsites.iter().fold([0; 4], |[live, live_bytes, total, bytes], site| {
        [live + site.live_count, live_bytes + site.live_bytes, total + site.total_count, bytes + site.total_bytes]
    })
}

fn two_come_first() {
    own_threads();
    let sampled = memory::place(AtomicUsize::new(0));
    let allocates = || {
        if allocate(100).is_some() {
            sampled.fetch_add(1, Relaxed);
        }
    };
    at_once!(allocates, allocates);
    assert_eq!(PAGE.label_count.load(Relaxed), 1);
    let sampled = sampled.load(Relaxed) as i64;
    assert_eq!(sampled, 2, "who does not open the ledger waits for who does");
    assert_eq!(counted(), [sampled, 100 * sampled, sampled, 100 * sampled]);
}

fn allocate_and_free() {
    own_threads();
    let old = allocate(100).expect("full mode");
    own_threads();
    let new = memory::place(AtomicUsize::new(0));
    let allocates = || new.store(allocate(100).expect("full mode"), Relaxed);
    let frees = || {
        model::touch(old);
        recorder::free(old as *mut u8);
    };
    at_once!(allocates, frees);
    assert_eq!(counted(), [1, 100, 2, 200]);
    recorder::free(new.load(Relaxed) as *mut u8);
    assert_eq!(counted(), [0, 0, 2, 200]);
}

/// The program has held recording back. Whoever comes while it ends that finds a ledger, or none yet.
fn start_and_label() {
    own_threads();
    recorder::hold();
    assert_eq!(allocate(100), None);
    own_threads();
    let wanted = LabelId { tenant_id: 7, ctx_id: 8, text: b"other" };
    let number = memory::place(AtomicUsize::new(0));
    let labels = || {
        let found = recorder::label(&wanted, &DEFAULTS);
        number.store(found.unwrap_or(9).into(), Relaxed);
    };
    at_once!(|| recorder::start(b"/ledgers", Intervals::new(1, 1)), labels);
    assert!(allocate(100).is_some() && allocate(100).is_some(), "full mode from now on");
    assert_eq!(PAGE.control.limit.load(Relaxed), LIMIT_START);
    assert!([1, 9].contains(&number.load(Relaxed)));
    assert_eq!(counted(), [2, 200, 2, 200]);
}
