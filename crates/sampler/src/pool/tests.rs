//! The pool against a model: what is live keeps its bytes, its size and its tag, and nothing overlaps.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A pool that gives its addresses back: there is room for about a hundred.
struct Fresh(&'static Pool);

impl std::ops::Deref for Fresh {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        self.0
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.0.range.give_up();
    }
}

fn pool() -> Fresh {
    let pool = Box::leak(Box::new(Pool::new()));
    pool.reserve().expect("address space");
    Fresh(pool)
}

fn size(bytes: usize, align: usize) -> Size {
    Size { bytes, usable: bytes, align }
}

fn tag(callsite: u32) -> Tag {
    Tag { callsite, epoch: 3, weight: callsite as u16 ^ 0x55aa }
}

fn bytes_at(address: usize, bytes: usize) -> &'static mut [u8] {
    // SAFETY: tests pass live objects only.
    unsafe { std::slice::from_raw_parts_mut(address as *mut u8, bytes) }
}

/// The bytes of memory that the first GiB of the pool takes.
fn resident_bytes(pool: &Pool) -> usize {
    // SAFETY: reads what the kernel passed to the process.
    let page_bytes = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    let pages = (0..(1 << 30) / page_bytes).filter(|page| {
        let mut state = 0_u8;
        let page = pool.range.address(0).wrapping_add(page * page_bytes);
        // SAFETY: there is a byte for one page; where nothing is mapped the call fails.
        let failed = unsafe { libc::mincore(page.cast(), page_bytes, &raw mut state) };
        failed == 0 && state & 1 == 1
    });
    pages.count() * page_bytes
}

#[derive(Clone, Debug)]
enum Step {
    Allocate {
        bytes: usize,
        align: usize,
        shard: usize,
    },
    Free {
        which: usize,
    },
    Resize {
        which: usize,
        bytes: usize,
    },
    /// To a part of what is usable, in 256ths.
    Retag {
        which: usize,
        part: usize,
    },
    /// An address that is no object's, so far behind one's beginning.
    FreeWrongly {
        which: usize,
        behind: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![
        16 => 0..600_usize,
        8 => 0..40_000_usize,
        4 => 30_000..3_000_000_usize,
        1 => 3_000_000..=16_usize << 20,
    ];
    let align = prop_oneof![6 => Just(16_usize), 1 => (0..17_u32).prop_map(|log| 1 << log)];
    let which = any::<usize>;
    let step = prop_oneof![
        10 => (bytes.clone(), align, 0..SHARDS).prop_map(|(bytes, align, shard)| Step::Allocate { bytes, align, shard }),
        8 => which().prop_map(|which| Step::Free { which }),
        2 => (which(), bytes).prop_map(|(which, bytes)| Step::Resize { which, bytes }),
        2 => (which(), 0..=256_usize).prop_map(|(which, part)| Step::Retag { which, part }),
        1 => (which(), 1..70_000_usize).prop_map(|(which, behind)| Step::FreeWrongly { which, behind }),
    ];
    prop::collection::vec(step, 1..400)
}

/// Live objects by address.
type Model = BTreeMap<usize, Live>;

#[derive(Clone, Copy)]
struct Live {
    bytes: usize,
    callsite: u32,
    /// The byte that all usable bytes are filled with.
    fill: u8,
}

fn nth(model: &Model, which: usize) -> Option<usize> {
    model.keys().nth(which.checked_rem(model.len())?).copied()
}

/// A live object is what it was, and its bytes are; returns how many of them it may use.
fn check(pool: &Pool, address: usize, live: Live) -> usize {
    let object = pool.object(address).expect("live");
    assert_eq!((object.bytes, object.tag), (live.bytes, tag(live.callsite)));
    assert!(object.usable >= live.bytes);
    assert!(bytes_at(address, object.usable).iter().all(|&byte| byte == live.fill));
    object.usable
}

/// Puts an object into the model, and uses all of it: none of the others may notice.
fn begin(pool: &Pool, model: &mut Model, address: usize, live: Live) {
    let usable = pool.object(address).expect("live").usable;
    let end = |at: usize| at + pool.object(at).expect("live").usable.max(1);
    let (before, after) = (model.range(..=address).next_back(), model.range(address..).next());
    assert!(before.is_none_or(|(&at, _)| end(at) <= address), "overlaps the one before");
    assert!(after.is_none_or(|(&at, _)| address + usable <= at), "overlaps the one behind");
    bytes_at(address, usable).fill(live.fill);
    model.insert(address, live);
}

fn run(pool: &Pool, model: &mut Model, number: u32, step: &Step) {
    let fill = number as u8 | 1;
    match *step {
        Step::Allocate { bytes, align, shard } => {
            let (object, zero) = pool.allocate(shard, size(bytes, align), tag(number)).expect("memory");
            let address = object.as_ptr() as usize;
            assert!(address.is_multiple_of(align.max(GRAIN)));
            assert!(!zero || bytes_at(address, bytes).iter().all(|&byte| byte == 0));
            begin(pool, model, address, Live { bytes, callsite: number, fill });
        }
        Step::Free { which } => {
            let Some(address) = nth(model, which) else { return };
            let live = model.remove(&address).expect("there");
            check(pool, address, live);
            assert_eq!(pool.free(address), Ok((tag(live.callsite), live.bytes)));
            assert!(pool.free(address).is_err(), "a second free is seen");
        }
        Step::Resize { which, bytes } => {
            let Some(address) = nth(model, which) else { return };
            let live = model[&address];
            let Some(moved) = pool.resize_large(address, size(bytes, 16), tag(number)) else {
                check(pool, address, live);
                return;
            };
            model.remove(&address);
            let moved = moved.as_ptr() as usize;
            assert!(bytes_at(moved, bytes.min(live.bytes)).iter().all(|&byte| byte == live.fill));
            begin(pool, model, moved, Live { bytes, callsite: number, fill });
        }
        Step::Retag { which, part } => {
            let Some(address) = nth(model, which) else { return };
            let bytes = check(pool, address, model[&address]) * part / 256;
            pool.retag(address, tag(number), size(bytes, 16));
            model.insert(address, Live { bytes, callsite: number, ..model[&address] });
            check(pool, address, model[&address]);
        }
        Step::FreeWrongly { which, behind } => {
            let Some(wrong) = nth(model, which).map(|address| address + behind) else { return };
            if !model.contains_key(&wrong) {
                assert!(pool.free(wrong).is_err(), "no object begins there");
            }
        }
    }
}

/// Units of spans in use.
fn used_units(pool: &Pool) -> Vec<&Unit> {
    let units = (0..pool.range.unit_count()).filter_map(|number| pool.range.unit(number));
    units.filter(|unit| unit.what().is_slab() || unit.what().is_large()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn objects_never_overlap_and_keep_what_they_hold(steps in steps()) {
        let pool = pool();
        let mut model = Model::new();
        for (number, step) in steps.iter().enumerate() {
            run(&pool, &mut model, number as u32, step);
        }
        for (&address, &live) in &model {
            check(&pool, address, live);
        }
        for &address in model.keys() {
            prop_assert!(pool.free(address).is_ok());
        }
        // Every shard may keep one empty slab of each class; all else has gone back.
        let mut kept: Vec<_> = used_units(&pool).iter().map(|unit| (unit.what().shard(), unit.what().class())).collect();
        prop_assert!(used_units(&pool).iter().all(|unit| unit.what().is_slab() && unit.low.load(Relaxed) == 0));
        kept.sort_unstable();
        prop_assert!(kept.windows(2).all(|pair| pair[0] != pair[1]), "{kept:?}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let pool = pool();
    let (object, _) = pool.allocate(0, size(100, 16), tag(1)).expect("memory");
    let (large, _) = pool.allocate(0, size(100_000, 16), tag(1)).expect("memory");
    let (object, large) = (object.as_ptr() as usize, large.as_ptr() as usize);
    for wrong in [object + 8, object + 16, large + 16, large + UNIT_BYTES, object & !(UNIT_BYTES - 1), 0x1000] {
        assert_eq!(pool.free(wrong), Err(PoolError::InvalidPointer), "{wrong:x}");
    }
    assert!(pool.free(object).is_ok() && pool.free(large).is_ok());
}

#[test]
fn a_program_that_writes_to_freed_memory_does_not_lead_the_pool_astray() {
    let pool = pool();
    let objects: Vec<usize> =
        (0..500).map(|_| pool.allocate(0, size(48, 16), tag(1)).expect("memory").0.as_ptr() as usize).collect();
    for &object in &objects {
        pool.free(object).expect("live");
        bytes_at(object - GRAIN, 64).fill(0xee);
    }
    let again: std::collections::BTreeSet<usize> =
        (0..500).map(|_| pool.allocate(0, size(48, 16), tag(2)).expect("memory").0.as_ptr() as usize).collect();
    assert_eq!(again.len(), 500, "no block is handed out twice");
}

#[test]
fn memory_goes_back_when_objects_are_gone() {
    let pool = pool();
    for round in 0..3 {
        let sizes = [64, 700, 9_000, 200_000];
        let objects: Vec<usize> = (0..4_000)
            .map(|i| {
                let bytes = sizes[i % sizes.len()];
                let object = pool.allocate(i % SHARDS, size(bytes, 16), tag(1)).expect("memory").0.as_ptr() as usize;
                bytes_at(object, bytes).fill(1);
                object
            })
            .collect();
        assert!(resident_bytes(&pool) > 150 << 20);
        for object in objects {
            pool.free(object).expect("live");
        }
        let left = resident_bytes(&pool);
        assert!(left < 16 << 20, "round {round}: {left} bytes stay");
    }
}

#[test]
fn memory_goes_back_when_a_large_object_shrinks() {
    let pool = pool();
    let first = pool.allocate(0, size(64 << 20, 16), tag(1)).expect("memory").0.as_ptr() as usize;
    bytes_at(first, 64 << 20).fill(1);
    pool.retag(first, tag(2), size(40 << 20, 16));
    assert!(resident_bytes(&pool) < 41 << 20);
    let same = pool.resize_large(first, size(100_000, 16), tag(3)).expect("it stays").as_ptr() as usize;
    assert!(resident_bytes(&pool) < 1 << 20);
    assert_eq!((same, pool.object(same).map(|object| object.bytes)), (first, Ok(100_000)));
    assert!(bytes_at(same, 100_000).iter().all(|&byte| byte == 1));
}

#[test]
fn threads_may_free_what_others_allocated() {
    let own = pool();
    let pool = own.0;
    let (send, receive) = std::sync::mpsc::sync_channel::<usize>(1_000);
    std::thread::scope(|scope| {
        for shard in 0..3 {
            let send = send.clone();
            scope.spawn(move || {
                for i in 0..20_000_usize {
                    let bytes = 16 + i % 3_000;
                    let object = pool.allocate(shard, size(bytes, 16), tag(9)).expect("memory").0.as_ptr() as usize;
                    bytes_at(object, bytes).fill(shard as u8);
                    send.send(object).expect("received");
                }
            });
        }
        drop(send);
        for object in receive {
            let bytes = pool.object(object).expect("live").bytes;
            assert!(bytes_at(object, bytes).windows(2).all(|pair| pair[0] == pair[1]));
            pool.free(object).expect("live");
        }
    });
}
