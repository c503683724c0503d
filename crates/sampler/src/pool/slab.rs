//! Blocks of one size in a 64 KiB unit, and the shards that own such slabs.
//!
//! A block is `[header: 16 bytes][object]`, or `[gap][header][object]` where a larger alignment was asked for. The header
//! lies in memory that the program can overwrite: it is checked before it is believed, and a free block's link is kept
//! together with a mark that depends on its address, so that a program that writes to freed memory cannot lead the pool
//! astray. Called by `pool`.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

use heapql_ledger::{LockGuard, Loss, TryLock};

use super::buddy::unlink_between;
use super::class::{CLASSES, class_of, size_of_class};
use super::unit::{UNIT_BYTES, Unit, UnitUse};
use super::{GRAIN, Object, Pool, PoolError, SHARDS, Size, Tag};

/// One thread's slabs, as long as nobody else wants them.
pub(super) struct Shard {
    lock: TryLock,
    /// First slab with room, per class, plus one.
    with_room: [AtomicU32; CLASSES],
    /// Objects freed while the lock was held: a list through their headers.
    remote_frees: AtomicUsize,
}

impl Shard {
    pub(super) const fn new() -> Self {
        Self {
            lock: TryLock::new(),
            with_room: [const { AtomicU32::new(0) }; CLASSES],
            remote_frees: AtomicUsize::new(0),
        }
    }

    #[inline(always)]
    pub(super) fn try_lock(&self) -> Option<LockGuard<'_>> {
        self.lock.try_lock()
    }

    pub(super) fn lock(&self) -> Option<LockGuard<'_>> {
        self.lock.lock()
    }

    pub(super) fn guard(&self) -> &TryLock {
        &self.lock
    }

    /// Puts a freed object on the list for the next holder of the lock.
    #[cold]
    fn defer_free(&self, address: usize) {
        let mut head = self.remote_frees.load(Relaxed);
        loop {
            header(address).size.store(head as u64, Relaxed);
            match self.remote_frees.compare_exchange_weak(head, address, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// The words in front of an object.
#[repr(C)]
struct Header {
    /// Live: bytes requested, usable bytes, the weight, and [`MOVED`]. Deferred: address of the next one.
    size: AtomicU64,
    /// Live: callsite, epoch and [`live_mark`]. Free: [`free_mark`] and the next free block.
    word: AtomicU64,
}

const _: () = assert!(size_of::<Header>() == GRAIN);

/// In `size`: the object does not begin [`GRAIN`] behind its block.
const MOVED: u64 = 1 << 63;
/// In `size`, from the lowest bits on: bytes requested, usable bytes, the weight.
const USABLE_SHIFT: u32 = 16;
const WEIGHT_SHIFT: u32 = 32;
const BYTES: u64 = 0xffff;
/// Where a free block's link stands in `word`: the grain of the object it leads to, 0 for none.
const LINK: u64 = 0xffff << 16;

/// The lowest 16 bits of a live object's word.
#[inline(always)]
fn live_mark(address: usize) -> u16 {
    0x9a3d ^ (address / GRAIN) as u16
}

/// All bits of a free block's word but [`LINK`]: never those of a live object at the same place.
#[inline(always)]
fn free_mark(address: usize) -> u64 {
    ((address as u64) << 32) ^ 0x6b15_d3a7_0000_0000 | u64::from(!live_mark(address))
}

/// The header of an object at `address`, which lies in a slab at least [`GRAIN`] behind its start.
#[inline(always)]
fn header(address: usize) -> &'static Header {
    // SAFETY: callers have found `address` in a slab, at least GRAIN behind its start and a multiple of GRAIN; a slab's
    // memory is usable and stays reserved for ever, and a `Header` is valid whatever its bytes are.
    unsafe { &*((address - GRAIN) as *const Header) }
}

#[inline(always)]
fn write_header(address: usize, tag: Tag, size: Size, moved: u64) {
    let header = header(address);
    let sizes = size.bytes as u64 | (size.usable as u64) << USABLE_SHIFT;
    header.size.store(sizes | u64::from(tag.weight) << WEIGHT_SHIFT | moved, Relaxed);
    let tag = (u64::from(tag.callsite) << 32) | (u64::from(tag.epoch) << 16);
    header.word.store(tag | u64::from(live_mark(address)), Release);
}

/// Gives a live object another tag and size.
pub(super) fn retag(address: usize, tag: Tag, size: Size) {
    let moved = header(address).size.load(Relaxed) & MOVED;
    write_header(address, tag, size, moved);
}

/// A live object: its word, its size word, and its block's size.
#[inline(always)]
fn live(what: UnitUse, address: usize) -> Result<(u64, u64, usize), PoolError> {
    let size = size_of_class(what.class());
    let offset = address % UNIT_BYTES;
    if !what.is_slab() || offset < GRAIN || !offset.is_multiple_of(GRAIN) {
        return Err(PoolError::InvalidPointer);
    }
    let header = header(address);
    let word = header.word.load(Acquire);
    let bytes = header.size.load(Relaxed);
    if word as u16 == live_mark(address) && (bytes >> USABLE_SHIFT & BYTES) as usize + GRAIN <= size {
        return Ok((word, bytes, size));
    }
    Err(if word & !LINK == free_mark(address) & !LINK { PoolError::DoubleFree } else { PoolError::InvalidPointer })
}

#[inline(always)]
fn tag_of(word: u64, size: u64) -> Tag {
    Tag { callsite: (word >> 32) as u32, epoch: (word >> 16) as u16, weight: (size >> WEIGHT_SHIFT) as u16 }
}

/// The live object at `address`.
pub(super) fn object(unit: &Unit, address: usize) -> Result<Object, PoolError> {
    let (word, sizes, block) = live(unit.what(), address)?;
    let room = if sizes & MOVED == 0 { block - GRAIN } else { block - (address % UNIT_BYTES) % block };
    let (bytes, usable) = ((sizes & BYTES) as usize, (sizes >> USABLE_SHIFT & BYTES) as usize);
    Ok(Object { tag: tag_of(word, sizes), bytes, usable: usable.min(room), room })
}

/// A block of shard `at`, whose lock is held.
#[inline(always)]
pub(super) fn allocate(pool: &Pool, at: usize, held: &LockGuard, size: Size, tag: Tag) -> Result<NonNull<u8>, Loss> {
    let Size { usable, align, .. } = size;
    let shard = pool.shards.get(at).ok_or(Loss::PoolFull)?;
    if shard.remote_frees.load(Relaxed) != 0 {
        collect(pool, at, held);
    }
    let gap = if align > GRAIN { align } else { 0 };
    let class = class_of(usable + GRAIN + gap);
    let head = shard.with_room.get(class).ok_or(Loss::PoolFull)?;
    let number = match head.load(Relaxed) {
        0 => start_slab(pool, at, class, head)?,
        found => found - 1,
    };
    let unit = pool.range.unit(number).ok_or(Loss::PoolFull)?;
    let first = take_block(pool, unit, pool.range.address(number) as usize, class, head);
    if gap == 0 {
        write_header(first, tag, size, 0);
        return NonNull::new(first as *mut u8).ok_or(Loss::PoolFull);
    }
    // Such a block is found again by its first place: nothing there may look like a live object.
    header(first).word.store(free_mark(first), Relaxed);
    let address = first.next_multiple_of(align);
    write_header(address, tag, size, if address == first { 0 } else { MOVED });
    NonNull::new(address as *mut u8).ok_or(Loss::PoolFull)
}

/// A new slab, first in the list of its class.
#[cold]
fn start_slab(pool: &Pool, shard: usize, class: usize, head: &AtomicU32) -> Result<u32, Loss> {
    let number = pool.take_units(1, 1)?;
    let unit = pool.range.unit(number).ok_or(Loss::PoolFull)?;
    unit.start_slab(class, shard);
    link(pool, unit, number, head);
    Ok(number)
}

fn link(pool: &Pool, unit: &Unit, number: u32, head: &AtomicU32) {
    let first = head.load(Relaxed);
    unit.previous.store(0, Relaxed);
    unit.next.store(first, Relaxed);
    if let Some(first) = first.checked_sub(1).and_then(|first| pool.range.unit(first)) {
        first.previous.store(number + 1, Relaxed);
    }
    head.store(number + 1, Relaxed);
}

/// The first place for an object in a free block of a slab with room: of the one freed last, else of one never used. A
/// slab without any more leaves the list.
#[inline(always)]
fn take_block(pool: &Pool, unit: &Unit, start: usize, class: usize, head: &AtomicU32) -> usize {
    let free = unit.head.load(Relaxed);
    let (address, next) = match free {
        0 => (start + unit.fresh.load(Relaxed) as usize * GRAIN, 0),
        _ => {
            let address = start + free as usize * GRAIN;
            let link = header(address).word.load(Relaxed) ^ free_mark(address);
            // Overwritten by the program after it was freed: the blocks behind it are given up, not followed.
            (address, if link & !LINK == 0 { (link >> 16) as u32 } else { 0 })
        }
    };
    if free == 0 {
        unit.fresh.store(((address % UNIT_BYTES + size_of_class(class)) / GRAIN) as u16, Relaxed);
    }
    unit.head.store(next, Relaxed);
    unit.low.store(unit.low.load(Relaxed) + 1, Relaxed);
    if next == 0 && !has_fresh(unit, class) {
        unlink_full(pool, unit, head);
    }
    address
}

/// True if some block of the slab has never been used.
#[inline(always)]
fn has_fresh(unit: &Unit, class: usize) -> bool {
    unit.fresh.load(Relaxed) as usize * GRAIN - GRAIN + size_of_class(class) <= UNIT_BYTES
}

#[cold]
fn unlink_full(pool: &Pool, unit: &Unit, head: &AtomicU32) {
    unlink_between(&pool.range, unit, head);
    unit.clear_links();
}

/// Ends the object at `address` in a slab: what it was. Never waits.
#[inline(always)]
pub(super) fn free(
    pool: &Pool,
    what: UnitUse,
    unit: &Unit,
    number: u32,
    address: usize,
) -> Result<(Tag, usize), PoolError> {
    let (word, bytes, _) = live(what, address)?;
    let Some(shard) = pool.shards.get(what.shard() % SHARDS) else {
        return Err(PoolError::InvalidPointer);
    };
    match shard.try_lock() {
        Some(held) => {
            if shard.remote_frees.load(Relaxed) != 0 {
                collect(pool, what.shard(), &held);
            }
            // Another thread may have freed it since.
            if header(address).word.load(Relaxed) != word {
                return Err(PoolError::DoubleFree);
            }
            free_block(pool, shard, unit, number, address, bytes & MOVED != 0);
        }
        None => {
            // Without the lock this is what makes one of two threads that free it fail.
            let freed = free_mark(address) | deferred_link(bytes & MOVED != 0);
            if header(address).word.compare_exchange(word, freed, AcqRel, Relaxed).is_err() {
                return Err(PoolError::DoubleFree);
            }
            shard.defer_free(address);
        }
    }
    Ok((tag_of(word, bytes), (bytes & BYTES) as usize))
}

/// The link in the word of an object whose free was deferred: whether it does not begin at its block's first place. No free block has such a
/// link: one that the holder of the lock freed at the same moment is not freed again.
fn deferred_link(moved: bool) -> u64 {
    (0xfffe | u64::from(moved)) << 16
}

/// Puts the block of an object onto its slab's free list. Under the shard's lock.
#[inline(always)]
fn free_block(pool: &Pool, shard: &Shard, unit: &Unit, number: u32, address: usize, moved: bool) {
    let first = if moved { first_place(unit, address) } else { address };
    let next = unit.head.load(Relaxed);
    header(first).word.store(free_mark(first) | u64::from(next) << 16, Relaxed);
    unit.head.store((first % UNIT_BYTES / GRAIN) as u32, Relaxed);
    let used = unit.low.load(Relaxed).wrapping_sub(1);
    unit.low.store(used, Relaxed);
    if next == 0 || used == 0 {
        changed(pool, shard, unit, number, next);
    }
}

/// A slab that was full has room again; one that is empty goes back, unless it is the only one of its class.
#[cold]
fn changed(pool: &Pool, shard: &Shard, unit: &Unit, number: u32, next: u32) {
    let class = unit.what().class();
    let Some(head) = shard.with_room.get(class) else {
        return;
    };
    if next == 0 && !has_fresh(unit, class) {
        link(pool, unit, number, head);
    }
    let alone = unit.next.load(Relaxed) == 0 && unit.previous.load(Relaxed) == 0;
    if unit.low.load(Relaxed) == 0 && !alone {
        unlink_between(&pool.range, unit, head);
        unit.end_slab();
        pool.range.release(pool.range.address(number) as usize, UNIT_BYTES);
        pool.give_back(number);
    }
}

/// The first place in the block of an object that begins further in. Marks the object itself as freed.
#[cold]
fn first_place(unit: &Unit, address: usize) -> usize {
    header(address).word.store(free_mark(address), Relaxed);
    let size = size_of_class(unit.what().class()).max(1);
    address - (address % UNIT_BYTES) % size + GRAIN
}

/// Frees the objects whose free others deferred. Under the lock of shard `at`.
#[cold]
fn collect(pool: &Pool, at: usize, _held: &LockGuard) {
    let Some(shard) = pool.shards.get(at) else {
        return;
    };
    let mut next = shard.remote_frees.swap(0, Acquire);
    while next != 0 {
        let address = next;
        let Some((unit, number)) = pool.range.unit_at(address) else {
            return;
        };
        if !unit.what().is_slab() || unit.what().shard() != at {
            return;
        }
        let link = header(address).word.load(Relaxed) ^ free_mark(address);
        // Overwritten after it was freed: what lies behind it on the list is given up, not followed.
        if link != deferred_link(false) && link != deferred_link(true) {
            return;
        }
        next = header(address).size.load(Relaxed) as usize;
        free_block(pool, shard, unit, number, address, link == deferred_link(true));
    }
}

const _: () = assert!(SHARDS <= u8::MAX as usize);
