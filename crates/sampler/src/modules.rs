//! Which loaded modules the ledger already names: those that some stack passes through.
//!
//! Looked at only when a stack is new. It resolves no symbols. Called by `recorder`.

use core::ffi::CStr;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::*};

use heapql_ledger::layout::MODULE_CAPACITY;
use heapql_ledger::{ModuleEntry, Writer};

struct Known {
    start: AtomicUsize,
    end: AtomicUsize,
}

static KNOWN: [Known; MODULE_CAPACITY] =
    [const { Known { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; MODULE_CAPACITY];
static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Known {
    fn range(&self) -> Range<usize> {
        self.start.load(Relaxed)..self.end.load(Relaxed)
    }
}

fn find(address: usize) -> Option<Range<usize>> {
    let count = COUNT.load(Acquire).min(MODULE_CAPACITY);
    KNOWN.iter().take(count).map(Known::range).find(|range| range.contains(&address))
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
    let mut build_id = [0; 32];
    let build_id_bytes = heapql_unwind::build_id(&module, &mut build_id);
    // SAFETY: `module_of` promises a C string that lives as long as the module, which `address` keeps loaded: it is a
    // return address of this thread, or the program.
    let name = if module.name.is_null() { c"" } else { unsafe { CStr::from_ptr(module.name) } };
    let added = writer.add_module(&ModuleEntry {
        start: module.start as u64,
        end: module.end as u64,
        load_bias: module.load_bias as u64,
        name: name.to_bytes(),
        build_id: build_id.get(..build_id_bytes).unwrap_or_default(),
        is_program,
    });
    let at = COUNT.load(Relaxed);
    if let Some(known) = KNOWN.get(at).filter(|_| added) {
        known.start.store(module.start, Relaxed);
        known.end.store(module.end, Relaxed);
        COUNT.store(at + 1, Release);
    }
}

/// Something was unloaded: what is gone is marked and forgotten. Stacks from now on belong to a new generation.
pub(crate) fn unloaded(writer: &Writer) {
    writer.next_module_generation();
    let is_loaded = |start: u64, end: u64| {
        heapql_unwind::module_of(start as usize)
            .is_some_and(|module| module.start as u64 == start && module.end as u64 == end)
    };
    writer.close_modules(is_loaded);
    for known in KNOWN.iter().take(COUNT.load(Acquire)) {
        let Range { start, end } = known.range();
        if !is_loaded(start as u64, end as u64) {
            known.end.store(0, Relaxed);
        }
    }
}

/// A fresh ledger names none yet.
pub(crate) fn forget() {
    COUNT.store(0, Release);
}
