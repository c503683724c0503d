//! Comparisons at any instruction: in the handler of a timer's signal. There it checks what calls
//! never show: prologues and epilogues, linkage table entries, assembly, and the kernel's signal frame.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use heapql_unwind::Registers;

use crate::compare::compare_interrupted;
use crate::hooks::Busy;

static RUNS: AtomicBool = AtomicBool::new(false);

/// What three unwinders and their frames may need.
const ROOM: usize = 256 << 10;
/// The lowest address that the main thread's stack may grow to, 0 if there is no limit. Ruby goes there and back when it
/// starts, to see whether it can.
static STACK_ENDS_AT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    #[allow(non_upper_case_globals)]
    static __libc_stack_end: usize;
}

fn note_where_the_stack_ends() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a local of the type that it writes; the loader set the other before anything ran.
    let (done, top) = unsafe { (libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit), __libc_stack_end) };
    if done == 0 && limit.rlim_cur != libc::RLIM_INFINITY {
        STACK_ENDS_AT.store(top.saturating_sub(limit.rlim_cur as usize), Relaxed);
    }
}

/// Addresses of other threads' stacks are far from it.
fn has_room(sp: usize) -> bool {
    let end = STACK_ENDS_AT.load(Relaxed);
    end == 0 || sp.abs_diff(end) > ROOM
}

/// A forked child inherits no timer, nor does what a process executes.
pub(crate) fn start(microseconds: usize) {
    let interval = libc::timespec { tv_sec: 0, tv_nsec: microseconds.min(999_999) as libc::c_long * 1000 };
    let setting = libc::itimerspec { it_interval: interval, it_value: interval };
    note_where_the_stack_ends();
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
        && has_room(Registers::here().sp)
        && let Some(_busy) = Busy::enter()
    {
        // SAFETY: errno is a variable of this thread.
        let saved = unsafe { *libc::__errno_location() };
        compare_interrupted(Registers::here());
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = saved };
    }
}
