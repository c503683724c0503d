//! Lines, paths and numbers without an allocator.
//!
//! Not a formatting library: just what `environment` and `recorder` need to read their settings and say one line.

use core::ffi::CStr;

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

/// One line on the program's stderr, if that takes it at once: the program shall neither wait for its reader, which may be
/// itself, nor die of SIGPIPE.
pub(crate) fn say(line: Line) {
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let arguments = [(&raw mut stderr) as usize, 1, (&raw const now) as usize, 0, 0];
    // SAFETY: the kernel writes to `stderr` and reads `now`; no signal mask is given.
    if unsafe { call(libc::SYS_ppoll, arguments) }.is_err() || stderr.revents != libc::POLLOUT {
        return;
    }
    let mut line = line;
    line.bytes[line.used] = b'\n';
    let arguments = [libc::STDERR_FILENO as usize, line.bytes.as_ptr() as usize, line.used + 1];
    // SAFETY: the kernel reads `used + 1` initialised bytes.
    let _ = unsafe { call(libc::SYS_write, arguments) };
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
        let mut stat = core::mem::MaybeUninit::<libc::stat>::zeroed();
        let arguments = [HERE, path, stat.as_mut_ptr() as usize, libc::AT_SYMLINK_NOFOLLOW as usize];
        // SAFETY: the kernel fills `stat`.
        if unsafe { call(libc::SYS_newfstatat, arguments) }.is_err() {
            return Err(b"it cannot be created");
        }
        // SAFETY: all zeroes is a valid `stat`, and the kernel has filled it.
        let stat = unsafe { stat.assume_init() };
        // SAFETY: no memory is involved.
        let user = unsafe { call(libc::SYS_geteuid, []) }.unwrap_or(usize::MAX);
        if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
            return Err(b"it is not a directory");
        }
        if stat.st_uid as usize != user && user != 0 {
            return Err(b"it belongs to another user");
        }
        Ok(())
    }
}
