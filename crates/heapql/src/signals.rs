//! Signals that this process receives, each with who sent it.
//!
//! What is done about them is the verbs'. Called by `run` (forwards them) and `serve` (ends).
//!
//! A key at the terminal (Ctrl-C, Ctrl-\) makes the kernel signal the whole foreground process group, and the target is in
//! ours: it has the signal already. What a process sent, by kill(2), only we got. siginfo tells the two apart. One case it
//! cannot: a signal that a process sends to the whole group reaches the target twice.
//!
//! Signals that were ignored when we started (nohup, background jobs of a shell without job control) stay ignored, so that
//! the target inherits that. SIGTSTP, SIGTTIN and SIGTTOU keep their default: job control stops us with the target.

use std::fs;
use std::io;
use std::thread;

use rustix::process::Signal;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::sync::mpsc;

/// What `run` forwards: every signal that has a name, that a process may send to another, and that can be caught without
/// breaking our own working. Left out are those for faults, SIGPIPE, SIGCHLD and job control.
pub(crate) const FORWARDED: [Signal; 14] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::CONT,
    Signal::URG,
    Signal::WINCH,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
];

/// What ends a server.
pub(crate) const ENDING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// By the kernel, on behalf of the terminal: the target got it as well.
    pub(crate) is_from_terminal: bool,
}

/// The signals received since `catch`, in order.
pub(crate) struct Signals {
    received: mpsc::UnboundedReceiver<Received>,
}

impl Signals {
    /// From now on these signals are events and no longer end this process.
    pub(crate) fn catch(wanted: &[Signal]) -> io::Result<Signals> {
        let ignored = ignored_signals();
        let wanted = wanted
            .iter()
            .map(|signal| signal.as_raw())
            .filter(|signal| !is_in(ignored, *signal));
        let mut incoming = SignalsInfo::<WithOrigin>::new(wanted)?;
        let (sender, received) = mpsc::unbounded_channel();
        // It waits for ever, and ends with the process.
        thread::Builder::new()
            .name("heapql-signals".to_owned())
            .spawn(move || {
                for signal in incoming.forever().filter_map(|origin| understood(&origin)) {
                    if sender.send(signal).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Signals { received })
    }

    pub(crate) async fn next(&mut self) -> Received {
        match self.received.recv().await {
            Some(received) => received,
            // The thread never ends before this.
            None => std::future::pending().await,
        }
    }

    /// Drops those that were received but not asked for.
    pub(crate) fn forget(&mut self) {
        while self.received.try_recv().is_ok() {}
    }

    /// Returns at the first signal that ends a server.
    pub(crate) async fn ending(&mut self) {
        while !ENDING.contains(&self.next().await.signal) {}
    }
}

fn understood(origin: &Origin) -> Option<Received> {
    let signal = Signal::from_named_raw(origin.signal)?;
    Some(Received {
        signal,
        is_from_terminal: matches!(origin.cause, Cause::Kernel),
    })
}

/// A bit per signal, the lowest for signal 1; none if /proc does not say.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

/// Such as `SIGSEGV`; a number if it has no name.
pub(crate) fn name(signal: i32) -> String {
    const NAMES: [(Signal, &str); 12] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
    ];
    let named = NAMES.iter().find(|(known, _)| known.as_raw() == signal);
    named.map_or_else(
        || format!("signal {signal}"),
        |(_, name)| (*name).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getpid, kill_process};

    #[tokio::test]
    async fn a_signal_from_a_process_is_told_from_one_of_the_terminal() {
        let mut signals = Signals::catch(&[Signal::USR2]).expect("caught");
        kill_process(getpid(), Signal::USR2).expect("sent");
        assert_eq!(
            signals.next().await,
            Received {
                signal: Signal::USR2,
                is_from_terminal: false
            }
        );
    }

    #[test]
    fn ignored_ones_are_seen() {
        // The standard library ignores this one before main.
        assert!(is_in(ignored_signals(), Signal::PIPE.as_raw()));
        assert!(!is_in(ignored_signals(), Signal::TERM.as_raw()));
    }

    #[test]
    fn names() {
        assert_eq!(name(11), "SIGSEGV");
        assert_eq!(name(40), "signal 40");
    }
}
