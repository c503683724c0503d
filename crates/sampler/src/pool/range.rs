//! The addresses of sampled objects, and which of them have memory behind them.
//!
//! They are chosen, not reserved: far from where the kernel places mappings and from where allocators ask for them, so that
//! nothing else comes to lie there, and until a piece of 1 MiB is used nothing counts it: no limit on address space or data,
//! whenever it is set, no overcommit rule, no mlockall(2), nobody who looks at the size of the process. Should something lie
//! there after all, that piece is not used. Not an allocator: `buddy` hands the units out. Called by `pool`.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};

use heapql_ledger::kernel::call;
use heapql_unwind::page_bytes;

use super::unit::{UNIT_BYTES, Unit};

/// First wish; less where limits or addresses are tight.
pub(super) const MOST_BYTES: usize = 1 << 40;
const LEAST_BYTES: usize = 16 << 20;
/// Usable memory grows by pieces of this.
pub(super) const PIECE_BYTES: usize = 1 << 20;
/// How many units a piece has.
const PIECE_UNITS: usize = PIECE_BYTES / UNIT_BYTES;
/// How much is adopted first; after that as much again as there is.
const FIRST_BYTES: usize = 1 << 30;
/// A page of any kernel.
const GUARD_BYTES: usize = UNIT_BYTES;
/// No kernel refuses less than this as too much.
const ASKED_FROM: usize = 256 << 20;
/// Places that are tried.
const TRIES: usize = 16;

pub(crate) struct Range {
    start: AtomicUsize,
    /// How many bytes are adopted, which have units.
    bytes: AtomicUsize,
    /// How many bytes may be adopted.
    most_bytes: AtomicUsize,
    /// The units of all that may be adopted, mapped as far as it is. They follow the range.
    units: AtomicPtr<Unit>,
}

impl Range {
    pub(super) const fn new() -> Self {
        Self {
            start: AtomicUsize::new(usize::MAX),
            bytes: AtomicUsize::new(0),
            most_bytes: AtomicUsize::new(0),
            units: AtomicPtr::new(null_mut()),
        }
    }

    /// Chooses the addresses: first and number. Nothing of it can be used before [`Range::adopt`].
    pub(super) fn choose(&self) -> Option<(usize, usize)> {
        // SAFETY: getauxval reads a table that the kernel filled before the program started.
        let stack = unsafe { libc::getauxval(libc::AT_RANDOM) } as usize;
        let top = stack.checked_next_power_of_two()?;
        let bytes = MOST_BYTES.min(share_of_limit()).min(top / 32);
        if bytes < LEAST_BYTES {
            return None;
        }
        let table = bytes / UNIT_BYTES * size_of::<Unit>();
        let mut random =
            heapql_ledger::clock(libc::CLOCK_MONOTONIC) ^ (core::ptr::from_ref(self) as u64) ^ ((stack as u64) << 20);
        let start = (0..TRIES).find_map(|_| {
            random = random.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            // Of 47 bits: from 32 to 40 TiB. Below 30 mimalloc asks for addresses, from 42 on the kernel gives them when
            // stacks are unlimited.
            let place = top / 4 + ((random >> 8) as usize % (top / 16)) / PIECE_BYTES * PIECE_BYTES;
            guard(place, bytes + table).then_some(place)
        })?;
        self.units.store((start + bytes) as *mut Unit, Relaxed);
        self.most_bytes.store(bytes, Relaxed);
        self.start.store(start, Release);
        Some((start, bytes))
    }

    /// Takes more of the addresses into use: the first unit and how many, both powers of two, or 0 for the first. `None` when
    /// all are, or there is no memory for their table. Under the pool's lock.
    pub(super) fn adopt(&self) -> Option<(u32, u32)> {
        let (have, most) = (self.bytes.load(Relaxed), self.most_bytes.load(Relaxed));
        let more = if have == 0 { FIRST_BYTES.min(most) } else { have };
        if have + more > most {
            return None;
        }
        let (from, count) = (have / UNIT_BYTES, more / UNIT_BYTES);
        let at = self.units.load(Relaxed) as usize + from * size_of::<Unit>();
        if !map(at, count * size_of::<Unit>(), READ_WRITE) {
            return None;
        }
        self.bytes.store(have + more, Release);
        Some((from as u32, count as u32))
    }

    #[inline(always)]
    pub(super) fn unit_count(&self) -> u32 {
        (self.bytes.load(Acquire) / UNIT_BYTES) as u32
    }

    #[cfg(test)]
    pub(super) fn give_up(&self) {
        let bytes = self.most_bytes.load(Relaxed);
        let all = bytes + bytes / UNIT_BYTES * size_of::<Unit>();
        unmap(self.start.load(Relaxed) - GUARD_BYTES, all + 2 * GUARD_BYTES);
    }

    /// The state of a unit, by number.
    #[inline(always)]
    pub(super) fn unit(&self, number: u32) -> Option<&Unit> {
        if number >= self.unit_count() {
            return None;
        }
        // SAFETY: the table was mapped with one zeroed `Unit`, all atomics, per adopted unit, and is never unmapped.
        Some(unsafe { &*self.units.load(Relaxed).add(number as usize) })
    }

    /// The unit that holds an address, and its number.
    #[inline(always)]
    pub(super) fn unit_at(&self, address: usize) -> Option<(&Unit, u32)> {
        let offset = address.wrapping_sub(self.start.load(Acquire));
        if offset >= self.bytes.load(Acquire) {
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

    /// Makes `count` units usable. `false` if the kernel refuses the memory, or something else lies there. Under the pool's
    /// lock.
    pub(super) fn commit(&self, number: u32, count: usize) -> bool {
        let mut piece = number as usize * UNIT_BYTES / PIECE_BYTES;
        let end = ((number as usize + count) * UNIT_BYTES).div_ceil(PIECE_BYTES);
        while piece < end {
            let run = (piece..end).take_while(|&piece| !self.is_usable(piece)).count();
            if run > 0 && !self.commit_pieces(piece, run) {
                return false;
            }
            piece += run.max(1);
        }
        true
    }

    /// The state of a piece stands in its first unit.
    fn is_usable(&self, piece: usize) -> bool {
        self.unit((piece * PIECE_UNITS) as u32).is_some_and(Unit::is_usable)
    }

    #[cold]
    fn commit_pieces(&self, piece: usize, count: usize) -> bool {
        let (at, bytes) = (self.start.load(Relaxed) + piece * PIECE_BYTES, count * PIECE_BYTES);
        if !map(at, bytes, READ_WRITE) {
            return false;
        }
        // SAFETY: mapped above. Huge pages would make a few objects cost 2 MiB.
        let _ = unsafe { call(libc::SYS_madvise, [at, bytes, libc::MADV_NOHUGEPAGE as usize]) };
        for piece in piece..piece + count {
            if let Some(unit) = self.unit((piece * PIECE_UNITS) as u32) {
                unit.set_usable();
            }
        }
        true
    }

    /// Moves the pages under `bytes` at `from` to `to`, both in usable spans; `from` reads as zeroes afterwards. `false` if
    /// the kernel will not (before Linux 5.7, or when the memory has been split by other calls).
    pub(super) fn move_pages(&self, from: usize, to: usize, bytes: usize) -> bool {
        const MREMAP_DONTUNMAP: usize = 4;
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize | MREMAP_DONTUNMAP;
        let bytes = bytes.next_multiple_of(page_bytes());
        // SAFETY: both spans belong to the caller and are at least `bytes` long, a span being a multiple of 64 KiB.
        let moved = unsafe { call(libc::SYS_mremap, [from, bytes, bytes, flags, to]) };
        moved == Ok(to)
    }

    /// Gives whole pages of a span back to the kernel; they read as zeroes afterwards.
    pub(super) fn release(&self, address: usize, bytes: usize) {
        // SAFETY: the caller owns the span, and nobody needs the contents of these pages any more.
        let _ = unsafe { call(libc::SYS_madvise, [address, bytes, libc::MADV_DONTNEED as usize]) };
    }
}

const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;

/// Maps fresh memory exactly there. `false` if it cannot be had, or if anything is there already.
fn map(at: usize, bytes: usize, protection: usize) -> bool {
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a fresh mapping, which replaces none.
    let got = unsafe { call(libc::SYS_mmap, [at, bytes, protection, kind as usize, usize::MAX, 0]) };
    match got {
        // A kernel before 4.17 takes the address for a wish.
        Ok(elsewhere) if elsewhere != at => {
            unmap(elsewhere, bytes);
            false
        }
        got => got.is_ok(),
    }
}

fn unmap(at: usize, bytes: usize) {
    // SAFETY: only for what `map` has just mapped and nobody knows of.
    let _ = unsafe { call(libc::SYS_munmap, [at, bytes]) };
}

/// Whether the kernel would give the program so much memory at once: under its rule for overcommitment, which pieces of a MiB
/// never break, and limits. Only asked for sizes that it may refuse.
pub(super) fn is_available(bytes: usize) -> bool {
    if bytes < ASKED_FROM {
        return true;
    }
    let kind = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    // SAFETY: a fresh mapping where the kernel picks.
    let got = unsafe { call(libc::SYS_mmap, [0, bytes, READ_WRITE, kind, usize::MAX, 0]) };
    got.is_ok_and(|at| {
        unmap(at, bytes);
        true
    })
}

/// Whether nothing lies at these addresses. If so, a page on either side is taken, so that another recorder in this process
/// does not choose them too.
fn guard(start: usize, bytes: usize) -> bool {
    const NO_ACCESS: usize = libc::PROT_NONE as usize;
    let (before, after) = (start - GUARD_BYTES, start + bytes);
    if !map(before, bytes + 2 * GUARD_BYTES, NO_ACCESS) {
        return false;
    }
    unmap(before, bytes + 2 * GUARD_BYTES);
    map(before, GUARD_BYTES, NO_ACCESS) && map(after, GUARD_BYTES, NO_ACCESS)
}

/// Under a limit on address space (ulimit -v) or on data (ulimit -d) the program needs it more than we do.
fn share_of_limit() -> usize {
    let share = |of: libc::__rlimit_resource_t| match heapql_ledger::limit(of as usize) {
        usize::MAX => usize::MAX,
        limit => (limit / 8 + 1).next_power_of_two() / 2,
    };
    share(libc::RLIMIT_AS).min(share(libc::RLIMIT_DATA))
}
