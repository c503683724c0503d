//! The start of the library, before `main`: the functions that ours stand before, fork handlers, and the ledger.
//!
//! Called by ld.so.

use core::sync::atomic::Ordering::Release;

use heapql_sampler::hook;

use crate::due::GLIBC;
use crate::{children, next, redirect, stubs};

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    next::settle();
    let first = next::first_realloc();
    if !first.is_null() {
        stubs::RESIZE_ARRAY.store(first, Release);
    }
    if next::are_all_glibcs() {
        redirect::redirect();
    }
    // SAFETY: the handlers take nothing and stay loaded for ever. glibc keeps the first ones in static memory.
    unsafe {
        libc::pthread_atfork(
            Some(hook::before_fork),
            Some(hook::after_fork_in_parent),
            Some(hook::after_fork_in_child),
        );
    }
    hook::begin(&GLIBC);
    if !hook::records_children() {
        children::forget_library();
    }
}
