//! Blocks of one size in a 64 KiB unit, and the shards that own such slabs.
//!
//! A block is `[header: 16 bytes][object]`, or `[gap][header][object]` where a larger alignment was asked for. The header
//! lies in memory that the program can overwrite: it is checked before it is believed, and links between free blocks are
//! block numbers, so that a program that writes to freed memory cannot lead the pool out of a slab. Called by `pool`.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

use heapql_ledger::{Held, TryLock};

use super::buddy::unlink_between;
use super::unit::{UNIT_BYTES, Unit};
use super::{Bad, GRAIN, Object, Pool, SHARDS, Tag};

/// Sizes of blocks, headers included: steps of an eighth to a quarter, so at most a fifth is waste.
const CLASSES: usize = 40;
const SIZES: [u32; CLASSES] = sizes();

const fn sizes() -> [u32; CLASSES] {
    let mut sizes = [0; CLASSES];
    let mut size: u32 = 32;
    let mut at = 0;
    while at < CLASSES {
        sizes[at] = size;
        size += if size < 128 { 16 } else { 1 << (size.ilog2() - 2) };
        at += 1;
    }
    assert!(sizes[CLASSES - 1] as usize >= super::LARGEST_BLOCK);
    sizes
}

/// The smallest class whose blocks hold `bytes`, by binary search.
fn class_of(bytes: usize) -> Option<usize> {
    let class = SIZES.partition_point(|&size| (size as usize) < bytes);
    (class < CLASSES).then_some(class)
}

fn size_of_class(class: usize) -> usize {
    SIZES.get(class).map_or(usize::MAX, |&size| size as usize)
}

fn blocks_of_class(class: usize) -> usize {
    UNIT_BYTES / size_of_class(class)
}

/// One thread's slabs, as long as nobody else wants them.
pub(super) struct Shard {
    lock: TryLock,
    /// First slab with room, per class, plus one.
    with_room: [AtomicU32; CLASSES],
    /// Objects freed while the lock was held: a list through their headers.
    left: AtomicUsize,
}

impl Shard {
    pub(super) const fn new() -> Self {
        Self { lock: TryLock::new(), with_room: [const { AtomicU32::new(0) }; CLASSES], left: AtomicUsize::new(0) }
    }

    #[inline]
    pub(super) fn try_lock(&self) -> Option<Held<'_>> {
        self.lock.try_lock()
    }

    pub(super) fn lock(&self) -> Option<Held<'_>> {
        self.lock.lock()
    }

    pub(super) fn reset(&self) {
        self.lock.reset();
    }

    /// Leaves a freed object for the next holder of the lock.
    pub(super) fn leave(&self, address: usize) {
        let mut head = self.left.load(Relaxed);
        loop {
            header(address).size.store(head as u64, Relaxed);
            match self.left.compare_exchange_weak(head, address, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// What stands in front of an object.
#[repr(C)]
struct Header {
    /// Live: bytes requested. Left: address of the next one.
    size: AtomicU64,
    /// Live: callsite, epoch and [`LIVE`]. Free: [`FREE`] and the next free block's number, plus one.
    word: AtomicU64,
}

const _: () = assert!(size_of::<Header>() == GRAIN);

/// In the lowest 16 bits of `word`.
const LIVE: u64 = 0x9a3d;
const FREE: u64 = 0x51c6;
const STATE: u64 = 0xffff;

/// The header of an object at `address`, which lies in a slab at least [`GRAIN`] behind its start.
fn header(address: usize) -> &'static Header {
    // SAFETY: callers have found `address` in a slab, at least GRAIN behind its start and a multiple of GRAIN; a slab's
    // memory is usable and stays reserved for ever, and a `Header` is valid whatever its bytes are.
    unsafe { &*((address - GRAIN) as *const Header) }
}

pub(super) fn write_header(address: usize, tag: Tag, bytes: usize) {
    let header = header(address);
    header.size.store(bytes as u64, Relaxed);
    header.word.store((u64::from(tag.callsite) << 32) | (u64::from(tag.epoch) << 16) | LIVE, Release);
}

/// Where an address lies in its slab: the block's number and the offset of its end.
fn place(unit: &Unit, address: usize) -> Option<(usize, usize)> {
    let offset = address % UNIT_BYTES;
    let size = size_of_class(unit.class()?);
    let block = offset.checked_sub(GRAIN)? / size;
    let inside = offset.is_multiple_of(GRAIN) && block < UNIT_BYTES / size;
    inside.then_some((block, (block + 1) * size))
}

/// The live object at `address`.
pub(super) fn object(unit: &Unit, address: usize) -> Result<Object, Bad> {
    let (_, end) = place(unit, address).ok_or(Bad::NotAnObject)?;
    let header = header(address);
    let (word, bytes) = (header.word.load(Acquire), header.size.load(Relaxed) as usize);
    let usable = end - address % UNIT_BYTES;
    match word & STATE {
        LIVE if bytes <= usable => {
            let tag = Tag { callsite: (word >> 32) as u32, epoch: (word >> 16) as u16 };
            Ok(Object { tag, bytes, usable })
        }
        FREE => Err(Bad::Freed),
        _ => Err(Bad::NotAnObject),
    }
}

/// Claims the end of an object for this thread: of two that free it, one fails.
pub(super) fn mark_free(address: usize) -> Result<(), Bad> {
    let header = header(address);
    let word = header.word.load(Relaxed);
    if word & STATE != LIVE || header.word.compare_exchange(word, FREE, AcqRel, Relaxed).is_err() {
        return Err(Bad::Freed);
    }
    Ok(())
}

/// A block of shard `at`, whose lock is held.
pub(super) fn allocate(
    pool: &Pool,
    at: usize,
    held: &Held,
    bytes: usize,
    align: usize,
    tag: Tag,
) -> Option<NonNull<u8>> {
    let shard = pool.shards.get(at)?;
    collect(pool, at, held);
    let gap = if align > GRAIN { align } else { 0 };
    let class = class_of(bytes + GRAIN + gap)?;
    let head = shard.with_room.get(class)?;
    let number = match head.load(Relaxed) {
        0 => start_slab(pool, at, class, head)?,
        found => found - 1,
    };
    let unit = pool.range.unit(number)?;
    let block = take_block(pool, unit, number, class, head)?;
    let start = pool.range.address(number) as usize + block * size_of_class(class);
    let address = (start + GRAIN).next_multiple_of(align.max(GRAIN));
    // A block whose object starts further in is found by its first place: nothing there may look like a live object.
    if address != start + GRAIN {
        header(start + GRAIN).word.store(FREE, Relaxed);
    }
    write_header(address, tag, bytes);
    NonNull::new(address as *mut u8)
}

/// A new slab, first in the list of its class.
fn start_slab(pool: &Pool, shard: usize, class: usize, head: &AtomicU32) -> Option<u32> {
    let number = pool.take_unit()?;
    let unit = pool.range.unit(number)?;
    unit.start_slab(class, shard);
    link(pool, unit, number, head);
    Some(number)
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

/// A free block of a slab with room: the one freed last, else one never used. A slab without any more leaves the list.
fn take_block(pool: &Pool, unit: &Unit, number: u32, class: usize, head: &AtomicU32) -> Option<usize> {
    let blocks = blocks_of_class(class);
    let fresh = unit.fresh.load(Relaxed);
    let block = match unit.head.load(Relaxed) {
        0 => {
            unit.fresh.store(fresh + 1, Relaxed);
            fresh as usize
        }
        free => {
            let block = (free - 1) as usize;
            let start = pool.range.address(number) as usize + block * size_of_class(class);
            let word = header(start + GRAIN).word.load(Relaxed);
            let next = (word >> 16) as u32;
            // Overwritten by the program after it was freed: the blocks behind it are given up, not followed.
            let sound = word & STATE == FREE && next as usize <= blocks;
            unit.head.store(if sound { next } else { 0 }, Relaxed);
            block
        }
    };
    let used = unit.low.load(Relaxed) + 1;
    unit.low.store(used, Relaxed);
    if unit.head.load(Relaxed) == 0 && unit.fresh.load(Relaxed) as usize >= blocks {
        unlink_between(&pool.range, unit, head);
        unit.clear_links();
    }
    (block < blocks).then_some(block)
}

/// Takes back a block whose object has been marked free. The lock of shard `at` is held.
pub(super) fn free(pool: &Pool, at: usize, held: &Held, address: usize) {
    collect(pool, at, held);
    free_block(pool, at, address);
}

fn free_block(pool: &Pool, at: usize, address: usize) {
    let number = pool.range.number(address);
    let Some((shard, unit)) = pool.shards.get(at).zip(pool.range.unit(number)) else {
        return;
    };
    let Some(((block, _), class)) = place(unit, address).zip(unit.class()) else {
        return;
    };
    let Some(head) = shard.with_room.get(class) else {
        return;
    };
    let was_full = unit.head.load(Relaxed) == 0 && unit.fresh.load(Relaxed) as usize >= blocks_of_class(class);
    let start = pool.range.address(number) as usize + block * size_of_class(class);
    header(start + GRAIN).word.store((u64::from(unit.head.load(Relaxed)) << 16) | FREE, Relaxed);
    unit.head.store(block as u32 + 1, Relaxed);
    let used = unit.low.load(Relaxed).saturating_sub(1);
    unit.low.store(used, Relaxed);
    if was_full {
        link(pool, unit, number, head);
    }
    let alone = unit.next.load(Relaxed) == 0 && unit.previous.load(Relaxed) == 0;
    if used == 0 && !alone {
        unlink_between(&pool.range, unit, head);
        unit.end_slab();
        pool.range.release(number, UNIT_BYTES);
        pool.give_back(number);
    }
}

/// Takes back what others left.
fn collect(pool: &Pool, at: usize, _held: &Held) {
    let Some(shard) = pool.shards.get(at) else {
        return;
    };
    if shard.left.load(Relaxed) == 0 {
        return;
    }
    let mut next = shard.left.swap(0, Acquire);
    while next != 0 {
        let address = next;
        // Overwritten after it was freed: what lies behind it on the list is given up, not followed.
        let sound = pool.range.unit_at(address).is_some_and(|unit| {
            unit.shard() == at && place(unit, address).is_some() && header(address).word.load(Relaxed) & STATE == FREE
        });
        if !sound {
            return;
        }
        next = header(address).size.load(Relaxed) as usize;
        free_block(pool, at, address);
    }
}

const _: () = assert!(SHARDS <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_a_fifth() {
        for bytes in 32..=super::super::LARGEST_BLOCK {
            let size = size_of_class(class_of(bytes).expect("there is one"));
            assert!(size >= bytes && size.is_multiple_of(GRAIN));
            assert!(bytes < 128 || (size - bytes) * 5 <= size, "{bytes} in {size}");
        }
    }
}
