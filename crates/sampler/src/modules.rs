//! Which loaded modules the ledger already names: those that some stack passes through.
//!
//! Looked at only when a stack is new. It resolves no symbols. Called by `recorder`.
//!
//! An address may come to mean something else when a module is unloaded. Programs that load and unload the same library
//! all day are common, and it mostly comes back to where it was: so nothing happens until something runs where a module
//! has gone. If it is the same file at the same place, all is as before; else all stacks begin anew, in another
//! generation.

use core::ffi::CStr;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};

use heapql_ledger::layout::MODULE_CAPACITY;
use heapql_ledger::{ModuleEntry, Writer};
use heapql_unwind::LoadedModule;

struct KnownModule {
    start: AtomicUsize,
    end: AtomicUsize,
    /// A hash of its file and place; 0 if it has no build id.
    identity: AtomicU64,
    /// It was found unloaded.
    gone: AtomicBool,
}

static KNOWN: [KnownModule; MODULE_CAPACITY] = [const {
    KnownModule {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        identity: AtomicU64::new(0),
        gone: AtomicBool::new(false),
    }
}; MODULE_CAPACITY];
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Some are gone.
static GONE: AtomicBool = AtomicBool::new(false);
/// There were modules that are not among the known: nobody can tell when they are gone.
static UNKNOWN: AtomicBool = AtomicBool::new(false);

impl KnownModule {
    fn range(&self) -> Range<usize> {
        self.start.load(Relaxed)..self.end.load(Relaxed)
    }
}

fn known() -> impl Iterator<Item = &'static KnownModule> {
    KNOWN.iter().take(COUNT.load(Acquire).min(MODULE_CAPACITY))
}

fn find(address: usize) -> Option<Range<usize>> {
    known().filter(|known| !known.gone.load(Relaxed)).map(KnownModule::range).find(|range| range.contains(&address))
}

/// Names the modules of a new stack.
pub(crate) fn note(writer: &Writer, frames: &[usize]) {
    // Neighbours mostly lie in the same one.
    let mut last = 0..0;
    for &address in frames {
        if last.contains(&address) {
            continue;
        }
        match find(address) {
            Some(range) => last = range,
            None => add(writer, address, false),
        }
    }
}

/// Names the program, whose addresses readers print relative.
pub(crate) fn note_program(writer: &Writer) {
    // SAFETY: getauxval reads a table that the kernel filled before the program started.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
    add(writer, headers, true);
}

/// Code without a module (generated at run time) stays without.
fn add(writer: &Writer, address: usize, is_program: bool) {
    let Some(module) = heapql_unwind::module_of(address) else {
        return;
    };
    if known().any(|known| known.gone.load(Relaxed) && overlap(&known.range(), &(module.start..module.end))) {
        begin_anew(writer);
    }
    let mut build_id = [0; 32];
    let build_id = build_id_of(&module, &mut build_id);
    // SAFETY: `module_of` promises a C string that lives as long as the module, which `address` keeps loaded: it is a
    // return address of this thread, or the program.
    let name = if module.name.is_null() { c"" } else { unsafe { CStr::from_ptr(module.name) } };
    let added = writer.add_module(&ModuleEntry {
        start: module.start as u64,
        end: module.end as u64,
        load_bias: module.load_bias as u64,
        name: name.to_bytes(),
        build_id,
        is_program,
    });
    let at = COUNT.load(Relaxed);
    let Some(known) = KNOWN.get(at).filter(|_| added) else {
        UNKNOWN.store(true, Relaxed);
        return;
    };
    known.start.store(module.start, Relaxed);
    known.end.store(module.end, Relaxed);
    known.identity.store(identity(&module, build_id), Relaxed);
    known.gone.store(false, Relaxed);
    COUNT.store(at + 1, Release);
}

fn build_id_of<'a>(module: &LoadedModule, into: &'a mut [u8; 32]) -> &'a [u8] {
    let bytes = heapql_unwind::build_id(module, into);
    into.get(..bytes).unwrap_or_default()
}

/// FNV-1a over what the module is and where, never 0; or 0 without a build id.
fn identity(module: &LoadedModule, build_id: &[u8]) -> u64 {
    let place = [module.start, module.end, module.load_bias].into_iter().flat_map(usize::to_ne_bytes);
    let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    if build_id.is_empty() { 0 } else { place.chain(build_id.iter().copied()).fold(0xcbf2_9ce4_8422_2325, add) | 1 }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Something was unloaded: what is gone is marked.
pub(crate) fn unloaded(writer: &Writer) {
    if UNKNOWN.load(Relaxed) {
        begin_anew(writer);
        return;
    }
    for known in known().filter(|known| !known.gone.load(Relaxed)) {
        let range = known.range();
        if !range.is_empty() && !is_loaded(&range) {
            known.gone.store(true, Relaxed);
            GONE.store(true, Release);
        }
    }
}

fn is_loaded(range: &Range<usize>) -> bool {
    heapql_unwind::module_of(range.start).is_some_and(|module| (module.start..module.end) == *range)
}

/// To be called with every stack that may be new, before it is looked up: sees to it that an address where a module has
/// gone means what it meant before, or that the stack is looked up in another generation.
#[inline]
pub(crate) fn see_returned(writer: &Writer, frames: &[usize]) {
    if GONE.load(Acquire) {
        see_each_returned(writer, frames);
    }
}

#[cold]
#[inline(never)]
fn see_each_returned(writer: &Writer, frames: &[usize]) {
    for known in known().filter(|known| known.gone.load(Relaxed)) {
        let range = known.range();
        let Some(&address) = frames.iter().find(|address| range.contains(address)) else {
            continue;
        };
        let now = heapql_unwind::module_of(address).map_or(0, |module| {
            let mut build_id = [0; 32];
            identity(&module, build_id_of(&module, &mut build_id))
        });
        if now == 0 || now != known.identity.load(Relaxed) {
            return begin_anew(writer);
        }
        known.gone.store(false, Relaxed);
    }
}

/// Stacks from now on belong to a new generation. What is gone is said to be, and forgotten.
#[cold]
fn begin_anew(writer: &Writer) {
    writer.next_module_generation();
    GONE.store(false, Relaxed);
    let is_there = |start: u64, end: u64| {
        let range = start as usize..end as usize;
        is_loaded(&range) && !known().any(|known| known.gone.load(Relaxed) && known.range() == range)
    };
    writer.close_modules(is_there);
    for known in known() {
        let range = known.range();
        if known.gone.load(Relaxed) || !is_loaded(&range) {
            known.end.store(0, Relaxed);
            known.gone.store(false, Relaxed);
        }
    }
}

/// A fresh ledger names none yet.
pub(crate) fn forget() {
    COUNT.store(0, Release);
    GONE.store(false, Relaxed);
    UNKNOWN.store(false, Relaxed);
}
