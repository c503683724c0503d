//! Which return addresses at the start of a Rust stack are the compiler's and the standard library's allocation shims.
//!
//! They have no stable names and differ between builds, so they are learnt: once, an allocation is made from a place that
//! is known, and what its stack has before that place is a shim. Called by `alloc`.

extern crate alloc;

use core::alloc::Layout;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

use heapql_unwind::{Registers, StackBounds, capture};

use crate::thread::{self, DUE};

/// Three ways to allocate, at most eight shims each.
pub(crate) const MOST: usize = 24;
const FRAMES: usize = 64;

static ADDRESSES: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static BEGUN: AtomicBool = AtomicBool::new(false);
/// The thread that learns, by the address of its block; 0 when nobody does.
static LEARNER: AtomicUsize = AtomicUsize::new(0);
/// The stack that the learner's allocation had.
static LEARNT: [AtomicUsize; FRAMES] = [const { AtomicUsize::new(0) }; FRAMES];

/// The return addresses that a stack may begin with.
pub(crate) fn known(into: &mut [usize; MOST]) -> &[usize] {
    let mut count = 0;
    for address in ADDRESSES.iter().map(|address| address.load(Relaxed)).take_while(|&address| address != 0) {
        into[count] = address;
        count += 1;
    }
    &into[..count]
}

/// Takes the state of every allocation that may be due. True if the allocation is part of the learning: it is
/// not to be sampled.
pub(crate) fn learn(frame: Registers) -> bool {
    let here = core::ptr::from_ref(thread::current()) as usize;
    match LEARNER.load(Acquire) {
        0 if BEGUN.swap(true, AcqRel) => false,
        0 => {
            LEARNER.store(here, Release);
            [allocate, allocate_zeroed, reallocate].into_iter().for_each(learn_from);
            LEARNER.store(0, Release);
            false
        }
        learner if learner == here => {
            note(frame);
            true
        }
        // Another thread learns: a stack now would show shims.
        _ => true,
    }
}

fn note(frame: Registers) {
    let mut frames = [0; FRAMES];
    let walk = capture(frame, &mut StackBounds::UNKNOWN.clone(), &mut frames);
    for (i, (to, from)) in LEARNT.iter().zip(frames).enumerate() {
        to.store(if i < walk.depth { from } else { 0 }, Relaxed);
    }
}

/// The stack of an allocation, less that of the function that makes it, is the shims.
#[inline(never)]
fn learn_from(way: fn()) {
    let mut frames = [0; FRAMES];
    let walk = capture(Registers::here(), &mut StackBounds::UNKNOWN.clone(), &mut frames);
    let thread = thread::current();
    let count = thread.count.get();
    thread.count.set(DUE);
    way();
    thread.count.set(count);
    // frames: here, then our caller. LEARNT: shims, `way`, here (another address of it), then our caller.
    let Some(&caller) = frames.get(1).filter(|_| walk.depth > 1) else {
        return;
    };
    let Some(at) = LEARNT.iter().position(|address| address.load(Relaxed) == caller) else {
        return;
    };
    let shims = LEARNT.iter().take(at.saturating_sub(2)).map(|address| address.load(Relaxed));
    for shim in shims {
        let free =
            ADDRESSES.iter().find(|address| matches!(address.load(Relaxed), known if known == 0 || known == shim));
        if let Some(place) = free {
            place.store(shim, Relaxed);
        }
    }
}

const LAYOUT: Layout = Layout::new::<[u64; 4]>();

#[inline(never)]
fn allocate() {
    // SAFETY: the layout has a size, and what is allocated is freed with the same.
    unsafe { alloc::alloc::dealloc(black_box(alloc::alloc::alloc(LAYOUT)), LAYOUT) };
}

#[inline(never)]
fn allocate_zeroed() {
    // SAFETY: as in `allocate`.
    unsafe { alloc::alloc::dealloc(black_box(alloc::alloc::alloc_zeroed(LAYOUT)), LAYOUT) };
}

#[inline(never)]
fn reallocate() {
    // SAFETY: as in `allocate`; the new size is not 0.
    unsafe {
        let object = black_box(alloc::alloc::alloc(LAYOUT));
        thread::current().count.set(DUE);
        alloc::alloc::dealloc(black_box(alloc::alloc::realloc(object, LAYOUT, LAYOUT.size())), LAYOUT);
    }
}
