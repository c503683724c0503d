//! Signals that this process receives, each with who sent it.
//!
//! What is done about them is the verbs'. Called by `run` (forwards them) and `serve` (ends).
//!
//! A key at the terminal (Ctrl-C, Ctrl-\) makes the kernel signal the whole foreground process group, and the target is in
//! ours: it has the signal already. What a process sent, by kill(2), only we got. siginfo tells the two apart. One case it
//! cannot: a signal that a process sends to the whole group reaches the target twice.
//!
//! Signals that were ignored when we started (nohup, background jobs of a shell without job control) stay ignored until the
//! target is started, so that it inherits that; then they are caught and forwarded like the others, since the target may
//! have changed its mind. SIGTSTP, SIGTTIN and SIGTTOU keep their default: job control stops us with the target.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
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

/// Between a key's arrival at the target and at us.
const SAME_MOMENT: Duration = Duration::from_millis(50);

/// What ends a server.
pub(crate) const ENDING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// By the kernel, on behalf of the terminal: the target got it as well.
    pub(crate) is_from_terminal: bool,
    /// Whoever started us wanted it ignored.
    was_ignored: bool,
}

impl Received {
    /// nohup means a hang-up from anybody; a background job means the keys of the terminal.
    fn ends_server(self) -> bool {
        let is_wanted = !self.was_ignored || !(self.is_from_terminal || self.signal == Signal::HUP);
        ENDING.contains(&self.signal) && is_wanted
    }
}

/// The signals received since `catch`, in order.
pub(crate) struct Signals {
    received: mpsc::UnboundedReceiver<Received>,
    catcher: Handle,
    /// Wanted, but not caught yet.
    ignored: Vec<i32>,
}

impl Signals {
    /// From now on these signals are events and no longer end this process, except for those that are ignored.
    pub(crate) fn catch(wanted: &[Signal]) -> io::Result<Signals> {
        let mask = ignored_signals();
        let (ignored, wanted): (Vec<i32>, Vec<i32>) =
            wanted.iter().map(|signal| signal.as_raw()).partition(|signal| is_in(mask, *signal));
        let mut incoming = SignalsInfo::<WithOrigin>::new(wanted)?;
        let catcher = incoming.handle();
        let (sender, received) = mpsc::unbounded_channel();
        // It waits for ever, and ends with the process.
        thread::Builder::new().name("heapql-signals".to_owned()).spawn(move || {
            for signal in incoming.forever().filter_map(|origin| understood(&origin, mask)) {
                if sender.send(signal).is_err() {
                    break;
                }
            }
        })?;
        Ok(Signals { received, catcher, ignored })
    }

    /// The ignored ones as well: to be called when there is nobody left to inherit that.
    pub(crate) fn catch_ignored(&mut self) -> io::Result<()> {
        self.ignored.drain(..).try_for_each(|signal| self.catcher.add_signal(signal))
    }

    pub(crate) async fn next(&mut self) -> Received {
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

    /// The same after the target's end, but for the key that ended the target: we got that at the same moment and may see
    /// it later.
    pub(crate) async fn ending_after_target(&mut self) {
        let ended = Instant::now();
        loop {
            let received = self.next().await;
            let is_same_key = received.is_from_terminal && ended.elapsed() < SAME_MOMENT;
            if received.ends_server() && !is_same_key {
                return;
            }
        }
    }
}

fn understood(origin: &Origin, ignored: u64) -> Option<Received> {
    Some(Received {
        signal: Signal::from_named_raw(origin.signal)?,
        is_from_terminal: matches!(origin.cause, Cause::Kernel),
        was_ignored: is_in(ignored, origin.signal),
    })
}

/// A bit per signal, the lowest for signal 1; none if /proc does not say.
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
        let expected = Received { signal: Signal::USR2, is_from_terminal: false, was_ignored: false };
        assert_eq!(signals.next().await, expected);
    }

    #[test]
    fn what_was_ignored_ends_a_server_only_when_a_process_asks() {
        let ends =
            |signal, is_from_terminal, was_ignored| Received { signal, is_from_terminal, was_ignored }.ends_server();
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
