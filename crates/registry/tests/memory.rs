//! A ledger of holes, as large as a ledger may be, that counts as much as fits into it: reading it costs memory for what is
//! in it, not for what it says. A test program of its own, because it counts what the whole program allocates.

#[path = "hostile/place.rs"]
#[allow(dead_code)]
mod place;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heapql_ledger::layout::{CALLSITES_AT, Header, MAX_BYTES, RawCallsite, capacities};
use heapql_ledger::{CERTAIN, MAX_DEPTH};
use place::{Place, REAL};

/// What is allocated now, and the most that it has been.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(object, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_file_of_holes_costs_no_memory() {
    let place = Place::new();
    let path = place.put("7-1.heapql", &REAL[..CALLSITES_AT]);
    let file = fs::File::options().write(true).open(path).expect("the file");
    file.set_len(MAX_BYTES as u64).expect("a sparse file");
    let (callsites, words) = capacities(MAX_BYTES);
    let put = |at: usize, value: &[u8]| file.write_all_at(value, at as u64).expect("written");
    put(offset_of!(Header, file_bytes), &(MAX_BYTES as u64).to_ne_bytes());
    for (field, value) in [
        (offset_of!(Header, callsite_capacity), callsites),
        (offset_of!(Header, word_capacity), words),
        (offset_of!(Header, callsite_count), callsites),
        (offset_of!(Header, word_count), words),
    ] {
        put(field, &(value as u32).to_ne_bytes());
    }
    // Live callsites all over the table, whose stacks lie all over the words, each near the next.
    const LIVE: usize = 5_000;
    for nth in 0..LIVE {
        let at = CALLSITES_AT + (callsites - 1 - nth * 2_400) * size_of::<RawCallsite>();
        put(at + offset_of!(RawCallsite, total_count), &1_u64.to_ne_bytes());
        put(at + offset_of!(RawCallsite, stack_at), &(nth as u32 * 8_000).to_ne_bytes());
        put(at + offset_of!(RawCallsite, depth), &[MAX_DEPTH as u8]);
        put(at + offset_of!(RawCallsite, weight), &CERTAIN.to_ne_bytes());
    }
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let source = place.only();
    assert_eq!(source.callsites().expect("readable").len(), LIVE);
    let took = MOST.load(Relaxed) - before;
    assert!(took < LIVE * 4_096, "{took} bytes for {LIVE} callsites of {MAX_DEPTH} frames");
}
