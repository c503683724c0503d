//! The functions that are called at every allocation: naked, so that they cost what is written here, and so that the slow
//! path gets the caller's program counter, stack pointer and frame pointer.
//!
//! Registers are those of the System V ABI; rax, rcx, rdx and r8-r11 are the callee's to use. Its sibling for aarch64 has
//! the same functions. Called by the program.

use core::arch::naked_asm;
use core::ffi::c_void;
use core::mem::offset_of;

use heapql_sampler::hook::{Control, Header, PAGE, POOL_BYTES, POOL_START};

use crate::{due, next};

const LIMIT: usize = offset_of!(Header, control) + offset_of!(Control, limit);
const RULE: usize = offset_of!(Header, control) + offset_of!(Control, byte_rule);

/// Counts the allocation in this thread's first word and goes to `2:` if it may be due; changes rax and rcx.
macro_rules! count {
    ($size:literal) => {
        concat!(
            "mov rax, qword ptr [rip + heapql_thread@GOTTPOFF]\n",
            "mov rcx, qword ptr [rip + {page} + {limit}]\n",
            "inc qword ptr fs:[rax]\n",
            "cmp qword ptr fs:[rax], rcx\n",
            "jae 2f\n",
            "cmp ",
            $size,
            ", qword ptr [rip + {page} + {rule}]\n",
            "jae 2f\n",
        )
    };
}

/// Goes on in `{due}`, which has so many arguments and the caller's registers as three more. It returns to the caller.
macro_rules! caller {
    (1) => {
        caller!("rsi", "rdx", "rcx")
    };
    (2) => {
        caller!("rdx", "rcx", "r8")
    };
    (3) => {
        caller!("rcx", "r8", "r9")
    };
    ($pc:literal, $sp:literal, $bp:literal) => {
        concat!(
            "mov ",
            $pc,
            ", qword ptr [rsp]\n",
            "lea ",
            $sp,
            ", [rsp + 8]\n",
            "mov ",
            $bp,
            ", rbp\n",
            "jmp {due}\n",
        )
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
        count!("rdi"),
        "jmp qword ptr [rip + {next}]",
        "2:",
        caller!(1),
        page = sym PAGE,
        limit = const LIMIT,
        rule = const RULE,
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
        "mov rax, rdi",
        "sub rax, qword ptr [rip + {start}]",
        "cmp rax, qword ptr [rip + {bytes}]",
        "jb {free}",
        "jmp qword ptr [rip + {next}]",
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
        "mov rax, rdi",
        "mul rsi",
        // The product does not fit: an error, which glibc makes.
        "jo 3f",
        "mov rdx, rax",
        count!("rdx"),
        "3:",
        "jmp qword ptr [rip + {next}]",
        "2:",
        caller!(2),
        page = sym PAGE,
        limit = const LIMIT,
        rule = const RULE,
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
        count!("rsi"),
        "mov rax, rdi",
        "sub rax, qword ptr [rip + {start}]",
        "cmp rax, qword ptr [rip + {bytes}]",
        "jb 2f",
        "jmp qword ptr [rip + {next}]",
        "2:",
        caller!(2),
        page = sym PAGE,
        limit = const LIMIT,
        rule = const RULE,
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
        "mov rax, rsi",
        "mul rdx",
        "jo {overflow}",
        "mov rsi, rax",
        "jmp qword ptr [rip + {realloc}]",
        realloc = sym RESIZE_ARRAY,
        overflow = sym due::overflow,
    )
}
