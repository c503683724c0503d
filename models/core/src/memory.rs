//! Where a model's memory is: an arena at a fixed address, empty at each run, and statics, which each run finds as new.
//!
//! It frees nothing: a run is short. Called by models, and by `libc` for what the product maps.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const ARENA_BYTES: usize = 256 << 20;
pub(crate) const PAGE: usize = 4096;

static ARENA: LazyLock<usize> = LazyLock::new(|| {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping where the kernel picks.
    let at = unsafe { libc::mmap(core::ptr::null_mut(), ARENA_BYTES, access, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    (at as usize).next_multiple_of(1 << 20)
});

thread_local! {
    static USED: Cell<usize> = const { Cell::new(0) };
    /// As they were before the run, by address.
    static STATICS: RefCell<BTreeMap<usize, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Zeroed pages.
pub fn map(bytes: usize) -> usize {
    let at = USED.get();
    USED.set((at + bytes).next_multiple_of(PAGE));
    assert!(USED.get() < ARENA_BYTES - (1 << 20), "the model's arena is used up");
    *ARENA + at
}

/// A value that lives to the end of the run.
pub fn place<T>(value: T) -> &'static T {
    USED.set(USED.get().next_multiple_of(align_of::<T>()));
    let at = map(size_of::<T>()) as *mut T;
    // SAFETY: fresh pages of the arena, aligned for anything here. `reset` comes when no run is under way.
    unsafe {
        at.write(value);
        &*at
    }
}

/// Before these bytes change: outside the arena they are a static's, which the next run finds as it was.
pub(crate) fn keep(at: usize, bytes: usize) {
    if (*ARENA..*ARENA + ARENA_BYTES).contains(&at) {
        return;
    }
    STATICS.with_borrow_mut(|statics| {
        // SAFETY: the word of an atomic that is about to be used.
        statics.entry(at).or_insert_with(|| unsafe { core::slice::from_raw_parts(at as *const u8, bytes) }.to_vec());
    });
}

/// Has a value outside the arena in the next run as it is now.
///
/// # Safety
/// All of it may be overwritten between runs.
pub unsafe fn renew<T>(value: &'static T) {
    keep(core::ptr::from_ref(value) as usize, size_of::<T>());
}

pub(crate) fn reset() {
    // SAFETY: the arena's own pages, which nobody uses between two runs.
    unsafe { libc::madvise(*ARENA as *mut libc::c_void, USED.replace(0).max(PAGE), libc::MADV_DONTNEED) };
    for (at, bytes) in STATICS.take() {
        // SAFETY: atomics of statics, or what `renew` was told that it may; no run is under way.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
    }
}
