//! A signal handler that allocates, frees and enters scopes, at every moment of what it interrupts: it is refused where the
//! thread is in the recorder, samples where it is not, and leaves labels and counts right in either case.
//!
//! One thread: the moments are the accesses to atomics and the compiler fences, and each gets a run of its own. That the compiler
//! keeps the accesses where they are is what the fences in the product say, and is not modelled.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::{memory, model};
use std::path::Path;

use heapql_ledger::{LabelId, Ledger, Loss};
use heapql_unwind::Registers;

use crate::recorder::{self, Defaults, Request, Underlying};
use crate::{scope, thread};

/// Name, model, and whether some of its moments are inside the recorder. The handler is [`handle`].
const MODELS: &[(&str, fn(), bool)] = &[
    ("signals: a handler interrupts a sample", during_sample, true),
    ("signals: a handler interrupts a free", during_free, false),
    ("signals: a handler interrupts a scope", during_scope, true),
];

/// Runs the models whose names contain `filter`.
pub(crate) fn run(filter: &str) {
    for (name, model, is_inside) in MODELS.iter().filter(|(name, ..)| name.contains(filter)) {
        INSIDE.store(0, Relaxed);
        let moments = model::interrupt_everywhere(*model, handle);
        let inside = INSIDE.load(Relaxed);
        assert_eq!(inside > 0, *is_inside, "{name}: {inside} moments");
        eprintln!("{name}: {moments} moments, {inside} of them inside the recorder");
    }
}

static EXACT: Underlying = Underlying { usable_bytes: |bytes| bytes, resized: |_, _| None };
const DEFAULTS: Defaults = Defaults { tenant_id: 500, ctx_id: 22, label: "glibc_malloc" };
const OUTER: LabelId = LabelId { tenant_id: 7, ctx_id: 1, text: b"outer" };
const INNER: LabelId = LabelId { tenant_id: 7, ctx_id: 2, text: b"inner" };
const HANDLERS: LabelId = LabelId { tenant_id: 7, ctx_id: 3, text: b"handler" };

/// The number of the label that is asked for last.
const HANDLERS_NUMBER: u16 = 3;

/// The samples that the handler of this run has taken, and been refused.
static SAMPLED: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicUsize = AtomicUsize::new(0);
/// The handlers of all runs that found the thread inside the recorder.
static INSIDE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Enters scopes, allocates and frees.
pub(crate) fn handle() {
    let thread = thread::current();
    let (before, inside) = (thread.label.get(), thread.inside.get());
    INSIDE.fetch_add(inside.into(), Relaxed);
    scope::push(&HANDLERS, &DEFAULTS);
    recorder::switch(HANDLERS_NUMBER);
    let expected = if inside { before } else { HANDLERS_NUMBER };
    assert_eq!(thread.label.get(), expected, "what it interrupts inside keeps its label");
    let object = allocate(40);
    assert_eq!(object.is_some(), !inside, "it is refused where the thread is inside, and nowhere else");
    match object {
        Some(object) => {
            SAMPLED.fetch_add(1, Relaxed);
            recorder::free(object);
        }
        None => _ = REFUSED.fetch_add(1, Relaxed),
    }
    scope::pop();
    assert_eq!(thread.label.get(), before, "a handler leaves the label as it found it");
}

/// What `malloc` does in full mode, with a stack that cannot be followed.
fn allocate(bytes: usize) -> Option<*mut u8> {
    if !recorder::may_be_due(bytes) {
        return None;
    }
    let request = Request { bytes, align: 16, zeroed: false, underlying: &EXACT };
    let object = recorder::allocate(request, Registers { pc: 1, sp: 8, bp: 8 }, &[], &DEFAULTS)?;
    Some(object.as_ptr())
}

/// A thread that has sampled before, with labels that are known.
fn begin() {
    // SAFETY: this thread's block; nothing holds on to it.
    unsafe { memory::renew(thread::current()) };
    [&SAMPLED, &REFUSED].into_iter().for_each(|counter| counter.store(0, Relaxed));
    for label in [OUTER, INNER, HANDLERS] {
        assert!(recorder::label(&label, &DEFAULTS).is_some());
    }
    recorder::free(allocate(100).expect("full mode"));
}

/// Samples that are live, samples that were taken, and how many were refused for the guard.
fn counted() -> (i64, i64, u64) {
    let ledger = Ledger::open(Path::new("")).expect("a ledger");
    let callsites = ledger.callsites().expect("readable");
    let losses = ledger.losses().expect("readable");
    let refused = losses.iter().find(|(loss, _)| *loss == Loss::Reentrant).map_or(0, |(_, count)| *count);
    let sum = |of: fn(&heapql_ledger::CallsiteRecord) -> i64| callsites.iter().map(of).sum::<i64>();
    (sum(|site| site.live_count), sum(|site| site.total_count), refused)
}

/// After `own` samples of the thread's own, of which `live` are left.
fn assert_counted(live: i64, own: i64) {
    let (sampled, refused) = (SAMPLED.load(Relaxed) as i64, REFUSED.load(Relaxed) as u64);
    let (found_live, found_total, found_refused) = counted();
    assert_eq!((found_live, found_total), (live, 1 + own + sampled), "each sample is counted once");
    assert!(found_refused >= refused, "what was refused is counted as lost: {found_refused} of {refused}");
    assert!(!thread::current().inside.get(), "nobody is inside any more");
    assert!(allocate(10).is_some(), "the thread still samples");
}

fn during_sample() {
    begin();
    model::interruptible(|| assert!(allocate(100).is_some(), "the thread's own sample is taken"));
    assert_counted(1, 1);
}

fn during_free() {
    begin();
    let object = allocate(100).expect("full mode");
    model::interruptible(|| recorder::free(object));
    assert_counted(0, 1);
}

/// Enters and leaves two scopes. The label that each of them returns to is the one that it began under.
fn during_scope() {
    begin();
    let label = || thread::current().label.get();
    let [outer, inner] = [OUTER, INNER].map(|label| recorder::label(&label, &DEFAULTS).expect("known"));
    scope::push(&OUTER, &DEFAULTS);
    model::interruptible(|| {
        scope::push(&INNER, &DEFAULTS);
        assert_eq!(label(), inner);
        scope::pop();
        assert_eq!(label(), outer, "the scope around it is in force again");
    });
    assert_eq!(label(), outer);
    scope::pop();
    assert_eq!((label(), thread::current().scope_depth.get()), (0, 0));
    assert_counted(0, 0);
}
