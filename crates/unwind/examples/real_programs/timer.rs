//! Comparisons at any instruction: in the handler of a timer's signal. There it checks what calls
//! never show: prologues and epilogues, linkage table entries, assembly, and the kernel's signal frame.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use heapql_unwind::Registers;

use crate::compare::compare_interrupted;
use crate::hooks::Busy;

static RUNS: AtomicBool = AtomicBool::new(false);

/// A forked child inherits no timer, nor does what a process executes.
pub(crate) fn start(microseconds: usize) {
    let interval = libc::timespec { tv_sec: 0, tv_nsec: microseconds.min(999_999) as libc::c_long * 1000 };
    let setting = libc::itimerspec { it_interval: interval, it_value: interval };
    RUNS.store(true, Relaxed);
    // SAFETY: an empty action with a handler of the type that sa_flags says; the rest are the kernel's types, and null
    // for old values that are not wanted.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
        // Not on the alternate stacks that Rust gives its threads: those have no room for three unwinders.
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGPROF, &raw const action, null_mut());
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGPROF;
        let mut timer: libc::timer_t = null_mut();
        // The clock of CPU time would tick with the kernel's, a few hundred times in a second.
        assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer), 0);
        assert_eq!(libc::timer_settime(timer, 0, &raw const setting, null_mut()), 0);
    }
}

pub(crate) fn stop() {
    RUNS.store(false, Relaxed);
}

#[inline(never)]
extern "C" fn on_signal(_: libc::c_int) {
    if RUNS.load(Relaxed)
        && let Some(_busy) = Busy::enter()
    {
        // SAFETY: errno is a variable of this thread.
        let saved = unsafe { *libc::__errno_location() };
        compare_interrupted(Registers::here());
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = saved };
    }
}
