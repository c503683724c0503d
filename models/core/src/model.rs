//! One model: what it does before its threads, the threads, and what must hold after them, under every interleaving.
//!
//! Before and after the threads the product's code runs on plain memory. While they run, every atomic word that a thread
//! may touch is a loom cell. Loom wants cells made before the threads start, and which words a model touches is known only
//! when it has run: so a run that meets a new word is thrown away, and all begins anew with that word. The words are found
//! by address, so a model must place everything at the same address each time (`memory`). Called by `run`, and by the
//! replaced parts of `core`, `libc` and `std`.

use std::cell::{Cell as Plain, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{
    self as plain, AtomicUsize,
    Ordering::{Acquire, Relaxed},
};

use loom::sync::atomic as checked;

use crate::memory;

macro_rules! kinds {
    ($($name:ident)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Kind { $($name),* }

        /// The loom atomic that stands for a word.
        pub(crate) enum Cell { $($name(checked::$name)),* }

        impl Kind {
            fn bytes(self) -> usize {
                match self { $(Kind::$name => size_of::<plain::$name>()),* }
            }

            /// # Safety
            /// An atomic of this kind is at `at`.
            unsafe fn cell(self, at: usize) -> Cell {
                // SAFETY: this function's condition.
                match self { $(Kind::$name => Cell::$name(checked::$name::new(unsafe { &*(at as *const plain::$name) }.load(Relaxed)))),* }
            }
        }

        impl Cell {
            /// The value goes to plain memory.
            ///
            /// # Safety
            /// An atomic of this kind is at `at`.
            unsafe fn write_back(&self, at: usize) {
                // SAFETY: this function's condition.
                match self { $(Cell::$name(atomic) => unsafe { &*(at as *const plain::$name) }.store(atomic.load(Relaxed), Relaxed)),* }
            }

            /// `newest`: what was stored last, which a load may miss and an exchange does not.
            fn copy_to(&self, bytes: &mut [u8], newest: bool) {
                match self { $(Cell::$name(atomic) => {
                    let value = if newest { atomic.fetch_or(Default::default(), Acquire) } else { atomic.load(Relaxed) };
                    // SAFETY: an integer or a boolean, all bytes of which are initialised.
                    let from = unsafe { core::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of_val(&value)) };
                    bytes[..from.len()].copy_from_slice(from);
                }),* }
            }

            fn clear(&self) {
                match self { $(Cell::$name(atomic) => _ = atomic.swap(Default::default(), Relaxed)),* }
            }

            fn bytes(&self) -> usize {
                match self { $(Cell::$name(_) => Kind::$name.bytes()),* }
            }
        }
    };
}

kinds!(AtomicBool AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicUsize);

/// What threads share outside atomics: each access must be ordered with every other.
type Payload = loom::cell::UnsafeCell<()>;

#[derive(Default)]
struct State {
    /// What was touched, by address.
    words: BTreeMap<usize, Kind>,
    payloads: BTreeSet<usize>,
    /// The same while threads run, as far as former runs had touched it.
    cells: BTreeMap<usize, Rc<Cell>>,
    owned: BTreeMap<usize, Rc<Payload>>,
    running: bool,
    /// Something was touched that no former run had.
    incomplete: bool,
    own: Option<OwnMemory>,
}

/// Memory of which each thread has its own, at one address: thread-local storage that the product finds by itself.
struct OwnMemory {
    at: *mut u8,
    fresh: Vec<u8>,
    owner: usize,
    others: BTreeMap<usize, Vec<u8>>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
    /// The model's thread that runs now: 0 is the one that starts the others.
    static CURRENT: Plain<usize> = const { Plain::new(0) };
}

fn with<R>(act: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(|state| act(&mut state.borrow_mut()))
}

/// The cell of a word; `None` if no thread of a model runs, or the word is new.
pub(crate) fn cell(at: usize, kind: Kind) -> Option<Rc<Cell>> {
    with(|state| {
        if !state.running {
            memory::keep(at, kind.bytes());
            return None;
        }
        let found = state.cells.get(&at).cloned();
        if found.is_none() {
            memory::keep(at, kind.bytes());
            state.words.insert(at, kind);
            state.incomplete = true;
        }
        found
    })
}

pub fn is_running() -> bool {
    with(|state| state.running)
}

/// A step of loom's, at which another thread may go on.
pub(crate) fn switching<R>(step: impl FnOnce() -> R) -> R {
    let thread = CURRENT.get();
    let result = step();
    become_current(thread);
    result
}

fn become_current(thread: usize) {
    CURRENT.set(thread);
    with(|state| {
        let Some(own) = state.own.as_mut().filter(|own| own.owner != thread) else {
            return;
        };
        let mut mine = own.others.remove(&thread).unwrap_or_else(|| own.fresh.clone());
        // SAFETY: `own_memory` was given these bytes, which are used by one thread of the model at a time.
        unsafe { core::slice::from_raw_parts_mut(own.at, mine.len()) }.swap_with_slice(&mut mine);
        own.others.insert(core::mem::replace(&mut own.owner, thread), mine);
    });
}

/// Lets the other threads go on: a wait.
pub fn step_aside() {
    if is_running() {
        switching(loom::thread::yield_now);
    }
}

/// Reads or writes what no atomic protects. Loom refuses accesses that are not ordered.
pub fn touch(at: usize) {
    let payload = with(|state| {
        if !state.running {
            return None;
        }
        state.incomplete |= state.payloads.insert(at);
        state.owned.get(&at).cloned()
    });
    if let Some(payload) = payload {
        payload.with_mut(|_| ());
    }
}

/// Copies memory that others may be writing, as another process would: words whole, in no order among each other, but
/// after all that was copied before. A page is copied in order, as it is at the moment: of its words there are too many
/// subsets to try.
pub fn copy(from: usize, to: &mut [u8]) {
    // SAFETY: the caller names memory of the model, which stays mapped.
    unsafe { core::ptr::copy_nonoverlapping(from as *const u8, to.as_mut_ptr(), to.len()) };
    if !is_running() {
        return;
    }
    let cells: Vec<(usize, Rc<Cell>)> =
        with(|state| state.cells.range(from..from + to.len()).map(|(&at, cell)| (at, cell.clone())).collect());
    let in_order = to.len() >= memory::PAGE;
    for (at, cell) in cells {
        if at + cell.bytes() <= from + to.len() {
            switching(|| cell.copy_to(&mut to[at - from..], in_order));
        }
    }
    switching(|| loom::sync::atomic::fence(Acquire));
}

/// Zeroes memory as the kernel does when it is given back, while threads run.
pub fn clear(at: usize, bytes: usize) {
    let cells: Vec<(usize, Rc<Cell>)> =
        with(|state| state.cells.range(at..at + bytes).map(|(&at, cell)| (at, cell.clone())).collect());
    for (_, cell) in cells {
        switching(|| cell.clear());
    }
}

/// Gives each thread of the next [`threads`] its own copy of these bytes, as they are now.
///
/// # Safety
/// Only the threads of the model use them.
pub unsafe fn own_memory(at: *mut u8, bytes: usize) {
    // SAFETY: this function's condition.
    let fresh = unsafe { core::slice::from_raw_parts(at, bytes) }.to_vec();
    with(|state| state.own = Some(OwnMemory { at, fresh, owner: 0, others: BTreeMap::new() }));
}

/// Runs the threads to their ends, by every interleaving and every value that memory may show.
pub fn threads<'a>(threads: Vec<Box<dyn FnOnce() + Send + 'a>>) {
    with(|state| {
        // SAFETY: the words were touched by former runs, which had everything at the same addresses.
        state.cells = state.words.iter().map(|(&at, kind)| (at, Rc::new(unsafe { kind.cell(at) }))).collect();
        state.owned = state.payloads.iter().map(|&at| (at, Rc::new(Payload::new(())))).collect();
        state.running = true;
    });
    CURRENT.set(0);
    let spawned: Vec<_> = threads
        .into_iter()
        .zip(1..)
        .map(|(thread, number)| {
            // SAFETY: every thread is joined before this function returns; a panic ends the whole model.
            let thread: Box<dyn FnOnce() + Send + 'static> = unsafe { core::mem::transmute(thread) };
            switching(|| {
                let builder = loom::thread::Builder::new().stack_size(32 << 10);
                builder.spawn(move || {
                    become_current(number);
                    thread();
                })
            })
        })
        .collect();
    for thread in spawned {
        switching(|| thread.expect("a thread").join().expect("it ends well"));
    }
    let (cells, incomplete) = with(|state| {
        (state.running, state.own) = (false, None);
        state.owned.clear();
        (core::mem::take(&mut state.cells), state.incomplete)
    });
    for (at, cell) in cells {
        memory::keep(at, cell.bytes());
        // SAFETY: as above.
        unsafe { cell.write_back(at) };
    }
    if incomplete {
        resume_unwind(Box::new(Incomplete));
    }
}

struct Incomplete;

/// Explores a model, with at most so many preemptions of a thread that could have gone on. Panics where it fails; else
/// the number of runs.
pub fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) -> usize {
    let model = Arc::new(model);
    with(|state| *state = State::default());
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !with(|state| state.incomplete) {
                report(panic);
            }
        }));
    });
    loop {
        with(|state| state.incomplete = false);
        let runs = Arc::new(AtomicUsize::new(0));
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 100_000;
        let (body, counted) = (model.clone(), runs.clone());
        let result = catch_unwind(AssertUnwindSafe(|| {
            builder.check(move || {
                counted.fetch_add(1, Relaxed);
                CURRENT.set(0);
                memory::reset();
                body();
            });
        }));
        let incomplete = with(|state| {
            (state.running, state.own) = (false, None);
            state.incomplete
        });
        match result {
            Ok(()) => return runs.load(Relaxed),
            Err(_) if incomplete => {}
            Err(panic) => resume_unwind(panic),
        }
    }
}

thread_local! {
    /// How many more moments pass until the handler runs, and the handler; `None` when it has run or none is wanted.
    static HANDLER: Plain<Option<(usize, fn())>> = const { Plain::new(None) };
}

/// A moment at which a signal may arrive: before every access to an atomic, and at every compiler fence.
pub fn interrupt() {
    match HANDLER.get() {
        None => {}
        Some((0, handler)) => {
            HANDLER.set(None);
            handler();
        }
        Some((moments, handler)) => HANDLER.set(Some((moments - 1, handler))),
    }
}

/// Runs `act`, in which the handler interrupts this thread once, if the model has come to that moment.
pub fn interruptible(act: impl FnOnce()) {
    let moment = MOMENT.get();
    HANDLER.set(Some((moment.0, moment.1)));
    act();
    FIRED.set(HANDLER.take().is_none());
}

thread_local! {
    static MOMENT: Plain<(usize, fn())> = const { Plain::new((0, || ())) };
    static FIRED: Plain<bool> = const { Plain::new(false) };
}

/// Explores a model of one thread and its signal handler: one run for each moment of what is [`interruptible`], until a run
/// ends before its moment comes. Panics where it fails; else the number of runs.
pub fn interrupt_everywhere(model: fn(), handler: fn()) -> usize {
    with(|state| *state = State::default());
    for moment in 0.. {
        MOMENT.set((moment, handler));
        memory::reset();
        model();
        if !FIRED.get() {
            return moment;
        }
    }
    unreachable!("a model ends")
}
