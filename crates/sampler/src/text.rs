//! Lines on the program's standard error, without an allocator.
//!
//! Not a formatting library: texts and numbers, one line at a time. Called by `environment`, `losses`, `labels` and `recorder`.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use heapql_ledger::kernel::call;
use heapql_ledger::{Decimal, status_at};

/// Bytes that are cut at their capacity.
pub(crate) struct Line {
    bytes: [u8; 320],
    used: usize,
}

impl Line {
    /// Begins "heapql: ".
    pub(crate) fn new() -> Line {
        Line { bytes: [0; 320], used: 0 }.text(b"heapql: ")
    }

    pub(crate) fn text(mut self, text: &[u8]) -> Line {
        let room = self.bytes.len() - self.used - 1;
        for &byte in text.iter().take(room) {
            self.bytes[self.used] = byte;
            self.used += 1;
        }
        self
    }

    pub(crate) fn number(self, number: u64) -> Line {
        self.text(Decimal::new(number).digits())
    }
}

/// Set in a forked child: its parent has written what there was to write.
static SILENCED: AtomicBool = AtomicBool::new(false);
/// Device and file number of what standard error was at the start.
static STDERR: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
const STDERR_FILENO: usize = libc::STDERR_FILENO as usize;

/// Remembers what standard error is. A program may close it later and get its number for a file of its own, which no line
/// of ours may end up in.
pub(crate) fn note_stderr() {
    let now = standard_error().unwrap_or([u64::MAX; 2]);
    STDERR.iter().zip(now).for_each(|(noted, now)| noted.store(now, Relaxed));
}

/// From now on [`log`] writes nothing.
pub(crate) fn silence() {
    SILENCED.store(true, Relaxed);
}

/// Writes one line to the program's standard error.
pub(crate) fn log(line: Line) {
    if !SILENCED.load(Relaxed) {
        log_fatal(line);
    }
}

/// Writes one line in forked children as well: the program is about to end for it.
pub(crate) fn log_fatal(mut line: Line) {
    let noted = [STDERR[0].load(Relaxed), STDERR[1].load(Relaxed)];
    if (noted != [0, 0] && standard_error() != Some(noted)) || !has_room() {
        return;
    }
    line.bytes[line.used] = b'\n';
    // SAFETY: the kernel reads `used + 1` initialised bytes.
    let _ = unsafe { call(libc::SYS_write, [STDERR_FILENO, line.bytes.as_ptr() as usize, line.used + 1]) };
}

fn standard_error() -> Option<[u64; 2]> {
    let stat = status_at(STDERR_FILENO, c"", libc::AT_EMPTY_PATH)?;
    Some([stat.st_dev, stat.st_ino])
}

/// Whether a line can be written to standard error at once: a full pipe would hold the program up, and one that nobody reads
/// any more would end it with SIGPIPE.
fn has_room() -> bool {
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let arguments = [(&raw mut stderr) as usize, 1, (&raw const at_once) as usize, 0, 0];
    // SAFETY: the kernel fills `stderr`, and does not wait.
    let ready = unsafe { call(libc::SYS_ppoll, arguments) };
    ready == Ok(1) && stderr.revents == libc::POLLOUT
}
