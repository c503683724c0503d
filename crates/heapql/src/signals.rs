//! Signals that this process receives, each with its sender.
//!
//! The verbs decide what they cause: `run` forwards them, `serve` ends.
//!
//! A key at the terminal (Ctrl-C, Ctrl-\) makes the kernel signal the whole foreground process group. The target is in the same group
//! and has the signal already. A signal that a process sends by kill(2) reaches only this process. siginfo tells the two apart, except for
//! a signal that a process sends to the whole group, which reaches the target twice.
//!
//! Signals that were ignored at the start (nohup, background jobs of a shell without job control) stay ignored until the target is
//! started, so that it inherits that. Then they are caught and forwarded like the others, because the target may handle them. SIGTSTP,
//! SIGTTIN and SIGTTOU keep their default: job control stops this process with the target.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::sync::mpsc;

/// Signals that `run` forwards: all named signals that processes send to each other, except those for faults, SIGPIPE, SIGCHLD and job
/// control.
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

/// Maximum time between a key's arrival at the target and at this process.
const SAME_KEY_WINDOW: Duration = Duration::from_millis(50);

/// Signals that end a server.
pub(crate) const ENDING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ReceivedSignal {
    pub(crate) signal: Signal,
    /// The kernel sent it for the terminal. The target has received it too.
    pub(crate) is_from_terminal: bool,
    /// It was ignored when this process started.
    was_ignored: bool,
}

impl ReceivedSignal {
    /// An ignored hang-up never ends a server (nohup); another ignored signal does unless it comes from the terminal (background jobs).
    fn ends_server(self) -> bool {
        let is_wanted = !self.was_ignored || !(self.is_from_terminal || self.signal == Signal::HUP);
        ENDING.contains(&self.signal) && is_wanted
    }
}

/// The signals received since `catch`, in order.
pub(crate) struct Signals {
    received: mpsc::UnboundedReceiver<ReceivedSignal>,
    catcher: Handle,
    /// Signals to catch later, because they are ignored now.
    ignored: Vec<i32>,
}

impl Signals {
    /// Catches these signals, except ignored ones. They no longer end this process.
    pub(crate) fn catch(wanted: &[Signal]) -> io::Result<Signals> {
        let mask = ignored_signals();
        let (ignored, wanted): (Vec<i32>, Vec<i32>) =
            wanted.iter().map(|signal| signal.as_raw()).partition(|signal| is_in(mask, *signal));
        let mut incoming = SignalsInfo::<WithOrigin>::new(wanted)?;
        let catcher = incoming.handle();
        let (sender, received) = mpsc::unbounded_channel();
        // The thread ends with the process.
        thread::Builder::new().name("heapql-signals".to_owned()).spawn(move || {
            for signal in incoming.forever().filter_map(|origin| received_signal(&origin, mask)) {
                if sender.send(signal).is_err() {
                    break;
                }
            }
        })?;
        Ok(Signals { received, catcher, ignored })
    }

    /// Catches the ignored signals too. Call it after the last process was started that must inherit them as ignored.
    pub(crate) fn catch_ignored(&mut self) -> io::Result<()> {
        self.ignored.drain(..).try_for_each(|signal| self.catcher.add_signal(signal))
    }

    pub(crate) async fn next(&mut self) -> ReceivedSignal {
        match self.received.recv().await {
            Some(received) => received,
            // The thread never ends before this.
            None => std::future::pending().await,
        }
    }

    /// Returns at the first signal that ends a server.
    pub(crate) async fn ending(&mut self) {
        while !self.next().await.ends_server() {}
    }

    /// Returns at the first signal that ends a server after the target's end. The key that ended the target does not count; it may arrive
    /// here a little later.
    pub(crate) async fn ending_after_target(&mut self) {
        let ended = Instant::now();
        loop {
            let received = self.next().await;
            let is_same_key = received.is_from_terminal && ended.elapsed() < SAME_KEY_WINDOW;
            if received.ends_server() && !is_same_key {
                return;
            }
        }
    }
}

fn received_signal(origin: &Origin, ignored: u64) -> Option<ReceivedSignal> {
    Some(ReceivedSignal {
        signal: Signal::from_named_raw(origin.signal)?,
        is_from_terminal: matches!(origin.cause, Cause::Kernel),
        was_ignored: is_in(ignored, origin.signal),
    })
}

/// The ignored signals, one bit each, the lowest for signal 1. Empty if /proc cannot be read.
fn ignored_signals() -> u64 {
    // The name in it may be no UTF-8.
    let status = fs::read("/proc/self/status").unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

/// The name of a signal, such as `SIGSEGV`, or its number.
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
    named.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getpid, kill_process};

    #[tokio::test]
    async fn a_signal_from_a_process_is_told_from_one_of_the_terminal() {
        let mut signals = Signals::catch(&[Signal::USR2]).expect("caught");
        kill_process(getpid(), Signal::USR2).expect("sent");
        let expected = ReceivedSignal { signal: Signal::USR2, is_from_terminal: false, was_ignored: false };
        assert_eq!(signals.next().await, expected);
    }

    #[test]
    fn what_was_ignored_ends_a_server_only_when_a_process_asks() {
        let ends = |signal, is_from_terminal, was_ignored| {
            ReceivedSignal { signal, is_from_terminal, was_ignored }.ends_server()
        };
        assert!(ends(Signal::INT, true, false) && ends(Signal::HUP, true, false));
        assert!(ends(Signal::INT, false, true) && !ends(Signal::INT, true, true));
        assert!(!ends(Signal::HUP, false, true) && !ends(Signal::HUP, true, true));
        assert!(!ends(Signal::USR1, false, false));
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
