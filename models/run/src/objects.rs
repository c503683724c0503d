//! The sampled pool: no block is handed out twice or lost, whoever frees it; one of two frees of an object fails; memory
//! goes back to the kernel before somebody else can have it.

use core::memory;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::pool::{Pool, PoolError, Size, Tag};
use crate::{Model, at_once};

pub(crate) const MODELS: &[Model] = &[
    ("objects: one is freed while another is allocated", 2, free_and_allocate),
    ("objects: two are freed at once", 3, two_frees),
    ("objects: two threads free many, a third allocates", 1, frees_and_allocation),
    ("objects: one is freed twice at once", 3, double_free),
    ("objects: a large one is freed twice at once", 3, double_free_of_a_large_one),
    ("objects: a slab ends while another begins", 2, slab_ends),
    ("objects: a large one ends while others begin", 2, span_ends),
    ("objects: a large one is resized while another ends", 2, span_moves),
];

/// Of a slab with 2 blocks.
const HALF: usize = (32 << 10) - 16;
const LARGE: usize = 200_000;
/// Half of the range: to be had only if nothing but the first units is in use.
const HALF_OF_ALL: usize = 32 << 20;

fn pool() -> &'static Pool {
    let pool = memory::place(Pool::new());
    assert_eq!(pool.reserve().expect("address space").1, 2 * HALF_OF_ALL);
    pool
}

fn tag(callsite: u32) -> Tag {
    Tag { callsite, epoch: 1, weight: 4 }
}

fn size(bytes: usize) -> Size {
    Size { bytes, usable: bytes, align: 16 }
}

/// What a program does with its object: whoever has it is alone with it.
fn own(address: usize) {
    core::model::touch(address);
}

fn allocate(pool: &Pool, bytes: usize, callsite: u32) -> usize {
    let (object, _) = pool.allocate(0, size(bytes), tag(callsite)).expect("memory");
    let address = object.as_ptr() as usize;
    own(address);
    assert_is(pool, address, bytes, callsite);
    address
}

fn assert_is(pool: &Pool, address: usize, bytes: usize, callsite: u32) {
    let object = pool.object(address).expect("live");
    assert_eq!((object.bytes, object.tag), (bytes, tag(callsite)));
}

fn free(pool: &Pool, address: usize) -> Result<(Tag, usize), PoolError> {
    own(address);
    pool.free(address)
}

/// All blocks of a slab, and no more of them, can be had; what is freed leaves room for half of all memory.
fn assert_whole(pool: &Pool, live: &[usize]) {
    for &address in live {
        assert_eq!(pool.free(address).map(drop), Ok(()));
        assert!(pool.free(address).is_err(), "seen to be free");
    }
    let mut all: Vec<usize> = (0..40).map(|_| allocate(pool, 3_000, 9)).collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= 3_000), "handed out twice");
    for address in all {
        pool.free(address).expect("live");
    }
    let half = allocate(pool, HALF_OF_ALL, 9);
    pool.free(half).expect("live");
}

fn cell(value: usize) -> &'static AtomicUsize {
    memory::place(AtomicUsize::new(value))
}

fn free_and_allocate() {
    let pool = pool();
    let (old, kept) = (allocate(pool, 100, 1), allocate(pool, 100, 2));
    let new = [cell(0), cell(0)];
    let frees = || assert!(free(pool, old).is_ok());
    let allocates = || new.iter().for_each(|new| new.store(allocate(pool, 100, 3), Relaxed));
    at_once!(frees, allocates);
    assert_is(pool, kept, 100, 2);
    let live = [kept, new[0].load(Relaxed), new[1].load(Relaxed)];
    assert!(live[1] != live[2] && !live[1..].contains(&kept));
    assert_whole(pool, &live);
}

fn two_frees() {
    let pool = pool();
    let objects = [1, 2, 3].map(|callsite| allocate(pool, 100, callsite));
    at_once!(|| assert!(free(pool, objects[0]).is_ok()), || assert!(free(pool, objects[1]).is_ok()));
    assert_is(pool, objects[2], 100, 3);
    let mut again = [4, 5].map(|callsite| allocate(pool, 100, callsite));
    again.sort_unstable();
    assert_eq!(again, objects[..2], "none is lost, left ones included");
    assert_whole(pool, &[again[0], again[1], objects[2]]);
}

fn frees_and_allocation() {
    let pool = pool();
    let objects = [1, 2, 3, 4].map(|callsite| allocate(pool, 100, callsite));
    let new = cell(0);
    let frees = |which: [usize; 2]| move || which.iter().for_each(|&which| assert!(free(pool, which).is_ok()));
    let allocates = || {
        // The others only try the locks: nobody waits here for long.
        new.store(allocate(pool, 100, 5), Relaxed);
    };
    at_once!(frees([objects[0], objects[1]]), frees([objects[2], objects[3]]), allocates);
    assert_whole(pool, &[new.load(Relaxed)]);
}

/// Frees one object on two threads, without the program's own order between them: a bug, and one that is told.
fn free_twice(pool: &Pool, object: usize) -> u32 {
    let freed = memory::place(AtomicU32::new(0));
    let frees = || match pool.free(object) {
        Ok(_) => drop(freed.fetch_add(1, Relaxed)),
        Err(bad) => assert!(matches!(bad, PoolError::DoubleFree | PoolError::InvalidPointer)),
    };
    at_once!(frees, frees);
    freed.load(Relaxed)
}

fn double_free() {
    let pool = pool();
    let (object, kept) = (allocate(pool, 100, 1), allocate(pool, 100, 2));
    // Mostly one: the other is not told if both come while the shard is locked.
    assert!(free_twice(pool, object) >= 1);
    let again = [3, 4].map(|callsite| allocate(pool, 100, callsite));
    assert!(again[0] != again[1] && !again.contains(&kept));
    assert_whole(pool, &[kept, again[0], again[1]]);
}

fn double_free_of_a_large_one() {
    let pool = pool();
    let object = allocate(pool, LARGE, 1);
    assert_eq!(free_twice(pool, object), 1);
    let again = [3, 4].map(|callsite| allocate(pool, LARGE, callsite));
    assert_ne!(again[0], again[1]);
    assert_whole(pool, &again);
}

/// The last object of a slab goes, and its unit with it, to whoever takes the next one.
fn slab_ends() {
    let pool = pool();
    // Two slabs of two blocks, the second of which keeps the class from being without any.
    let objects = [1, 2, 3].map(|callsite| allocate(pool, HALF - 100, callsite));
    pool.free(objects[0]).expect("live");
    let new = cell(0);
    let frees = || assert!(free(pool, objects[1]).is_ok());
    let allocates = || new.store(allocate(pool, 9_000, 4), Relaxed);
    at_once!(frees, allocates);
    assert_is(pool, objects[2], HALF - 100, 3);
    assert_is(pool, new.load(Relaxed), 9_000, 4);
    assert_whole(pool, &[objects[2], new.load(Relaxed)]);
}

/// Frees while the other thread holds the lock of the spans are left to it.
fn span_ends() {
    let pool = pool();
    let [old, older, kept] = [1, 2, 3].map(|callsite| allocate(pool, LARGE, callsite));
    let new = [cell(0), cell(0), cell(0)];
    let frees = || assert!(free(pool, old).is_ok() && free(pool, older).is_ok());
    let allocates = || {
        for (new, bytes) in new.iter().zip([LARGE, LARGE, 100]) {
            new.store(allocate(pool, bytes, 4), Relaxed);
        }
    };
    at_once!(frees, allocates);
    let live = [kept, new[0].load(Relaxed), new[1].load(Relaxed), new[2].load(Relaxed)];
    assert_is(pool, live[0], LARGE, 3);
    assert_is(pool, live[1], LARGE, 4);
    assert_is(pool, live[2], LARGE, 4);
    assert_is(pool, live[3], 100, 4);
    for object in live {
        pool.free(object).expect("live");
    }
    // All of the range but the unit of a slab that stays: none of those that were left is lost.
    let spans = (0..).map_while(|_| pool.allocate(0, size(LARGE), tag(5)).ok());
    assert_eq!(spans.count(), 2 * HALF_OF_ALL / LARGE.next_power_of_two() - 1);
}

fn span_moves() {
    let pool = pool();
    let (old, resized) = (allocate(pool, LARGE, 1), allocate(pool, 40_000, 2));
    let new = cell(0);
    let resizes = || {
        own(resized);
        let moved = pool.resize_large(resized, size(LARGE), tag(3)).expect("memory").as_ptr() as usize;
        assert_is(pool, moved, LARGE, 3);
        new.store(moved, Relaxed);
    };
    at_once!(|| assert!(free(pool, old).is_ok()), resizes);
    assert_whole(pool, &[new.load(Relaxed)]);
}
