//! The stubs of functions that are rarely called: all of them go on in `due`, which counts. The same for each architecture,
//! whose `caller!` passes the caller's registers on. Called by the program.

use core::arch::naked_asm;
use core::ffi::c_void;
use core::sync::atomic::AtomicPtr;

use crate::due;

/// Where reallocarray goes with its product: our realloc, unless the program's realloc is another. glibc's reallocarray would
/// call that one too.
pub(crate) static RESIZE_ARRAY: AtomicPtr<c_void> = AtomicPtr::new(super::realloc as *mut c_void);

/// # Safety
/// As memalign(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    naked_asm!(caller!(2), due = sym due::memalign)
}

/// # Safety
/// As aligned_alloc(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    naked_asm!(caller!(2), due = sym due::aligned_alloc)
}

/// # Safety
/// As posix_memalign(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(result: *mut *mut c_void, align: usize, size: usize) -> i32 {
    naked_asm!(caller!(3), due = sym due::posix_memalign)
}

/// # Safety
/// As valloc(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn valloc(size: usize) -> *mut c_void {
    naked_asm!(caller!(1), due = sym due::valloc)
}

/// # Safety
/// As pvalloc(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pvalloc(size: usize) -> *mut c_void {
    naked_asm!(caller!(1), due = sym due::pvalloc)
}
