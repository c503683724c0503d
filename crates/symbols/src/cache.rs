//! Resolved addresses, kept up to a bound in bytes. Called by `resolve` under its lock.
//!
//! There are two generations. An entry that is found in the old one moves to the young one. When the young one has half of
//! the bound, the old one is dropped and the young one becomes the old. So entries in use stay, nothing is searched for, and
//! the bound holds.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use crate::Resolution;

/// The number of a file, and an address in it.
pub(crate) type Key = (u64, u64);

/// Overhead per entry in bytes: key, pointer, counters and load-factor slack.
const ENTRY_BYTES: usize = 96;

pub(crate) struct Cache {
    young: HashMap<Key, Arc<Resolution>>,
    old: HashMap<Key, Arc<Resolution>>,
    young_bytes: usize,
    old_bytes: usize,
    bound: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) evictions: u64,
}

impl Cache {
    pub(crate) fn new(bound: usize) -> Cache {
        let (young, old) = Default::default();
        Cache { young, old, young_bytes: 0, old_bytes: 0, bound, hits: 0, misses: 0, evictions: 0 }
    }

    pub(crate) fn get(&mut self, key: Key) -> Option<Arc<Resolution>> {
        if let Some(found) = self.young.get(&key) {
            self.hits += 1;
            return Some(found.clone());
        }
        let Some(found) = self.old.remove(&key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.old_bytes -= bytes(&found);
        self.insert(key, found.clone());
        Some(found)
    }

    pub(crate) fn insert(&mut self, key: Key, resolved: Arc<Resolution>) {
        let added = bytes(&resolved);
        if added > self.bound / 2 {
            self.evictions += 1;
            return;
        }
        if self.young_bytes + added > self.bound / 2 {
            self.evictions += self.old.len() as u64;
            self.old = mem::take(&mut self.young);
            self.old_bytes = mem::take(&mut self.young_bytes);
        }
        if let Some(before) = self.young.insert(key, resolved) {
            self.young_bytes -= bytes(&before);
        }
        self.young_bytes += added;
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }
}

/// Text that several results share is counted for each.
fn bytes(resolved: &Resolution) -> usize {
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len() + 16);
    let frames: usize = resolved.frames.iter().map(|f| size_of_val(f) + text(&f.function) + text(&f.file)).sum();
    ENTRY_BYTES + size_of::<Resolution>() + frames + text(&resolved.note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SymbolFrame;

    fn resolved(name: &str) -> Arc<Resolution> {
        let frame = SymbolFrame { function: Some(name.into()), file: None, line: None, is_inline: false };
        Arc::new(Resolution { frames: vec![frame], note: None })
    }

    #[test]
    fn never_more_than_the_bound() {
        let mut cache = Cache::new(20_000);
        for i in 0..10_000 {
            cache.insert((1, i), resolved("a name of some length"));
            assert!(cache.bytes() <= 20_000);
        }
        let counted: usize = cache.young.values().chain(cache.old.values()).map(|r| bytes(r)).sum();
        assert_eq!(counted, cache.bytes());
        assert_eq!(cache.evictions as usize, 10_000 - cache.len());
        assert!(cache.len() > 20);
        cache.insert((2, 0), resolved(&"x".repeat(20_000)));
        assert!(cache.get((2, 0)).is_none());
    }

    #[test]
    fn what_is_used_stays() {
        let mut cache = Cache::new(20_000);
        cache.insert((7, 7), resolved("kept"));
        for i in 0..10_000 {
            cache.insert((1, i), resolved("passing"));
            assert!(cache.get((7, 7)).is_some(), "gone after {i}");
        }
        assert!(cache.get((1, 0)).is_none());
    }
}
