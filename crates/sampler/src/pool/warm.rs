//! Freed spans whose memory is kept for the next large object, so that a program that allocates and frees buffers in a loop
//! does not get each of them as fresh pages from the kernel.
//!
//! The bounds are those of glibc's malloc, in whose place it stands: a freed object that is larger than the limit raises it and
//! is not kept; from then on as much as twice the limit is. Every method wants the pool's lock as a witness. It knows nothing of
//! what objects were. Called by `pool`.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use heapql_ledger::LockGuard;

/// How many spans are kept.
const SLOTS: usize = 8;
/// The limit at the start, and the most that it rises to: M_MMAP_THRESHOLD's largest dynamic value.
const FIRST_LIMIT: usize = 512 << 10;
const LAST_LIMIT: usize = 32 << 20;

/// A span that is kept: its first unit plus one, 0 for none, and how much of it is in memory.
struct Slot {
    unit: AtomicU32,
    bytes: AtomicUsize,
}

pub(super) struct WarmSpans {
    slots: [Slot; SLOTS],
    /// The slot that is emptied next.
    oldest: AtomicUsize,
    total: AtomicUsize,
    limit: AtomicUsize,
}

impl WarmSpans {
    pub(super) const fn new() -> Self {
        Self {
            slots: [const { Slot { unit: AtomicU32::new(0), bytes: AtomicUsize::new(0) } }; SLOTS],
            oldest: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
            limit: AtomicUsize::new(FIRST_LIMIT),
        }
    }

    /// Whether a span with so many bytes in memory is to be kept. If not, and it is not too large, the next one is.
    pub(super) fn wants(&self, _lock: &LockGuard, bytes: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        if bytes > limit && bytes <= LAST_LIMIT {
            self.limit.store(bytes, Relaxed);
        }
        bytes <= limit
    }

    /// Keeps a span that is wanted, and gives the oldest ones to `give_back` where there is no room for it.
    pub(super) fn keep(&self, lock: &LockGuard, unit: u32, bytes: usize, mut give_back: impl FnMut(u32)) {
        let most = 2 * self.limit.load(Relaxed);
        while self.total.load(Relaxed) + bytes > most {
            match self.take_oldest(lock) {
                Some(unit) => give_back(unit),
                None => break,
            }
        }
        let free = self.slots.iter().position(|slot| slot.unit.load(Relaxed) == 0);
        let at = free.unwrap_or_else(|| {
            let at = self.oldest.load(Relaxed) % SLOTS;
            self.take_oldest(lock).into_iter().for_each(&mut give_back);
            at
        });
        if let Some(slot) = self.slots.get(at) {
            slot.unit.store(unit + 1, Relaxed);
            slot.bytes.store(bytes, Relaxed);
            self.total.store(self.total.load(Relaxed) + bytes, Relaxed);
        }
    }

    /// A span that `fits`, and how many of its bytes are in memory.
    pub(super) fn take(&self, _lock: &LockGuard, fits: impl Fn(u32) -> bool) -> Option<(u32, usize)> {
        if self.total.load(Relaxed) == 0 {
            return None;
        }
        let is_fitting = |slot: &&Slot| slot.unit.load(Relaxed).checked_sub(1).is_some_and(&fits);
        self.slots.iter().find(is_fitting).and_then(|slot| self.empty(slot))
    }

    fn take_oldest(&self, _lock: &LockGuard) -> Option<u32> {
        for _ in 0..SLOTS {
            let at = self.oldest.load(Relaxed) % SLOTS;
            self.oldest.store(at + 1, Relaxed);
            if let Some((unit, _)) = self.slots.get(at).and_then(|slot| self.empty(slot)) {
                return Some(unit);
            }
        }
        None
    }

    fn empty(&self, slot: &Slot) -> Option<(u32, usize)> {
        let unit = slot.unit.swap(0, Relaxed).checked_sub(1)?;
        let bytes = slot.bytes.load(Relaxed);
        self.total.store(self.total.load(Relaxed).saturating_sub(bytes), Relaxed);
        Some((unit, bytes))
    }
}

#[cfg(test)]
mod tests {
    use heapql_ledger::TryLock;

    use super::*;

    #[test]
    fn it_keeps_as_much_as_glibc_would() {
        let (warm, lock) = (WarmSpans::new(), TryLock::new());
        let lock = lock.try_lock().expect("free");
        let mut gone = Vec::new();
        assert!(!warm.wants(&lock, 10 << 20), "the first of its size is not kept");
        for unit in 0..4 {
            assert!(warm.wants(&lock, 10 << 20));
            warm.keep(&lock, unit, 10 << 20, |unit| gone.push(unit));
        }
        assert_eq!(gone, [0, 1], "20 MiB are kept");
        assert_eq!(warm.take(&lock, |unit| unit == 3), Some((3, 10 << 20)));
        assert_eq!(warm.take(&lock, |unit| unit == 3), None);
        assert!(!warm.wants(&lock, 33 << 20) && !warm.wants(&lock, 33 << 20), "beyond the last limit nothing is");
    }

    #[test]
    fn it_keeps_a_bounded_number() {
        let (warm, lock) = (WarmSpans::new(), TryLock::new());
        let lock = lock.try_lock().expect("free");
        let mut gone = Vec::new();
        for unit in 0..12 {
            warm.keep(&lock, unit, 64 << 10, |unit| gone.push(unit));
        }
        assert_eq!(gone, [0, 1, 2, 3]);
        let kept: Vec<u32> = (4..12).filter(|&wanted| warm.take(&lock, |unit| unit == wanted).is_some()).collect();
        assert_eq!(kept, [4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(warm.total.load(Relaxed), 0);
    }
}
