//! From a stack's hash to its place in the ledger, in memory private to the target.
//!
//! Private, so that a hostile or broken reader cannot lead the target astray: offsets that the target follows never come
//! from the shared file. An open-addressing table that is read without a lock and written under the writer's; it grows by
//! a larger copy, and the smaller ones stay mapped for readers still in them (together less than the newest).

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};

use crate::sys;

const FIRST_CAPACITY: usize = 1024;
const LAST_CAPACITY: usize = 1 << 24;

/// `hash` 0 is free. `value` is stored before `hash`, with Release, and neither changes afterwards.
#[repr(C)]
struct Entry {
    hash: AtomicU64,
    value: AtomicU64,
}

#[repr(C)]
struct Table {
    capacity: usize,
    mapped: usize,
    older: *mut Table,
    /// Right behind the table, in its mapping.
    entries: *const Entry,
}

impl Table {
    fn entries(&self) -> &[Entry] {
        // SAFETY: `Table::map` mapped room for `capacity` entries behind the header, zeroed, which is a valid `Entry`.
        unsafe { core::slice::from_raw_parts(self.entries, self.capacity) }
    }

    fn map(capacity: usize, older: *mut Table) -> Option<&'static Table> {
        let mapped = size_of::<Table>() + capacity * size_of::<Entry>();
        // SAFETY: a fresh mapping at a place the kernel picks.
        let table = unsafe { sys::map(None, mapped, None) }.ok()?.cast::<Table>();
        // SAFETY: the mapping is page-aligned, zeroed, large enough and ours alone.
        unsafe {
            (*table).capacity = capacity;
            (*table).mapped = mapped;
            (*table).older = older;
            (*table).entries = table.add(1).cast();
            Some(&*table)
        }
    }

    /// The entry of `hash`, or the free one where it would stand. A table is never full, so there is one.
    fn find(&self, hash: u64) -> Option<(&Entry, bool)> {
        let entries = self.entries();
        let mask = self.capacity - 1;
        let mut at = hash as usize & mask;
        for _ in 0..self.capacity {
            let entry = entries.get(at)?;
            match entry.hash.load(Acquire) {
                0 => return Some((entry, false)),
                found if found == hash => return Some((entry, true)),
                _ => at = (at + 1) & mask,
            }
        }
        None
    }
}

/// Two 32-bit values per 64-bit hash. Hashes are taken as unique: at 2^20 stacks two agree once in 30 million processes.
pub(crate) struct Index {
    table: AtomicPtr<Table>,
    used: AtomicUsize,
}

impl Index {
    pub(crate) const fn new() -> Self {
        Self { table: AtomicPtr::new(null_mut()), used: AtomicUsize::new(0) }
    }

    fn table(&self) -> Option<&Table> {
        // SAFETY: null or a table of `Table::map`, which stays mapped until `clear`.
        unsafe { self.table.load(Acquire).as_ref() }
    }

    /// Lock-free.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<(u32, u32)> {
        let (entry, found) = self.table()?.find(hash.max(1))?;
        let value = entry.value.load(Relaxed);
        found.then_some(((value >> 32) as u32, value as u32))
    }

    /// Under the writer's lock. `false` if there is no memory for it: the entry is then found again as missing.
    pub(crate) fn insert(&self, hash: u64, value: (u32, u32)) -> bool {
        let Some(table) = self.room() else {
            return false;
        };
        let Some((entry, false)) = table.find(hash.max(1)) else {
            return false;
        };
        entry.value.store((u64::from(value.0) << 32) | u64::from(value.1), Relaxed);
        entry.hash.store(hash.max(1), Release);
        self.used.fetch_add(1, Relaxed);
        true
    }

    /// A table at most half full.
    fn room(&self) -> Option<&Table> {
        let Some(table) = self.table() else {
            let table = Table::map(FIRST_CAPACITY, null_mut())?;
            self.table.store(core::ptr::from_ref(table).cast_mut(), Release);
            return Some(table);
        };
        if self.used.load(Relaxed) * 2 < table.capacity {
            return Some(table);
        }
        if table.capacity >= LAST_CAPACITY {
            return None;
        }
        let larger = Table::map(table.capacity * 2, core::ptr::from_ref(table).cast_mut())?;
        for entry in table.entries() {
            let hash = entry.hash.load(Relaxed);
            if hash == 0 {
                continue;
            }
            let (place, _) = larger.find(hash)?;
            place.value.store(entry.value.load(Relaxed), Relaxed);
            place.hash.store(hash, Relaxed);
        }
        self.table.store(core::ptr::from_ref(larger).cast_mut(), Release);
        Some(larger)
    }

    /// Forgets everything and unmaps it.
    ///
    /// # Safety
    /// No other thread may be in any method of this index.
    pub(crate) unsafe fn clear(&self) {
        let mut table = self.table.swap(null_mut(), AcqRel);
        self.used.store(0, Relaxed);
        while !table.is_null() {
            // SAFETY: a table of `Table::map` that the caller says nobody is using.
            let (older, mapped) = unsafe { ((*table).older, (*table).mapped) };
            // SAFETY: as above; it is not reachable from `self` any more.
            unsafe { sys::unmap(table.cast(), mapped) };
            table = older;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_inserted_through_every_growth() {
        let index = Index::new();
        let hash = |i: u32| u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(index.get(hash(1)), None);
        // Miri is a thousand times slower.
        let count = if cfg!(miri) { 1_500 } else { 50_000 };
        for i in 0..count {
            assert!(index.insert(hash(i), (i, i ^ 7)));
        }
        for i in 0..count {
            assert_eq!(index.get(hash(i)), Some((i, i ^ 7)));
        }
        assert_eq!(index.get(hash(count)), None);
        // SAFETY: no other thread knows `index`.
        unsafe { index.clear() };
        assert_eq!(index.get(hash(1)), None);
        assert!(index.insert(hash(1), (1, 1)), "usable again");
        // SAFETY: as above.
        unsafe { index.clear() };
    }
}
