//! The reserved addresses, and which of them have memory behind them.
//!
//! Reserved without access rights, so that neither overcommit limits nor mlockall(2) count them; made usable in pieces of
//! 1 MiB. Not an allocator: `buddy` hands the units out. Called by `pool`.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};

use heapql_ledger::kernel::call;

use super::unit::{UNIT_BYTES, Unit};

/// First wish; halved until the kernel or RLIMIT_AS allows it.
const MOST_BYTES: usize = 64 << 30;
const LEAST_BYTES: usize = 16 << 20;
/// Usable memory grows by pieces of this.
pub(super) const PIECE_BYTES: usize = 1 << 20;
const PIECES: usize = MOST_BYTES / PIECE_BYTES;

pub(crate) struct Range {
    start: AtomicUsize,
    bytes: AtomicUsize,
    units: AtomicPtr<Unit>,
    /// One bit per piece that has been made usable.
    usable: [AtomicU64; PIECES / 64],
}

impl Range {
    pub(super) const fn new() -> Self {
        Self {
            start: AtomicUsize::new(usize::MAX),
            bytes: AtomicUsize::new(0),
            units: AtomicPtr::new(null_mut()),
            usable: [const { AtomicU64::new(0) }; PIECES / 64],
        }
    }

    pub(super) fn reserve(&self) -> Option<(usize, usize)> {
        let mut bytes = MOST_BYTES.min(share_of_limit());
        while bytes >= LEAST_BYTES {
            if let Some(start) = map(bytes + PIECE_BYTES, libc::PROT_NONE as usize) {
                let Some(table) = map(bytes / UNIT_BYTES * size_of::<Unit>(), READ_WRITE) else {
                    // SAFETY: mapped above, and nobody knows of it.
                    let _ = unsafe { call(libc::SYS_munmap, [start as usize, bytes + PIECE_BYTES]) };
                    bytes /= 2;
                    continue;
                };
                let aligned = (start as usize).next_multiple_of(PIECE_BYTES);
                // SAFETY: the range was mapped above and holds nothing. Huge pages would make a few objects cost 2 MiB.
                let _ = unsafe { call(libc::SYS_madvise, [aligned, bytes, libc::MADV_NOHUGEPAGE as usize]) };
                self.units.store(table.cast(), Relaxed);
                self.bytes.store(bytes, Relaxed);
                self.start.store(aligned, Release);
                return Some((aligned, bytes));
            }
            bytes /= 2;
        }
        None
    }

    #[inline(always)]
    pub(super) fn unit_count(&self) -> u32 {
        (self.bytes.load(Relaxed) / UNIT_BYTES) as u32
    }

    /// The state of a unit, by number.
    #[inline(always)]
    pub(super) fn unit(&self, number: u32) -> Option<&Unit> {
        if number >= self.unit_count() {
            return None;
        }
        // SAFETY: the table was mapped with one zeroed `Unit`, all atomics, per unit, and is never unmapped.
        Some(unsafe { &*self.units.load(Acquire).add(number as usize) })
    }

    /// The unit that holds an address, and its number.
    #[inline(always)]
    pub(super) fn unit_at(&self, address: usize) -> Option<(&Unit, u32)> {
        let offset = address.wrapping_sub(self.start.load(Acquire));
        if offset >= self.bytes.load(Relaxed) {
            return None;
        }
        let number = offset / UNIT_BYTES;
        // SAFETY: as in `unit`, `number` being below `unit_count`, since the range is a whole number of units.
        Some((unsafe { &*self.units.load(Relaxed).add(number) }, number as u32))
    }

    #[inline(always)]
    pub(super) fn address(&self, number: u32) -> *mut u8 {
        (self.start.load(Relaxed) + number as usize * UNIT_BYTES) as *mut u8
    }

    /// Makes `count` units usable. `false` if the kernel refuses the memory.
    pub(super) fn commit(&self, number: u32, count: usize) -> bool {
        let first = number as usize * UNIT_BYTES / PIECE_BYTES;
        let last = ((number as usize + count) * UNIT_BYTES - 1) / PIECE_BYTES;
        (first..=last).all(|piece| self.commit_piece(piece))
    }

    fn commit_piece(&self, piece: usize) -> bool {
        let Some(word) = self.usable.get(piece / 64) else {
            return false;
        };
        let bit = 1 << (piece % 64);
        if word.load(Acquire) & bit != 0 {
            return true;
        }
        let at = self.start.load(Relaxed) + piece * PIECE_BYTES;
        // SAFETY: the piece lies in the reservation; giving it access rights twice, from two threads, does no harm.
        let made = unsafe { call(libc::SYS_mprotect, [at, PIECE_BYTES, READ_WRITE]) };
        if made.is_ok() {
            word.fetch_or(bit, Release);
        }
        made.is_ok()
    }

    /// Moves the pages under `bytes` at `from` to `to`, both in usable spans; `from` reads as zeroes afterwards. `false` if
    /// the kernel will not (before Linux 5.7, or when the memory has been split by other calls).
    pub(super) fn move_pages(&self, from: usize, to: usize, bytes: usize) -> bool {
        const MREMAP_DONTUNMAP: usize = 4;
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize | MREMAP_DONTUNMAP;
        let bytes = bytes.next_multiple_of(4096);
        // SAFETY: both spans belong to the caller and are at least `bytes` long, a span being a multiple of 64 KiB.
        let moved = unsafe { call(libc::SYS_mremap, [from, bytes, bytes, flags, to]) };
        moved == Ok(to)
    }

    /// Gives the memory of a span back to the kernel; it reads as zeroes afterwards.
    pub(super) fn release(&self, number: u32, bytes: usize) {
        // SAFETY: the caller owns the span, whose contents nobody needs any more.
        let _ =
            unsafe { call(libc::SYS_madvise, [self.address(number) as usize, bytes, libc::MADV_DONTNEED as usize]) };
    }
}

const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;

fn map(bytes: usize, protection: usize) -> Option<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping where the kernel picks.
    let at = unsafe { call(libc::SYS_mmap, [0, bytes, protection, flags as usize, usize::MAX, 0]) };
    at.ok().map(|at| at as *mut u8)
}

/// Under a limit on address space (ulimit -v) or on data (ulimit -d) the program needs it more than we do.
fn share_of_limit() -> usize {
    let share = |of: libc::__rlimit_resource_t| match heapql_ledger::limit(of as usize) {
        usize::MAX => usize::MAX,
        limit => (limit / 8 + 1).next_power_of_two() / 2,
    };
    share(libc::RLIMIT_AS).min(share(libc::RLIMIT_DATA))
}
