//! The slow path behind the stubs: allocations that may be due, the end of sampled objects, and the rare functions.
//!
//! Everything that is not sampled goes to the next functions (`next`), bad arguments included, so that they fail as they
//! always do. Called by `stubs`, with the caller's registers.

use core::ffi::c_void;
use core::ptr::null_mut;

use heapql_sampler::hook::{self, Reallocation, Request};
use heapql_sampler::{Defaults, Registers};

use crate::next;
use crate::usable::UNDERLYING;

/// OceanBase's name for hooked C allocations.
pub(crate) const GLIBC: Defaults = Defaults { tenant_id: 500, ctx_id: 22, label: "glibc_malloc" };

/// The alignment that malloc(3) promises on this platform.
const ALIGN: usize = 16;

/// Samples an allocation that has been counted, if it is due.
#[inline(always)]
fn sample(bytes: usize, align: usize, zeroed: bool, caller: Registers) -> Option<*mut c_void> {
    // A process's first allocation is always due.
    next::settle();
    let request = Request { bytes, align, zeroed, underlying: &UNDERLYING };
    Some(hook::allocate(request, caller, &[], &GLIBC)?.as_ptr().cast())
}

pub(crate) extern "C" fn malloc(size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    match sample(size, ALIGN, false, Registers { pc, sp, bp }) {
        Some(object) => object,
        // SAFETY: as the program called it.
        None => unsafe { next::malloc(size) },
    }
}

pub(crate) extern "C" fn calloc(count: usize, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    // The stub has seen that the product fits.
    match sample(count.wrapping_mul(size), ALIGN, true, Registers { pc, sp, bp }) {
        Some(object) => object,
        // SAFETY: as the program called it.
        None => unsafe { next::calloc(count, size) },
    }
}

pub(crate) extern "C" fn free(object: *mut c_void) {
    hook::free(object.cast());
}

pub(crate) extern "C" fn realloc(old: *mut c_void, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    let caller = Registers { pc, sp, bp };
    if old.is_null() {
        return match sample(size, ALIGN, false, caller) {
            Some(object) => object,
            // SAFETY: as the program called it.
            None => unsafe { next::realloc(old, size) },
        };
    }
    if size == 0 {
        return if hook::is_sampled(old.cast()) {
            end_sample(old)
        } else {
            // SAFETY: as the program called it.
            unsafe { next::realloc(old, 0) }
        };
    }
    // What is not in the pool is the next allocator's.
    let is_asked = !hook::is_sampled(old.cast()) && next::tells_sizes();
    // SAFETY: the function of the allocator that gave `old`.
    let usable = if is_asked { unsafe { next::malloc_usable_size(old) } } else { 0 };
    if (UNDERLYING.resized)(usable, size).is_some() {
        hook::pass_over(&GLIBC);
        // SAFETY: as the program called it.
        return unsafe { next::realloc(old, size) };
    }
    let request = Request { bytes: size, align: ALIGN, zeroed: false, underlying: &UNDERLYING };
    // SAFETY: realloc's caller promises a live object.
    match unsafe { hook::reallocate(old.cast(), request, caller, &[], &GLIBC) } {
        Reallocation::Done(new) => new.as_ptr().cast(),
        // SAFETY: `old` is the next allocator's, as is every pointer that is not in the pool.
        Reallocation::Foreign => unsafe { next::realloc(old, size) },
        Reallocation::Leave(bytes) => leave(old, bytes.min(size), size),
        Reallocation::Enter(new) if is_asked => enter(old, new.as_ptr().cast(), usable.min(size)),
        Reallocation::Enter(new) => enter_resized(old, new.as_ptr().cast(), size),
    }
}

/// realloc(sample, 0): whatever the next allocator makes of a size of 0, which is not the same in all.
#[cold]
fn end_sample(old: *mut c_void) -> *mut c_void {
    // SAFETY: any size is allowed.
    let stand_in = unsafe { next::malloc(1) };
    if stand_in.is_null() {
        return null_mut();
    }
    hook::free(old.cast());
    // SAFETY: a fresh object of the next allocator's.
    unsafe { next::realloc(stand_in, 0) }
}

/// From a sampled object to one of the next allocator's.
fn leave(old: *mut c_void, copied: usize, size: usize) -> *mut c_void {
    // SAFETY: glibc's errno is always there.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: any size is allowed.
    let new = unsafe { next::malloc(size) };
    if new.is_null() {
        fail_as_next(size, errno);
    } else {
        // SAFETY: `old` is a live sampled object of at least `copied` bytes, `new` is fresh and has `size`.
        unsafe { core::ptr::copy_nonoverlapping(old.cast::<u8>(), new.cast(), copied) };
        hook::free(old.cast());
    }
    new
}

/// A reallocation fails: errno becomes what the next allocator's realloc makes of it, which is not the same in all.
#[cold]
fn fail_as_next(size: usize, errno: i32) {
    // SAFETY: a fresh object of the next allocator's, if there is memory for it; errno is always there.
    unsafe {
        let stand_in = next::malloc(1);
        if !stand_in.is_null() {
            *libc::__errno_location() = errno;
            let resized = next::realloc(stand_in, size);
            next::free(if resized.is_null() { stand_in } else { resized });
        }
    }
}

/// From an object of the next allocator's to a sampled one.
fn enter(old: *mut c_void, new: *mut c_void, copied: usize) -> *mut c_void {
    // SAFETY: `old` is the next allocator's and has at least `copied` usable bytes, as does `new`, which is fresh.
    unsafe {
        core::ptr::copy_nonoverlapping(old.cast::<u8>(), new.cast(), copied);
        next::free(old);
    }
    new
}

/// As [`enter`], from an object whose size only its allocator knows: it is resized first, then copied.
#[cold]
fn enter_resized(old: *mut c_void, new: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: `old` is the next allocator's.
    let resized = unsafe { next::realloc(old, size) };
    if resized.is_null() {
        hook::free(new.cast());
        return null_mut();
    }
    enter(resized, new, size)
}

/// The product of reallocarray's arguments does not fit.
pub(crate) extern "C" fn overflow() -> *mut c_void {
    // SAFETY: glibc's errno is always there.
    unsafe { *libc::__errno_location() = libc::ENOMEM };
    null_mut()
}

pub(crate) extern "C" fn memalign(align: usize, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    match aligned(align, size, Registers { pc, sp, bp }) {
        Some(object) => object,
        // SAFETY: as the program called it.
        None => unsafe { next::memalign(align, size) },
    }
}

pub(crate) extern "C" fn aligned_alloc(align: usize, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    match aligned(align, size, Registers { pc, sp, bp }) {
        Some(object) => object,
        // SAFETY: as the program called it. What becomes of a bad alignment depends on the release of glibc.
        None => unsafe { next::aligned_alloc(align, size) },
    }
}

/// Counts and samples, if it is due. A bad alignment is neither.
fn aligned(align: usize, size: usize, caller: Registers) -> Option<*mut c_void> {
    if align.is_power_of_two() && hook::may_be_due(size) { sample(size, align.max(ALIGN), false, caller) } else { None }
}

pub(crate) extern "C" fn posix_memalign(
    result: *mut *mut c_void,
    align: usize,
    size: usize,
    pc: usize,
    sp: usize,
    bp: usize,
) -> i32 {
    let is_allowed = align.is_multiple_of(size_of::<*mut c_void>());
    match aligned(if is_allowed { align } else { 0 }, size, Registers { pc, sp, bp }) {
        Some(object) => {
            // SAFETY: the caller promises that `result` can be written.
            unsafe { *result = object };
            0
        }
        // SAFETY: as the program called it.
        None => unsafe { next::posix_memalign(result, align, size) },
    }
}

pub(crate) extern "C" fn valloc(size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    match aligned(hook::page_bytes(), size, Registers { pc, sp, bp }) {
        Some(object) => object,
        // SAFETY: as the program called it.
        None => unsafe { next::valloc(size) },
    }
}

pub(crate) extern "C" fn pvalloc(size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    let whole = size.checked_next_multiple_of(hook::page_bytes());
    match whole.and_then(|size| aligned(hook::page_bytes(), size, Registers { pc, sp, bp })) {
        Some(object) => object,
        // SAFETY: as the program called it.
        None => unsafe { next::pvalloc(size) },
    }
}

/// # Safety
/// As malloc_usable_size(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(object: *mut c_void) -> usize {
    if hook::is_sampled(object.cast()) {
        return hook::usable_bytes(object.cast());
    }
    // SAFETY: as the program called it.
    unsafe { next::malloc_usable_size(object) }
}

/// # Safety
/// As dlclose(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> i32 {
    // SAFETY: as the program called it.
    let result = unsafe { next::dlclose(handle) };
    hook::after_dlclose();
    result
}
