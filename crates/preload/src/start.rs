//! What happens when the library is loaded: fork handlers, and the C library's own names for what we replace. Recording
//! starts by itself, at the first allocation that is due.
//!
//! Called by ld.so.

use heapql_sampler::hook;

use crate::redirect;

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    redirect::redirect();
    // SAFETY: the handlers take nothing and stay loaded for ever. glibc keeps the first ones in static memory.
    unsafe {
        libc::pthread_atfork(
            Some(hook::before_fork),
            Some(hook::after_fork_in_parent),
            Some(hook::after_fork_in_child),
        );
    }
}
