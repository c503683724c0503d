//! A Rust program that labels its allocations and has a global allocator of its own, which is not ours.
//!
//! Holds 100 objects of 1009 bytes under (1001, 0, "mine") and 10 under none. Started by `labels` in the end-to-end tests:
//! with the preload its labels are in the table, without it it must leave no ledger.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::stdin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heapql_sampler::{Label, scope};

struct Counting(AtomicUsize);

#[global_allocator]
static ALLOCATOR: Counting = Counting(AtomicUsize::new(0));

// SAFETY: `System`'s own promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(object, layout) }
    }
}

#[inline(never)]
fn hold(count: usize) {
    for _ in 0..count {
        black_box(Vec::<u8>::with_capacity(1009)).leak();
    }
}

fn main() {
    static MINE: Label = Label::new(1001, 0, "mine");
    hold(10);
    for _ in 0..50 {
        let _scope = MINE.enter();
        hold(1);
        let _same = scope(1001, 0, "mine");
        hold(1);
    }
    println!("ready {}", ALLOCATOR.0.load(Relaxed));
    stdin().read_line(&mut String::new()).expect("a line");
}
