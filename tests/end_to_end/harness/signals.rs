//! Signals are handled by default in every program that a test starts, however the tests were started.
//!
//! A shell script starts background commands with SIGINT and SIGQUIT ignored, and nohup ignores SIGHUP. Ignored signals stay
//! ignored across exec, so the programs under test would never see them. A handler does not stay: exec resets it to the
//! default. The test process itself goes on ignoring what it was told to ignore.

use std::mem::MaybeUninit;

const SIGNALS: [libc::c_int; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// The loader calls it before `main`, so that no test can be earlier.
// SAFETY: the section holds pointers to functions of this signature. `run` needs nothing of the Rust runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = run;

extern "C" fn run() {
    for signal in SIGNALS {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: sigaction writes the whole structure, or fails and leaves zeros, which are a valid value. `nothing` is
        // async-signal-safe.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
            let mut action = action.assume_init();
            if action.sa_sigaction == libc::SIG_IGN {
                action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
                action.sa_flags = libc::SA_RESTART;
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

extern "C" fn nothing(_: libc::c_int) {}
