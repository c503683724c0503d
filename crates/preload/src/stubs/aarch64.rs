//! The functions that are called at every allocation: naked, so that they cost what is written here, and so that the slow
//! path gets the caller's program counter, stack pointer and frame pointer.
//!
//! Registers are those of the AArch64 procedure call standard; x9-x17 are the callee's to use, and x16 is the one by which
//! code that checks its branches may be jumped to. Its sibling for x86_64 has the same functions. Called by the program.

use core::arch::naked_asm;
use core::ffi::c_void;
use core::mem::offset_of;

use heapql_sampler::hook::{Control, Header, PAGE, POOL_BYTES, POOL_START};

use crate::{due, next};

const LIMIT: usize = offset_of!(Header, control) + offset_of!(Control, limit);

// The two words are loaded as a pair, from a page's start (`:lo12:` of it is 0) and within reach of the instruction.
const _: () = assert!(offset_of!(Control, byte_rule) == offset_of!(Control, limit) + 8);
const _: () = assert!(LIMIT <= 504 && align_of_val(&PAGE) >= 4096);

/// Counts the allocation in this thread's first word and goes to `2:` if it may be due; changes x9-x14.
macro_rules! count {
    ($size:literal) => {
        concat!(
            "adrp x9, :gottprel:heapql_thread\n",
            "ldr x9, [x9, :gottprel_lo12:heapql_thread]\n",
            "mrs x10, tpidr_el0\n",
            "adrp x12, {page}\n",
            "ldp x13, x14, [x12, {limit}]\n",
            "ldr x11, [x10, x9]\n",
            "add x11, x11, #1\n",
            "str x11, [x10, x9]\n",
            "cmp x11, x13\n",
            // If below: compare the sizes. Else: as if not below.
            "ccmp ",
            $size,
            ", x14, #2, lo\n",
            "b.hs 2f\n",
        )
    };
}

/// Goes on in the next function.
macro_rules! next {
    () => {
        "adrp x16, {next}\nldr x16, [x16, :lo12:{next}]\nbr x16\n"
    };
}

/// Compares the object in x0 with the pool: below after it if it is a sample. Changes x9-x11.
macro_rules! in_pool {
    () => {
        concat!(
            "adrp x9, {start}\n",
            "ldr x9, [x9, :lo12:{start}]\n",
            "adrp x10, {bytes}\n",
            "ldr x10, [x10, :lo12:{bytes}]\n",
            "sub x11, x0, x9\n",
            "cmp x11, x10\n",
        )
    };
}

/// Goes on in `{due}`, which has so many arguments and the caller's registers as three more. It returns to the caller.
macro_rules! caller {
    (1) => {
        caller!("x1", "x2", "x3")
    };
    (2) => {
        caller!("x2", "x3", "x4")
    };
    (3) => {
        caller!("x3", "x4", "x5")
    };
    ($pc:literal, $sp:literal, $bp:literal) => {
        concat!("mov ", $pc, ", x30\n", "mov ", $sp, ", sp\n", "mov ", $bp, ", x29\n", "b {due}\n")
    };
}

#[path = "rare.rs"]
mod rare;
pub(crate) use rare::RESIZE_ARRAY;
pub use rare::{aligned_alloc, memalign, posix_memalign, pvalloc, valloc};

/// # Safety
/// As malloc(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    naked_asm!(
        count!("x0"),
        next!(),
        "2:",
        caller!(1),
        page = sym PAGE,
        limit = const LIMIT,
        due = sym due::malloc,
        next = sym next::MALLOC,
    )
}

/// # Safety
/// As free(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(object: *mut c_void) {
    naked_asm!(
        in_pool!(),
        "b.lo 2f",
        next!(),
        "2:",
        "b {free}",
        start = sym POOL_START,
        bytes = sym POOL_BYTES,
        free = sym due::free,
        next = sym next::FREE,
    )
}

/// # Safety
/// As calloc(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    naked_asm!(
        "umulh x9, x0, x1",
        "mul x15, x0, x1",
        // The product does not fit: an error, which glibc makes.
        "cbnz x9, 3f",
        count!("x15"),
        "3:",
        next!(),
        "2:",
        caller!(2),
        page = sym PAGE,
        limit = const LIMIT,
        due = sym due::calloc,
        next = sym next::CALLOC,
    )
}

/// # Safety
/// As realloc(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(object: *mut c_void, size: usize) -> *mut c_void {
    naked_asm!(
        count!("x1"),
        in_pool!(),
        "b.lo 2f",
        next!(),
        "2:",
        caller!(2),
        page = sym PAGE,
        limit = const LIMIT,
        start = sym POOL_START,
        bytes = sym POOL_BYTES,
        due = sym due::realloc,
        next = sym next::REALLOC,
    )
}

/// # Safety
/// As reallocarray(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(object: *mut c_void, count: usize, size: usize) -> *mut c_void {
    naked_asm!(
        "umulh x9, x1, x2",
        "cbnz x9, 2f",
        "mul x1, x1, x2",
        next!(),
        "2:",
        "b {overflow}",
        next = sym RESIZE_ARRAY,
        overflow = sym due::overflow,
    )
}
