//! The sampled pool: an address range of its own, where sampled objects live, so that one compare at `free` tells them
//! from all others.
//!
//! A general allocator, because in full mode everything lives here, but built for its place: private metadata is never
//! read back from memory that the program writes, except an object's own header, which is checked; no lock is waited for
//! without bound, and `free` waits for none (what it cannot do now it leaves on a list for the next holder). Memory goes
//! back to the kernel when a span is empty. It knows nothing of stacks: an object carries a callsite number. Called by
//! `recorder`.
//!
//! ```text
//! range = 64 KiB units ── buddy ──> spans of 2^k units ──> one slab of equal blocks  [header | object] ...
//!                                                     └──> one large object           (header beside the unit's state)
//! ```

mod buddy;
mod class;
mod range;
mod slab;
mod unit;
mod warm;

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::*};

pub(crate) use heapql_ledger::SHARDS;
use heapql_ledger::{LockGuard, Loss, TryLock, Weight};

use buddy::Buddy;
use range::{MOST_BYTES, Range};
use slab::Shard;
use unit::{UNIT_BYTES, Unit};
use warm::WarmSpans;

/// Alignment of every object, and size of a header.
pub(crate) const GRAIN: usize = 16;
/// Blocks above this are spans of their own.
const LARGEST_BLOCK: usize = 32 << 10;
/// Spans are aligned to their size from the range's start, and that to this.
pub(crate) const LARGEST_ALIGN: usize = range::PIECE_BYTES;

/// The sample that an object is, as its header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag {
    pub(crate) callsite: u32,
    /// Which of the process's ledgers the callsite belongs to: a forked child starts another.
    pub(crate) epoch: u16,
    /// The weight of its callsite.
    pub(crate) weight: Weight,
}

/// The size of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    /// As requested.
    pub(crate) bytes: usize,
    /// How many bytes the program may use: at least as many.
    pub(crate) usable: usize,
    /// A power of two.
    pub(crate) align: usize,
}

/// A live object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) tag: Tag,
    /// As requested.
    pub(crate) bytes: usize,
    /// How many bytes the program may use.
    pub(crate) usable: usize,
    /// How many bytes there is memory for.
    pub(crate) room: usize,
}

/// Why there is no object at an address of the range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PoolError {
    /// It was freed before.
    DoubleFree,
    /// No object starts there, or its header was overwritten.
    InvalidPointer,
}

pub(crate) struct Pool {
    range: Range,
    buddy: Buddy,
    /// Guards `buddy` and `warm`.
    spans: TryLock,
    warm: WarmSpans,
    shards: [Shard; SHARDS],
    /// Units of spans that were freed while the buddy's lock was held: a list through the units' own links, plus one.
    freed_spans: AtomicU32,
}

impl Pool {
    pub(crate) const fn new() -> Self {
        Self {
            range: Range::new(),
            buddy: Buddy::new(),
            spans: TryLock::new(),
            warm: WarmSpans::new(),
            shards: [const { Shard::new() }; SHARDS],
            freed_spans: AtomicU32::new(0),
        }
    }

    /// Chooses the addresses: first and number. `None` if none are to be had. By one thread, once.
    pub(crate) fn reserve(&self) -> Option<(usize, usize)> {
        let held = self.spans.try_lock()?;
        let chosen = self.range.choose()?;
        self.buddy.adopt(&self.range, &held).then_some(chosen)
    }

    /// An object of `bytes`, with room for at least `usable`, at a multiple of `align` (a power of two), and whether it is known
    /// to be zero. `PoolFull` when the range or the memory is exhausted, `Contended` when others hold what is needed.
    #[inline(always)]
    pub(crate) fn allocate(&self, shard: usize, size: Size, tag: Tag) -> Result<(NonNull<u8>, bool), Loss> {
        let Size { usable, align, .. } = size;
        let room = usable.checked_add(GRAIN + if align > GRAIN { align } else { 0 }).ok_or(Loss::PoolFull)?;
        if room > LARGEST_BLOCK {
            return self.allocate_span(size, tag);
        }
        let (at, held) = match self.shards.get(shard).and_then(Shard::try_lock) {
            Some(held) => (shard, held),
            None => self.any_shard(shard).ok_or(Loss::Contended)?,
        };
        Ok((slab::allocate(self, at, &held, size, tag)?, false))
    }

    /// Another shard than `shard`, which is locked, or that one after a wait.
    #[cold]
    fn any_shard(&self, shard: usize) -> Option<(usize, LockGuard<'_>)> {
        let mut others = (1..SHARDS).map(|i| (shard + i) % SHARDS);
        others
            .find_map(|at| Some((at, self.shards.get(at)?.try_lock()?)))
            .or_else(|| Some((shard, self.shards.get(shard)?.lock()?)))
    }

    #[cold]
    fn allocate_span(&self, size: Size, tag: Tag) -> Result<(NonNull<u8>, bool), Loss> {
        let Size { bytes, usable, align } = size;
        if align > LARGEST_ALIGN || usable > MOST_BYTES || !range::is_available(usable) {
            return Err(Loss::PoolFull);
        }
        let (count, committed) = (usable.max(align).div_ceil(UNIT_BYTES), usable.div_ceil(UNIT_BYTES));
        let (number, is_zero) = self.take_span(count, committed)?;
        let found = self.range.unit(number).zip(NonNull::new(self.range.address(number)));
        let (unit, object) = found.ok_or(Loss::PoolFull)?;
        unit.start_large(tag, bytes, usable);
        Ok((object, is_zero))
    }

    /// A span for a large object, whose memory may be left from another one: its first unit, and whether it is known to be zero.
    fn take_span(&self, count: usize, committed: usize) -> Result<(u32, bool), Loss> {
        let held = self.spans.lock().ok_or(Loss::Contended)?;
        let wanted = count.next_power_of_two() * UNIT_BYTES;
        let fits = |number| self.range.unit(number).is_some_and(|unit| unit.span_bytes() == wanted);
        let Some((number, in_memory)) = self.warm.take(&held, fits) else {
            return Ok((self.take_units_locked(&held, count, committed)?, true));
        };
        if !self.range.commit(number, committed) {
            self.cool(&held, number);
            return Err(Loss::PoolFull);
        }
        let needed = committed * UNIT_BYTES;
        if in_memory > needed + needed / 4 {
            self.range.release(self.range.address(number) as usize + needed, wanted - needed);
        }
        Ok((number, false))
    }

    /// A span of at least `count` units, the first `committed` of them with memory behind them.
    fn take_units(&self, count: usize, committed: usize) -> Result<u32, Loss> {
        let held = self.spans.lock().ok_or(Loss::Contended)?;
        self.take_units_locked(&held, count, committed)
    }

    fn take_units_locked(&self, held: &LockGuard, count: usize, committed: usize) -> Result<u32, Loss> {
        self.collect_spans(held);
        let mut found = self.buddy.allocate(&self.range, held, count);
        while found.is_none()
            && let Some((number, _)) = self.warm.take(held, |_| true)
        {
            self.cool(held, number);
            found = self.buddy.allocate(&self.range, held, count);
        }
        let unit = found.ok_or(Loss::PoolFull)?;
        if self.range.commit(unit, committed) {
            return Ok(unit);
        }
        self.buddy.free(&self.range, held, unit);
        Err(Loss::PoolFull)
    }

    /// Gives the memory of a span back to the kernel, and the span to the buddy.
    fn cool(&self, held: &LockGuard, number: u32) {
        let bytes = self.range.unit(number).map_or(0, Unit::span_bytes);
        self.range.release(self.range.address(number) as usize, bytes);
        self.buddy.free(&self.range, held, number);
    }

    /// The object that starts at `address`.
    pub(crate) fn object(&self, address: usize) -> Result<Object, PoolError> {
        let (unit, _) = self.range.unit_at(address).ok_or(PoolError::InvalidPointer)?;
        if let Some(object) = unit.large() {
            return if address.is_multiple_of(UNIT_BYTES) { Ok(object) } else { Err(PoolError::InvalidPointer) };
        }
        slab::object(unit, address)
    }

    /// Resizes a large object without copying it: in its span, or by moving its pages to a longer one. `None` leaves it as
    /// it was.
    pub(crate) fn resize_large(&self, address: usize, size: Size, tag: Tag) -> Option<NonNull<u8>> {
        let (unit, number) = self.range.unit_at(address)?;
        let old = unit.large()?.room;
        if size.usable <= LARGEST_BLOCK {
            return None;
        }
        if size.usable <= unit.span_bytes() {
            let _held = self.spans.lock()?;
            if !self.range.commit(number, size.usable.div_ceil(UNIT_BYTES)) {
                return None;
            }
            self.resize_span(unit, address, size, tag);
            return NonNull::new(address as *mut u8);
        }
        let (moved, _) = self.allocate_span(Size { align: GRAIN, ..size }, tag).ok()?;
        let are_pages_moved = self.range.move_pages(address, moved.as_ptr() as usize, old);
        if !are_pages_moved {
            // SAFETY: the new span is ours and at least as long; the old one is the caller's live object.
            unsafe { core::ptr::copy_nonoverlapping(address as *const u8, moved.as_ptr(), old) };
        }
        let _ = self.free_span(unit, number, address, !are_pages_moved);
        Some(moved)
    }

    /// Gives a new tag and size to an object that stays where it is. `size.usable` is at most its room.
    pub(crate) fn retag(&self, address: usize, tag: Tag, size: Size) {
        let Some((unit, _)) = self.range.unit_at(address) else {
            return;
        };
        if unit.large().is_some() {
            self.resize_span(unit, address, size, tag);
        } else {
            slab::retag(address, tag, size);
        }
    }

    /// Gives a new tag and size to a large object that stays where it is; pages behind its end go back to the kernel.
    fn resize_span(&self, unit: &Unit, address: usize, size: Size, tag: Tag) {
        let room = |unit: &Unit| unit.large().map_or(0, |object| object.room);
        let before = room(unit);
        unit.start_large(tag, size.bytes, size.usable);
        let after = room(unit);
        if after < before {
            self.range.release(address + after, before - after);
        }
    }

    /// Ends an object: its tag and its bytes, as requested. Never waits.
    #[inline(always)]
    pub(crate) fn free(&self, address: usize) -> Result<(Tag, usize), PoolError> {
        let Some((unit, number)) = self.range.unit_at(address) else {
            return Err(PoolError::InvalidPointer);
        };
        let what = unit.what();
        if what.is_slab() {
            slab::free(self, what, unit, number, address)
        } else {
            self.free_span(unit, number, address, true)
        }
    }

    #[cold]
    fn free_span(
        &self,
        unit: &Unit,
        number: u32,
        address: usize,
        is_in_memory: bool,
    ) -> Result<(Tag, usize), PoolError> {
        let Object { tag, bytes, room, .. } =
            unit.large().filter(|_| address.is_multiple_of(UNIT_BYTES)).ok_or(PoolError::InvalidPointer)?;
        if !unit.end_large() {
            return Err(PoolError::DoubleFree);
        }
        if is_in_memory
            && let Some(held) = self.spans.try_lock()
            && self.warm.wants(&held, room)
        {
            self.warm.keep(&held, number, room, |number| self.cool(&held, number));
            return Ok((tag, bytes));
        }
        self.range.release(address, unit.span_bytes());
        self.give_back(number);
        Ok((tag, bytes))
    }

    /// Back to the buddy, or onto the list for its next holder.
    fn give_back(&self, unit: u32) {
        if let Some(held) = self.spans.try_lock() {
            self.buddy.free(&self.range, &held, unit);
            return;
        }
        let Some(state) = self.range.unit(unit) else {
            return;
        };
        let mut head = self.freed_spans.load(Relaxed);
        loop {
            state.set_next_freed(head);
            match self.freed_spans.compare_exchange_weak(head, unit + 1, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn collect_spans(&self, held: &LockGuard) {
        if self.freed_spans.load(Relaxed) == 0 {
            return;
        }
        let mut next = self.freed_spans.swap(0, Acquire);
        while next != 0 {
            let Some(state) = self.range.unit(next - 1) else {
                return;
            };
            let unit = next - 1;
            next = state.next_freed();
            self.buddy.free(&self.range, held, unit);
        }
    }

    /// All locks, in the order in which they are taken; for fork.
    pub(crate) fn locks(&self) -> impl Iterator<Item = &TryLock> {
        self.shards.iter().map(Shard::guard).chain([&self.spans])
    }
}

#[cfg(test)]
mod tests;
