//! A preload library that checks captures in real programs: at one call in some of `malloc` and its like, or at any
//! instruction (by a timer's signal), it captures the stack and has libgcc, and libunwind if asked, unwind it too.
//!
//! It is a test's tool, not the sampler's preload: it forwards all calls and samples nothing. Preloaded by
//! `tests/real_programs.rs` and `benches/stacks/run.py`, told by the environment:
//!
//! | variable | meaning |
//! |---|---|
//! | HEAPQL_UNWIND_REPORT | the file to which each process appends its counts at exit |
//! | HEAPQL_UNWIND_EVERY | one in how many calls is compared on average; 1 if it is not set |
//! | HEAPQL_UNWIND_MICROSECONDS | compare at a signal every so often, not at calls |
//! | HEAPQL_UNWIND_FRAMES | how many frames are captured at most; 256 if it is not set |
//! | HEAPQL_UNWIND_SECOND | the path of a libunwind.so, to be asked too |

mod compare;
mod hooks;
mod oracles;
mod report;
mod timer;

use std::ffi::c_int;

use compare::MAX_FRAMES;

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Runs before the program's own constructors; those of libraries have run.
extern "C" fn start() {
    let _busy = hooks::Busy::enter();
    heapql_unwind::modules_changed();
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    compare::limit_frames(number("HEAPQL_UNWIND_FRAMES").unwrap_or(MAX_FRAMES));
    oracles::warm_up(std::env::var("HEAPQL_UNWIND_SECOND").ok().as_deref());
    // SAFETY: an ordinary function, in a library that is never unloaded.
    unsafe { atexit(finish) };
    match number("HEAPQL_UNWIND_MICROSECONDS") {
        Some(microseconds) => timer::start(microseconds),
        None => hooks::compare_one_in(number("HEAPQL_UNWIND_EVERY").unwrap_or(1)),
    }
}

extern "C" fn finish() {
    hooks::compare_one_in(0);
    timer::stop();
    let _busy = hooks::Busy::enter();
    report::write();
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;
