//! The state of one 64 KiB unit of the range: 32 bytes of private memory.
//!
//! A unit is free, the head of a free or used span, or inside one. `buddy` owns the links and orders; `slab` and `pool` own
//! the rest while a span is used. All fields are atomics because `free` reads them without a lock: an address that is
//! being freed belongs to a span that is in use and does not change.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::*};

use heapql_unwind::page_bytes;

use super::{Object, Tag};

pub(crate) const UNIT_BYTES: usize = 64 << 10;

/// A unit's use, in the highest byte of `what`; a slab's class and shard stand below.
const SLAB: u32 = 1 << 24;
const LARGE: u32 = 2 << 24;

/// No object has more bytes than fit into so many bits.
const SIZE_BITS: u32 = 41;

const _: () = assert!(super::range::MOST_BYTES < 1 << SIZE_BITS);

#[repr(C)]
pub(crate) struct Unit {
    /// Buddy: neighbours in the list of free spans, plus one. Slab: neighbours among those with room. Pool: the next freed
    /// span, plus one.
    pub(super) next: AtomicU32,
    pub(super) previous: AtomicU32,
    what: AtomicU32,
    /// Slab: where the object of the first free block began, in grains; 0 for none. Large: the tag's callsite.
    pub(super) head: AtomicU32,
    /// Slab: where the object of the first block that was never used would begin, in grains. Large: the tag's weight.
    pub(super) fresh: AtomicU16,
    /// Large: the tag's epoch. Slab: blocks handed out.
    pub(super) low: AtomicU16,
    /// Buddy: 0 inside a span, else the order plus one, and a bit while it is in use.
    pub(super) order: AtomicU8,
    /// Range: 1 once the piece that begins with this unit has been made usable.
    usable: AtomicU8,
    /// Large: bytes requested, and above [`SIZE_BITS`] how many more the program may use.
    size: AtomicU64,
}

const _: () = assert!(size_of::<Unit>() == 32);

/// A unit's use, read at once.
#[derive(Clone, Copy)]
pub(super) struct UnitUse(u32);

impl UnitUse {
    #[inline(always)]
    pub(super) fn is_large(self) -> bool {
        self.0 == LARGE
    }

    #[inline(always)]
    pub(super) fn is_slab(self) -> bool {
        self.0 & SLAB != 0
    }

    #[inline(always)]
    pub(super) fn class(self) -> usize {
        (self.0 >> 8) as u8 as usize
    }

    #[inline(always)]
    pub(super) fn shard(self) -> usize {
        self.0 as u8 as usize
    }
}

impl Unit {
    pub(super) fn start_slab(&self, class: usize, shard: usize) {
        self.low.store(0, Relaxed);
        self.fresh.store(1, Relaxed);
        self.head.store(0, Relaxed);
        self.what.store(SLAB | (class as u32) << 8 | shard as u32, Release);
    }

    pub(super) fn is_usable(&self) -> bool {
        self.usable.load(Relaxed) != 0
    }

    pub(super) fn set_usable(&self) {
        self.usable.store(1, Relaxed);
    }

    /// Out of every list.
    pub(super) fn clear_links(&self) {
        self.next.store(0, Relaxed);
        self.previous.store(0, Relaxed);
    }

    pub(super) fn end_slab(&self) {
        self.what.store(0, Release);
    }

    #[inline(always)]
    pub(super) fn what(&self) -> UnitUse {
        UnitUse(self.what.load(Acquire))
    }

    pub(super) fn start_large(&self, tag: Tag, bytes: usize, usable: usize) {
        self.head.store(tag.callsite, Relaxed);
        self.low.store(tag.epoch, Relaxed);
        self.fresh.store(tag.weight, Relaxed);
        let more = (usable - bytes).min((1 << (u64::BITS - SIZE_BITS)) - 1);
        self.size.store(bytes as u64 | (more as u64) << SIZE_BITS, Relaxed);
        self.what.store(LARGE, Release);
    }

    /// `false` if it had ended.
    pub(super) fn end_large(&self) -> bool {
        self.what.compare_exchange(LARGE, 0, AcqRel, Relaxed).is_ok()
    }

    /// The large object that begins here.
    pub(super) fn large(&self) -> Option<Object> {
        if !self.what().is_large() {
            return None;
        }
        let (epoch, weight) = (self.low.load(Relaxed), self.fresh.load(Relaxed));
        let tag = Tag { callsite: self.head.load(Relaxed), epoch, weight };
        let size = self.size.load(Relaxed) as usize;
        let (bytes, more) = (size & ((1 << SIZE_BITS) - 1), size >> SIZE_BITS);
        let usable = bytes + more;
        Some(Object { tag, bytes, usable, room: usable.next_multiple_of(page_bytes()) })
    }

    /// The bytes of the span that begins here.
    pub(super) fn span_bytes(&self) -> usize {
        let order = (self.order.load(Relaxed) & 0x7f).saturating_sub(1);
        UNIT_BYTES << order
    }

    pub(super) fn next_freed(&self) -> u32 {
        self.next.load(Relaxed)
    }

    pub(super) fn set_next_freed(&self, next: u32) {
        self.next.store(next, Relaxed);
    }
}
