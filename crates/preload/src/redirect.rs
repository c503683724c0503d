//! Makes the C library's own table of symbols name our functions, for those who ask for the C library's by handle.
//!
//! Symbols that are bound the usual way find ours first. But `dlsym` with a handle of libc (which is what Python's
//! `ctypes.CDLL("libc.so.6").free` does) and libraries opened with RTLD_DEEPBIND find libc's; glibc's `free` ends the
//! program when it is given a sample. So the few entries of libc's symbol table are changed, in this process's private
//! copy of the page, before the program runs. What is bound already, as `__libc_free` of a program that is linked with
//! `-z now`, is not touched. If it cannot be done everything else works. Called by `start`, once.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering::*};

use heapql_sampler::hook::{self, LibcSymbol};

use crate::{due, stubs};

/// The C library's functions and those that take their place.
fn functions() -> [(&'static CStr, *const ()); 13] {
    [
        (c"malloc", stubs::malloc as *const ()),
        (c"free", stubs::free as *const ()),
        (c"calloc", stubs::calloc as *const ()),
        (c"realloc", stubs::realloc as *const ()),
        (c"reallocarray", stubs::reallocarray as *const ()),
        (c"memalign", stubs::memalign as *const ()),
        (c"aligned_alloc", stubs::aligned_alloc as *const ()),
        (c"posix_memalign", stubs::posix_memalign as *const ()),
        (c"valloc", stubs::valloc as *const ()),
        (c"pvalloc", stubs::pvalloc as *const ()),
        (c"malloc_usable_size", due::malloc_usable_size as *const ()),
        (c"__libc_free", stubs::free as *const ()),
        (c"__libc_realloc", stubs::realloc as *const ()),
    ]
}

/// Only once `next` has looked up all that goes on to the C library by these names, and nobody behind us wants to.
pub(crate) fn redirect() {
    for (name, ours) in functions() {
        if let Some(symbol) = hook::libc_symbol(name) {
            change(&symbol, ours as usize);
        }
    }
}

/// Not on a page that may hold code: that must stay executable.
fn change(symbol: &LibcSymbol, ours: usize) {
    let value = symbol.entry + core::mem::offset_of!(libc::Elf64_Sym, st_value);
    let page = value & !(hook::page_bytes() - 1);
    if hook::module_of(value).is_none_or(|module| module.is_code(value)) || !protect(page, libc::PROT_WRITE) {
        return;
    }
    // SAFETY: the entry is aligned, was just read, and is private memory that can be written now. Others read it whole.
    unsafe { &*(value as *const AtomicU64) }.store(ours.wrapping_sub(symbol.load_bias) as u64, Release);
    protect(page, 0);
}

fn protect(page: usize, more: i32) -> bool {
    // SAFETY: a page of libc's symbol table, which stays readable.
    unsafe { libc::syscall(libc::SYS_mprotect, page, hook::page_bytes(), libc::PROT_READ | more) == 0 }
}
