//! What the stubs do not do themselves: allocations that may be due, the end of sampled objects, and the rare functions.
//!
//! Everything that is not sampled goes to glibc's own functions, bad arguments included, so that they fail as they always
//! do. Called by `stubs`, with the caller's registers.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::*};

use heapql_sampler::hook::{self, Reallocation, Request};
use heapql_sampler::{Defaults, Registers};

/// OceanBase's name for hooked C allocations.
pub(crate) const GLIBC: Defaults = Defaults { tenant_id: 500, ctx_id: 22, label: "glibc_malloc" };

/// What malloc(3) promises on this platform.
const ALIGN: usize = 16;

/// glibc's own, once they are known.
pub(crate) static ALIGNED_ALLOC: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
pub(crate) static USABLE_SIZE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(object: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(object: *mut c_void);
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
}

/// Samples an allocation that has been counted, if it is due.
fn sample(bytes: usize, align: usize, zeroed: bool, caller: Registers) -> Option<*mut c_void> {
    let request = Request { bytes, align, zeroed };
    Some(hook::allocate(request, caller, &[], &GLIBC)?.as_ptr().cast())
}

pub(crate) extern "C" fn malloc(size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    match sample(size, ALIGN, false, Registers { pc, sp, bp }) {
        Some(object) => object,
        // SAFETY: as the program called it.
        None => unsafe { __libc_malloc(size) },
    }
}

pub(crate) extern "C" fn calloc(count: usize, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    // The stub has seen that the product fits.
    match sample(count.wrapping_mul(size), ALIGN, true, Registers { pc, sp, bp }) {
        Some(object) => object,
        // SAFETY: as the program called it.
        None => unsafe { __libc_calloc(count, size) },
    }
}

pub(crate) extern "C" fn free(object: *mut c_void) {
    hook::free(object.cast());
}

pub(crate) extern "C" fn realloc(old: *mut c_void, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    let caller = Registers { pc, sp, bp };
    if old.is_null() {
        return malloc(size, pc, sp, bp);
    }
    if size == 0 && hook::is_sampled(old.cast()) {
        hook::free(old.cast());
        return null_mut();
    }
    let request = Request { bytes: size, align: ALIGN, zeroed: false };
    let outcome = if size == 0 {
        Reallocation::Foreign
    } else {
        // SAFETY: realloc's caller promises a live object.
        unsafe { hook::reallocate(old.cast(), request, caller, &[], &GLIBC) }
    };
    match outcome {
        Reallocation::Done(new) => new.as_ptr().cast(),
        // SAFETY: `old` is glibc's, as is every pointer that is not in the pool.
        Reallocation::Foreign => unsafe { __libc_realloc(old, size) },
        Reallocation::Leave(bytes) => leave(old, bytes.min(size), size),
        Reallocation::Enter(new) => enter(old, new.as_ptr().cast(), size),
    }
}

/// From a sampled object to one of glibc's.
fn leave(old: *mut c_void, copied: usize, size: usize) -> *mut c_void {
    // SAFETY: any size is allowed.
    let new = unsafe { __libc_malloc(size) };
    if !new.is_null() {
        // SAFETY: `old` is a live sampled object of at least `copied` bytes, `new` is fresh and has `size`.
        unsafe { core::ptr::copy_nonoverlapping(old.cast::<u8>(), new.cast(), copied) };
        hook::free(old.cast());
    }
    new
}

/// From an object of glibc's, whose size only glibc knows, to a sampled one: it is resized first, then copied.
fn enter(old: *mut c_void, new: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: `old` is glibc's.
    let resized = unsafe { __libc_realloc(old, size) };
    if resized.is_null() {
        hook::free(new.cast());
        return null_mut();
    }
    // SAFETY: both have `size` bytes, and `resized` is glibc's.
    unsafe {
        core::ptr::copy_nonoverlapping(resized.cast::<u8>(), new.cast(), size);
        __libc_free(resized);
    }
    new
}

fn page_bytes() -> usize {
    // SAFETY: reads what the kernel passed to the process.
    (unsafe { libc::getauxval(libc::AT_PAGESZ) }) as usize
}

/// The product of reallocarray's arguments does not fit.
pub(crate) extern "C" fn overflow() -> *mut c_void {
    // SAFETY: glibc's errno is always there.
    unsafe { *libc::__errno_location() = libc::ENOMEM };
    null_mut()
}

pub(crate) extern "C" fn memalign(align: usize, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    aligned(align, size, Registers { pc, sp, bp })
}

pub(crate) extern "C" fn aligned_alloc(align: usize, size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    type AlignedAlloc = unsafe extern "C" fn(usize, usize) -> *mut c_void;
    if align.is_power_of_two() {
        return aligned(align, size, Registers { pc, sp, bp });
    }
    // What becomes of such an alignment depends on the release of glibc.
    let real = glibcs(&ALIGNED_ALLOC, c"aligned_alloc");
    // SAFETY: the symbol's type is the standard's.
    unsafe { core::mem::transmute::<*mut c_void, AlignedAlloc>(real)(align, size) }
}

fn aligned(align: usize, size: usize, caller: Registers) -> *mut c_void {
    if align.is_power_of_two()
        && hook::may_be_due(size)
        && let Some(object) = sample(size, align.max(ALIGN), false, caller)
    {
        return object;
    }
    // SAFETY: as the program called it.
    unsafe { __libc_memalign(align, size) }
}

pub(crate) extern "C" fn posix_memalign(
    result: *mut *mut c_void,
    align: usize,
    size: usize,
    pc: usize,
    sp: usize,
    bp: usize,
) -> i32 {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let object = aligned(align, size, Registers { pc, sp, bp });
    if object.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller promises that `result` can be written.
    unsafe { *result = object };
    0
}

pub(crate) extern "C" fn valloc(size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    aligned(page_bytes(), size, Registers { pc, sp, bp })
}

pub(crate) extern "C" fn pvalloc(size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    match size.checked_next_multiple_of(page_bytes()) {
        Some(size) => aligned(page_bytes(), size, Registers { pc, sp, bp }),
        None => overflow(),
    }
}

/// # Safety
/// As malloc_usable_size(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(object: *mut c_void) -> usize {
    type UsableSize = unsafe extern "C" fn(*mut c_void) -> usize;
    if hook::is_sampled(object.cast()) {
        return hook::usable_bytes(object.cast());
    }
    let real = glibcs(&USABLE_SIZE, c"malloc_usable_size");
    // SAFETY: the symbol's type is glibc's.
    unsafe { core::mem::transmute::<*mut c_void, UsableSize>(real)(object) }
}

/// # Safety
/// As dlclose(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> i32 {
    type Close = unsafe extern "C" fn(*mut c_void) -> i32;
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    let real = next(&REAL, c"dlclose");
    // SAFETY: the symbol's type is the standard's.
    let result = unsafe { core::mem::transmute::<*mut c_void, Close>(real)(handle) };
    hook::after_dlclose();
    result
}

/// glibc's function, looked up once: the one behind ours may be another allocator's (redis-server links jemalloc), which
/// knows nothing of glibc's objects.
fn glibcs(known: &AtomicPtr<c_void>, name: &core::ffi::CStr) -> *mut c_void {
    if known.load(Acquire).is_null() {
        known.store(core::ptr::with_exposed_provenance_mut(hook::in_libc(name)), Release);
    }
    next(known, name)
}

/// The function behind ours, looked up once. The call of dlsym must not be the last thing a function does: it finds "next"
/// by its return address.
#[inline(never)]
pub(crate) fn next(known: &AtomicPtr<c_void>, name: &core::ffi::CStr) -> *mut c_void {
    let found = known.load(Acquire);
    if !found.is_null() {
        return found;
    }
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        // SAFETY: abort is always allowed; a C library without this function cannot have loaded us.
        unsafe { libc::abort() };
    }
    known.store(found, Release);
    found
}
