//! The state of one 64 KiB unit of the range: 32 bytes of private memory.
//!
//! A unit is free, the head of a free or used span, or inside one. `buddy` owns the links and orders; `slab` and `pool` own
//! the rest while a span is used. All fields are atomics because `free` reads them without a lock: an address that is
//! being freed belongs to a span that is in use and does not change.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::*};

use super::Tag;

pub(crate) const UNIT_BYTES: usize = 64 << 10;

/// `kind`: what the unit is.
const SLAB: u8 = 1;
const LARGE: u8 = 2;

#[repr(C)]
pub(crate) struct Unit {
    /// Buddy: neighbours in the list of free spans, plus one. Slab: neighbours among those with room.
    pub(super) next: AtomicU32,
    pub(super) previous: AtomicU32,
    /// Buddy: 0 inside a span, else the order plus one, and a bit while it is in use.
    pub(super) order: AtomicU8,
    kind: AtomicU8,
    class: AtomicU8,
    shard: AtomicU8,
    /// Large: the tag's epoch. Slab: blocks handed out.
    pub(super) low: AtomicU16,
    /// Slab: blocks that were handed out at least once.
    pub(super) fresh: AtomicU16,
    /// Slab: first free block, plus one. Large: the tag's callsite.
    pub(super) head: AtomicU32,
    /// Pool: the next freed span, plus one.
    next_freed: AtomicU32,
    /// Large: bytes requested.
    bytes: AtomicU64,
}

const _: () = assert!(size_of::<Unit>() == 32);

impl Unit {
    pub(super) fn start_slab(&self, class: usize, shard: usize) {
        self.class.store(class as u8, Relaxed);
        self.shard.store(shard as u8, Relaxed);
        for counter in [&self.low, &self.fresh] {
            counter.store(0, Relaxed);
        }
        self.head.store(0, Relaxed);
        self.kind.store(SLAB, Release);
    }

    /// Out of every list.
    pub(super) fn clear_links(&self) {
        self.next.store(0, Relaxed);
        self.previous.store(0, Relaxed);
    }

    pub(super) fn end_slab(&self) {
        self.kind.store(0, Release);
    }

    /// The slab's class.
    pub(super) fn class(&self) -> Option<usize> {
        (self.kind.load(Acquire) == SLAB).then(|| self.class.load(Relaxed) as usize)
    }

    pub(super) fn shard(&self) -> usize {
        self.shard.load(Relaxed) as usize
    }

    pub(super) fn start_large(&self, tag: Tag, bytes: usize) {
        self.head.store(tag.callsite, Relaxed);
        self.low.store(tag.epoch, Relaxed);
        self.bytes.store(bytes as u64, Relaxed);
        self.kind.store(LARGE, Release);
    }

    /// `false` if it had ended.
    pub(super) fn end_large(&self) -> bool {
        self.kind.compare_exchange(LARGE, 0, AcqRel, Relaxed).is_ok()
    }

    /// Tag, requested and usable bytes of a large object.
    pub(super) fn large(&self) -> Option<(Tag, usize, usize)> {
        if self.kind.load(Acquire) != LARGE {
            return None;
        }
        let tag = Tag { callsite: self.head.load(Relaxed), epoch: self.low.load(Relaxed) };
        let bytes = self.bytes.load(Relaxed) as usize;
        Some((tag, bytes, bytes.next_multiple_of(4096)))
    }

    /// Of the span that begins here.
    pub(super) fn span_bytes(&self) -> usize {
        let order = (self.order.load(Relaxed) & 0x7f).saturating_sub(1);
        UNIT_BYTES << order
    }

    pub(super) fn next_freed(&self) -> u32 {
        self.next_freed.load(Relaxed)
    }

    pub(super) fn set_next_freed(&self, next: u32) {
        self.next_freed.store(next, Relaxed);
    }
}
