//! Lines, paths and numbers without an allocator.
//!
//! Not a formatting library: just what `environment` and `recorder` need to read their settings and say one line.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use heapql_ledger::kernel::call;

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
        let mut digits = [0; 20];
        let from = digits_of(number, &mut digits);
        let line = self;
        line.text(digits.get(from..).unwrap_or_default())
    }
}

/// Writes the decimal digits to the end and returns where they begin.
fn digits_of(mut number: u64, digits: &mut [u8; 20]) -> usize {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return at;
        }
    }
}

/// Set in a forked child: what there was to say, its parent has said.
static HUSHED: AtomicBool = AtomicBool::new(false);
/// Device and file number of what standard error was at the start.
static STDERR: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
const STDERR_FILENO: usize = libc::STDERR_FILENO as usize;

/// Remembers what standard error is. A program may close it later and get its number for a file of its own, which no line
/// of ours may end up in.
pub(crate) fn note_stderr() {
    let now = standard_error().unwrap_or([u64::MAX; 2]);
    STDERR.iter().zip(now).for_each(|(noted, now)| noted.store(now, Relaxed));
}

/// From now on nothing is said.
pub(crate) fn hush() {
    HUSHED.store(true, Relaxed);
}

/// One line on the program's stderr.
pub(crate) fn say(line: Line) {
    if !HUSHED.load(Relaxed) {
        cry(line);
    }
}

/// One line that is said in children as well: the program is about to end for it.
pub(crate) fn cry(mut line: Line) {
    let noted = [STDERR[0].load(Relaxed), STDERR[1].load(Relaxed)];
    if (noted != [0, 0] && standard_error() != Some(noted)) || !has_room() {
        return;
    }
    line.bytes[line.used] = b'\n';
    // SAFETY: the kernel reads `used + 1` initialised bytes.
    let _ = unsafe { call(libc::SYS_write, [STDERR_FILENO, line.bytes.as_ptr() as usize, line.used + 1]) };
}

fn standard_error() -> Option<[u64; 2]> {
    let stat = stat(STDERR_FILENO, c"", libc::AT_EMPTY_PATH)?;
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

fn stat(dir: usize, path: &CStr, flags: i32) -> Option<libc::stat> {
    let mut stat = core::mem::MaybeUninit::<libc::stat>::zeroed();
    let arguments = [dir, path.as_ptr() as usize, stat.as_mut_ptr() as usize, flags as usize];
    // SAFETY: `path` is a C string, and the kernel fills `stat`.
    let done = unsafe { call(libc::SYS_newfstatat, arguments) };
    // SAFETY: all zeroes is a valid `stat`.
    done.is_ok().then(|| unsafe { stat.assume_init() })
}

/// A decimal number and nothing else.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A path that ends in a zero byte.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    bytes: [u8; 480],
    used: usize,
}

impl Path {
    pub(crate) const EMPTY: Path = Path { bytes: [0; 480], used: 0 };

    /// In place, since copies of it are what fills a small stack. If there is no room it stays as it was.
    pub(crate) fn push(&mut self, more: &[u8]) -> Option<()> {
        let room = self.bytes.len() - 1;
        self.bytes.get_mut(self.used..room)?.get_mut(..more.len())?.copy_from_slice(more);
        self.used += more.len();
        Some(())
    }

    pub(crate) fn push_number(&mut self, number: u64) -> Option<()> {
        let mut digits = [0; 20];
        let from = digits_of(number, &mut digits);
        self.push(digits.get(from..)?)
    }

    /// Takes back what was pushed since it had this length.
    pub(crate) fn cut(&mut self, used: usize) {
        self.bytes.get_mut(used..).unwrap_or_default().fill(0);
        self.used = used;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// Creates the directory, readable by its owner only, and checks that it is one and that nobody else can have put
    /// something there.
    pub(crate) fn make_own_directory(&self) -> Result<(), &'static [u8]> {
        const HERE: usize = libc::AT_FDCWD as usize;
        let path = self.as_c_str().as_ptr() as usize;
        // SAFETY: `path` is a C string; an error (it exists) is seen below.
        let _ = unsafe { call(libc::SYS_mkdirat, [HERE, path, 0o700]) };
        let stat = stat(HERE, self.as_c_str(), libc::AT_SYMLINK_NOFOLLOW)
            .ok_or(&b"it does not exist and cannot be created"[..])?;
        // SAFETY: no memory is involved.
        let user = unsafe { call(libc::SYS_geteuid, []) }.unwrap_or(usize::MAX);
        if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
            return Err(b"it is not a directory");
        }
        if stat.st_uid as usize != user && user != 0 {
            return Err(b"it belongs to another user");
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(b"others may write to it");
        }
        Ok(())
    }
}
