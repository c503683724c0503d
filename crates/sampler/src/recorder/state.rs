//! Whether this process is recorded: how recording begins, is held back, and is found impossible.
//!
//! It takes no sample. `fork` begins anew in a forked child. Part of `recorder`.

use core::sync::atomic::{AtomicU8, Ordering::*};

use heapql_ledger::{Intervals, TryLock};
use heapql_unwind::Registers;

use super::{PAGE, POOL, POOL_BYTES, POOL_START, WRITER, fork};
use crate::environment::{self, Defaults, Environment, Path};
use crate::guard::ReentrancyGuard;
use crate::text::{self, Line, log};
use crate::thread::{DUE, Thread};
use crate::{labels, modules};

/// The program has not allocated, or is a forked child that has not since: the next allocation that is due opens a ledger.
const UNOPENED: u8 = 0;
/// There is a ledger.
const OPEN: u8 = 1;
/// Recording is impossible or not wanted.
const OFF: u8 = 2;
/// The program decides at run time and has not done so yet.
const HELD: u8 = 3;

/// The state of this process's recording. Every change is one store or one exchange:
///
/// ```text
///                 hold()                        open(): a ledger
///   +------+ <-------------- +----------+ -----------------------> +------+
///   | HELD |                 | UNOPENED |                          | OPEN |
///   +------+ --------------> +----------+ <----------------------- +------+
///                start()          |           forget_parent(): in a
///                                 |           forked child
///                                 | open(): no directory, no space, no addresses
///                                 v
///                              +-----+
///                              | OFF |  for the rest of the process's life, and of its forked children's
///                              +-----+
/// ```
///
/// `open` holds [`OPENING`] while it leaves UNOPENED, so one thread opens the ledger. It stores OPEN with `Release` after the
/// ledger and the pool are there; [`is_recording`] loads it with `Acquire` before it uses them. `start` stores UNOPENED with
/// `Release` after the control words.
static STATE: AtomicU8 = AtomicU8::new(UNOPENED);
pub(super) static OPENING: TryLock = TryLock::new();

/// Opens the ledger before the program runs, and so before it can change its user, its root, its descriptors, or what system
/// calls it may make.
pub fn begin(defaults: &Defaults) {
    text::note_stderr();
    if let Some(inside) = ReentrancyGuard::enter()
        && is_recording(inside.thread, defaults)
    {
        // What this asks the kernel, a sample of this thread need not ask under a filter.
        let mut bounds = inside.thread.stack.get();
        bounds.cover(Registers::here().sp);
        inside.thread.stack.set(bounds);
    }
}

/// Records nothing until [`start`]: for a program that decides at run time. At its first allocation.
#[cfg(feature = "global-alloc")]
pub(crate) fn hold() {
    if STATE.compare_exchange(UNOPENED, HELD, AcqRel, Acquire).is_ok() {
        PAGE.control.byte_rule.store(u64::MAX, Relaxed);
        PAGE.control.limit.store(u64::MAX, Relaxed);
    }
}

#[cfg(feature = "global-alloc")]
pub(crate) fn is_held() -> bool {
    STATE.load(Acquire) == HELD
}

/// Ends the hold of [`SamplingAlloc::held`]: recording begins, in this directory, with these intervals or else those that
/// the environment or a server asks for. Without a hold it changes nothing.
///
/// [`SamplingAlloc::held`]: crate::SamplingAlloc::held
pub fn start(dir: &[u8], intervals: Option<Intervals>) {
    if STATE.load(Acquire) != HELD {
        return;
    }
    environment::choose(dir, intervals);
    PAGE.control.byte_rule.store(0, Relaxed);
    PAGE.control.limit.store(0, Relaxed);
    // Last: from now on another thread may open the ledger, whose words these then are.
    STATE.store(UNOPENED, Release);
}

/// Changes this process's own sampling. A server that records it may change it again.
pub fn set_intervals(intervals: Intervals) {
    if STATE.load(Acquire) == OPEN {
        WRITER.set_intervals(intervals);
    }
}

/// True if there is a ledger, which is opened here if need be.
#[inline]
pub(super) fn is_recording(thread: &Thread, defaults: &Defaults) -> bool {
    match STATE.load(Acquire) {
        OPEN if !fork::is_child() => true,
        OFF | HELD => {
            thread.count.set(DUE);
            false
        }
        _ => open(thread, defaults),
    }
}

/// Opens the ledger if recording is wanted and possible; called at the first allocation that may be due, when a scope is
/// entered, and in forked children.
#[cold]
fn open(thread: &Thread, defaults: &Defaults) -> bool {
    if !environment::is_there() {
        return false;
    }
    if STATE.load(Acquire) == OPEN && fork::is_child() {
        fork::forget_parent(thread);
    }
    let Some(_held) = OPENING.lock() else {
        return false;
    };
    if STATE.load(Acquire) != UNOPENED {
        return STATE.load(Acquire) == OPEN;
    }
    let opened = fork::mark() && open_ledger(defaults);
    if !opened {
        PAGE.control.byte_rule.store(u64::MAX, Relaxed);
        PAGE.control.limit.store(u64::MAX, Relaxed);
    }
    STATE.store(if opened { OPEN } else { OFF }, Release);
    opened
}

#[inline(never)]
fn open_ledger(defaults: &Defaults) -> bool {
    let mut dir = Path::EMPTY;
    let Some(environment) = Environment::read(defaults, &mut dir) else {
        return false;
    };
    if POOL_BYTES.load(Relaxed) == 0 {
        let Some((start, bytes)) = POOL.reserve() else {
            log(Line::new().text(b"not recording: no address space for sampled objects (ulimit -v?)"));
            return false;
        };
        POOL_START.store(start, Relaxed);
        POOL_BYTES.store(bytes, Relaxed);
    }
    let settings = heapql_ledger::LedgerSettings {
        dir: dir.as_c_str(),
        bytes: environment.bytes,
        sampling: environment.sampling,
        default_label: environment.default_label(),
    };
    labels::number(&settings.default_label, &WRITER);
    // SAFETY: under OPENING, in the state UNOPENED, and PAGE is used by this writer alone.
    if let Err(error) = unsafe { WRITER.open(&settings) } {
        let line = Line::new().text(b"not recording: no ledger in '").text(dir.bytes()).text(b"': ");
        log(line.text(error.what.as_bytes()).text(b" (error ").number(error.errno.0 as u64).text(b")"));
        return false;
    }
    heapql_unwind::modules_changed();
    labels::restore(&WRITER);
    modules::note_program(&WRITER);
    true
}

/// Whether there is a ledger, or was one when this process was forked.
#[inline]
pub(super) fn is_open() -> bool {
    STATE.load(Relaxed) == OPEN
}

/// The next allocation that is due opens a ledger.
pub(super) fn begin_anew() {
    STATE.store(UNOPENED, Release);
}

/// Nothing is recorded yet, and nobody has said that it shall not be.
#[cfg(feature = "global-alloc")]
pub(crate) fn is_unopened() -> bool {
    STATE.load(Acquire) == UNOPENED
}
