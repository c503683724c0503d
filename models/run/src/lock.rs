//! [`TryLock`]: one holder at a time, who sees all that the holders before did.

use core::memory;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use heapql_ledger::TryLock;

use crate::{Model, at_once};

pub(crate) const MODELS: &[Model] =
    &[("lock: waited for by one", 4, waited_for), ("lock: tried by three", 3, tried_by_three)];

fn count(lock: &TryLock, counter: &AtomicU32, wait: bool) -> u32 {
    let held = if wait { lock.lock() } else { lock.try_lock() };
    let Some(_held) = held else {
        assert!(!wait, "a wait ends when the holder has gone");
        return 0;
    };
    core::model::touch(core::ptr::from_ref(counter) as usize);
    counter.store(counter.load(Relaxed) + 1, Relaxed);
    1
}

/// Two threads: of more, those that wait can go on among themselves for ever, which only a fair kernel ends.
fn waited_for() {
    let (lock, counter) = (memory::place(TryLock::new()), memory::place(AtomicU32::new(0)));
    let add = || assert_eq!([count(lock, counter, true), count(lock, counter, true)], [1, 1]);
    at_once!(add, add);
    assert_eq!(counter.load(Relaxed), 4);
    assert!(lock.try_lock().is_some());
}

fn tried_by_three() {
    let (lock, counter) = (memory::place(TryLock::new()), memory::place(AtomicU32::new(0)));
    let entered = memory::place(AtomicU32::new(0));
    let add = || {
        let added = count(lock, counter, false);
        entered.fetch_add(added, Relaxed);
    };
    at_once!(add, add, add);
    assert!(entered.load(Relaxed) >= 1, "somebody gets in");
    assert_eq!(counter.load(Relaxed), entered.load(Relaxed));
}
