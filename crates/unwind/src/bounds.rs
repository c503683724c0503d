//! Which part of memory is the present thread's stack, found without libc: its own ways allocate.
//!
//! Only the upper end matters for a walk, and only that all between it and the stack pointer is readable. On an
//! ordinary thread two addresses are known to be near the upper end: the thread control block, which glibc puts on top
//! of the stacks it allocates, and `__libc_stack_end` for the first thread. One system call then tells whether
//! everything between is mapped and readable. A coroutine's stack, an alternate signal stack, or an older kernel: the
//! mapping is looked up in `/proc`, which costs tens of microseconds.
//!
//! A thread's own stack stays as long as the thread. Any other may be unmapped as soon as the thread has left it, and a
//! smaller one come to lie at the same place: what was found of it is proven anew for every walk, as far as the walk goes.
//!
//! It is not a cache: the caller keeps a `StackBounds` for each thread.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::arch::{libc_stack_end_address, system_call, thread_pointer};
use crate::page::page_bytes;

/// The stack of a thread, or as much of it as was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackBounds {
    low: usize,
    high: usize,
    /// `low..proven` is readable; beyond it, up to `high`, was when the stack was found.
    proven: usize,
    /// It is the thread's own.
    stays: bool,
}

/// Beyond that, asking the kernel for each page costs more than reading the list of mappings.
const MAX_PROVEN: usize = 8 << 20;
/// How far down known bounds are extended rather than found anew.
const MAX_EXTENSION: usize = 1 << 20;
/// How much of a stack that may have gone is proven at a time: more than most walks read.
const PROVEN_AT_ONCE: usize = 16 << 10;

impl StackBounds {
    /// The bounds that a thread starts with. All bytes are 0.
    pub const UNKNOWN: StackBounds = StackBounds { low: 0, high: 0, proven: 0, stays: false };

    /// Bounds that the caller knows, for example those of a coroutine's stack.
    ///
    /// # Safety
    ///
    /// `low..high` is readable as long as a thread has its stack pointer in it.
    pub const unsafe fn new(low: usize, high: usize) -> StackBounds {
        StackBounds { low, high, proven: high, stays: true }
    }

    /// The stack that `sp`, a present stack pointer of the calling thread or of a frame that a signal handler of it
    /// interrupted, is in.
    pub fn find(sp: usize) -> Option<StackBounds> {
        let low = page_of(sp);
        // The first thread's control block is on top of no stack.
        let ends = [libc_stack_end(), if is_first_thread() { 0 } else { thread_pointer() }];
        let nearest = ends.into_iter().filter(|end| *end > sp && end - low <= MAX_PROVEN).min();
        match nearest.filter(|high| is_readable(low, *high)) {
            Some(high) => Some(StackBounds { low, high, proven: high, stays: true }),
            None => mapping_of(sp),
        }
    }

    /// Whether a stack pointer lies in these bounds.
    pub fn contains(&self, sp: usize) -> bool {
        self.low <= sp && sp < self.high
    }

    /// Makes the bounds those of the stack that `sp`, the present stack pointer, is in: nothing to do nearly always.
    /// False if they cannot be found.
    #[inline(always)]
    pub fn cover(&mut self, sp: usize) -> bool {
        self.hold_still(sp) || self.cover_more(sp)
    }

    /// Whether `sp` is in these bounds, and nothing has to be proven anew.
    #[inline(always)]
    pub(crate) fn hold_still(&self, sp: usize) -> bool {
        self.stays && self.contains(sp)
    }

    #[cold]
    #[inline(never)]
    fn cover_more(&mut self, sp: usize) -> bool {
        let low = page_of(sp);
        if self.contains(sp) {
            self.proven = self.high.min(low + proven_at_once());
            if is_readable(low, self.proven) {
                return true;
            }
        }
        if self.stays && low < self.low && self.low - low <= MAX_EXTENSION && is_readable(low, self.low) {
            self.low = low;
            return true;
        }
        *self = Self::find(sp).unwrap_or(Self::UNKNOWN);
        self.contains(sp)
    }

    /// Up to where it is known to be readable now.
    pub(crate) fn proven(&self) -> usize {
        self.proven
    }

    /// The lowest readable address that was looked at.
    pub fn low(&self) -> usize {
        self.low
    }

    /// The end of the stack.
    pub fn high(&self) -> usize {
        self.high
    }
}

/// Whole pages.
fn proven_at_once() -> usize {
    PROVEN_AT_ONCE.max(page_bytes())
}

/// Up to where memory from `from` on, a page's start below `to`, is readable: a step towards `to`, which doubles with
/// each that was taken, or `from` itself.
pub(crate) fn prove(from: usize, to: usize, steps: u8) -> usize {
    let next = to.min(from.saturating_add(proven_at_once() << steps));
    if is_readable(from, next) { next } else { from }
}

/// Also true of a forked child, whichever thread forked it.
fn is_first_thread() -> bool {
    // SAFETY: neither touches memory.
    let [process, thread] = [libc::SYS_getpid, libc::SYS_gettid].map(|call| unsafe { system_call(call, [0; 3]) }.ok());
    process == thread
}

/// The start of the page that holds `address`.
fn page_of(address: usize) -> usize {
    address & !(page_bytes() - 1)
}

/// The stack pointer with which the kernel started the process, or 0.
fn libc_stack_end() -> usize {
    let address = libc_stack_end_address();
    if address == 0 {
        return 0;
    }
    let pointer = core::ptr::with_exposed_provenance::<usize>(address);
    // SAFETY: a variable of ld.so, set before any other module's code runs, never changed after.
    unsafe { pointer.read() }
}

/// Whether all pages of `low..high`, `low` a page's start, are mapped and readable. `madvise`, because sandboxes that
/// forbid more exotic calls let it pass (every allocator uses it), and because this advice changes nothing: it brings
/// pages into memory, which those of a stack above its pointer mostly are. Before Linux 5.14 it is an error.
fn is_readable(low: usize, high: usize) -> bool {
    kernel_tells() && populate(low, (high - low).next_multiple_of(page_bytes()))
}

fn populate(low: usize, length: usize) -> bool {
    const MADV_POPULATE_READ: usize = 22;
    // SAFETY: writes no memory.
    unsafe { system_call(libc::SYS_madvise, [low, length, MADV_POPULATE_READ]) }.is_ok()
}

/// False where every advice is welcome (qemu's user mode): not even page 0 is refused there.
fn kernel_tells() -> bool {
    static ANSWER: AtomicU8 = AtomicU8::new(UNASKED);
    const UNASKED: u8 = 0;
    const TELLS: u8 = 1;
    const FLATTERS: u8 = 2;
    if ANSWER.load(Relaxed) == UNASKED {
        ANSWER.store(if populate(0, page_bytes()) { FLATTERS } else { TELLS }, Relaxed);
    }
    ANSWER.load(Relaxed) == TELLS
}

/// The readable mapping that holds `sp`, from the kernel's list of mappings.
fn mapping_of(sp: usize) -> Option<StackBounds> {
    let path = c"/proc/thread-self/maps".as_ptr() as usize;
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
    // SAFETY: the kernel reads the path. It is absolute, so the directory does not matter.
    let file = unsafe { system_call(libc::SYS_openat, [libc::AT_FDCWD as usize, path, flags]) }.ok()?;
    let found = scan(sp, |buffer| {
        // SAFETY: the kernel writes at most the buffer's length into it.
        unsafe { system_call(libc::SYS_read, [file, buffer.as_mut_ptr() as usize, buffer.len()]) }.unwrap_or(0)
    });
    // SAFETY: the descriptor was opened above and is used no more.
    let _ = unsafe { system_call(libc::SYS_close, [file, 0, 0]) };
    found
}

/// Reads lines `low-high rw..` from `read` (which answers 0 at the end) until one holds `sp`.
fn scan(sp: usize, mut read: impl FnMut(&mut [u8]) -> usize) -> Option<StackBounds> {
    let mut line = Line::START;
    let mut buffer = [0_u8; 512];
    loop {
        let length = read(&mut buffer);
        let bytes = buffer.get(..length).filter(|bytes| !bytes.is_empty())?;
        for byte in bytes {
            if line.read(*byte) && line.low <= sp && sp < line.high {
                let Line { low, high, readable, .. } = line;
                return readable.then_some(StackBounds { low, high, proven: high, stays: false });
            }
        }
    }
}

/// The part of the present line that has been read.
struct Line {
    low: usize,
    high: usize,
    readable: bool,
    part: Part,
}

enum Part {
    Low,
    High,
    Permissions,
    Rest,
}

impl Line {
    const START: Line = Line { low: 0, high: 0, readable: false, part: Part::Low };

    /// True when the byte completes what has to be known of its line.
    fn read(&mut self, byte: u8) -> bool {
        match (&self.part, byte) {
            (_, b'\n') => *self = Self::START,
            (Part::Low, b'-') => self.part = Part::High,
            (Part::High, b' ') => self.part = Part::Permissions,
            (Part::Low, digit) => self.low = push_digit(self.low, digit),
            (Part::High, digit) => self.high = push_digit(self.high, digit),
            (Part::Permissions, permission) => {
                self.readable = permission == b'r';
                self.part = Part::Rest;
                return true;
            }
            (Part::Rest, _) => {}
        }
        false
    }
}

fn push_digit(number: usize, digit: u8) -> usize {
    number << 4 | (digit as char).to_digit(16).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn here() -> usize {
        crate::Registers::here().sp
    }

    #[test]
    fn a_threads_stack_ends_at_its_control_block() {
        let bounds = std::thread::spawn(|| StackBounds::find(here()).map(|b| (b, here(), thread_pointer())));
        let (bounds, sp, end) = bounds.join().unwrap().unwrap();
        assert!(bounds.contains(sp));
        // Older kernels do not tell; then it is the end of the mapping.
        if is_readable(page_of(here()), here() + 1) {
            assert_eq!(bounds.high(), end);
        }
        assert!(bounds.high() >= end);
    }

    #[test]
    fn deeper_frames_extend_known_bounds() {
        #[inline(never)]
        fn deeper(bounds: &mut StackBounds, left: usize) -> usize {
            let page = core::hint::black_box([left as u8; 5000]);
            assert!(bounds.cover(here()) && bounds.contains(here()));
            if left == 0 { page.len() } else { deeper(bounds, left - 1) + page.len() }
        }
        let mut bounds = StackBounds::UNKNOWN;
        assert!(bounds.cover(here()));
        let before = bounds;
        deeper(&mut bounds, 50);
        assert_eq!(bounds.high(), before.high());
        assert!(bounds.low() <= before.low());
    }

    #[test]
    fn the_mapping_of_another_stack_is_found() {
        let stack = std::vec![0_u8; 1 << 20];
        let middle = stack.as_ptr() as usize + (1 << 19);
        let bounds = StackBounds::find(middle).unwrap();
        assert!(bounds.low() <= stack.as_ptr() as usize && bounds.high() >= middle + (1 << 19));
        let mapping = mapping_of(here()).unwrap();
        assert!(mapping.contains(here()));
    }

    #[test]
    fn what_is_not_mapped_has_no_bounds() {
        for address in [0, 8, usize::MAX - 7, usize::MAX >> 1] {
            assert_eq!(StackBounds::find(address), None);
            assert!(!{ StackBounds::UNKNOWN }.cover(address));
        }
    }

    #[test]
    fn lines_are_read_across_buffers() {
        let maps = b"1000-2000 r-xp 0 0:0 1 /a-b c\n2000-3000 ---p 0\n7ffc0000-7ffd0000 rw-p 0 [stack]\n";
        let find = |sp, chunk: usize| {
            let mut rest: Vec<u8> = maps.to_vec();
            scan(sp, move |buffer| {
                let length = chunk.min(rest.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                rest.drain(..length);
                length
            })
        };
        for chunk in [1, 7, 500] {
            let found = StackBounds { low: 0x7ffc_0000, high: 0x7ffd_0000, proven: 0x7ffd_0000, stays: false };
            assert_eq!(find(0x7ffc_0008, chunk), Some(found));
            assert_eq!(find(0x1fff, chunk).map(|bounds| bounds.high()), Some(0x2000));
            assert_eq!(find(0x2000, chunk), None);
            assert_eq!(find(0x3000, chunk), None);
        }
    }
}
