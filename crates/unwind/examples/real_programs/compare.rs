//! One comparison: our frames, libgcc's, libunwind's, and what is to be said of them. It allocates nothing where a signal
//! handler may call it; what the comparisons found is in statics, which `report.rs` writes at exit.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heapql_unwind::{End, Lookup, Registers, StackBounds, StackCache, Walk, capture, capture_skipping, module_of};

use crate::oracles;
use crate::report::{self, Difference};

pub(crate) const MAX_FRAMES: usize = 256;
/// The oracles begin in this library.
const OWN_FRAMES: usize = 32;
static ROOM: AtomicUsize = AtomicUsize::new(MAX_FRAMES);

thread_local! {
    static BOUNDS: Cell<StackBounds> = const { Cell::new(StackBounds::UNKNOWN) };
    static MEMO: RefCell<(StackCache<8>, Named)> = RefCell::new((StackCache::EMPTY, Named::new()));
}

/// What was captured under each name that the cache was given.
type Named = HashMap<NonZeroU64, (Walk, Vec<usize>)>;

pub(crate) fn limit_frames(frames: usize) {
    ROOM.store(frames.min(MAX_FRAMES), Relaxed);
}

/// At a call, from the caller's frame outwards.
pub(crate) fn compare(start: Registers) {
    let mut ours = [0; MAX_FRAMES];
    let mut bounds = BOUNDS.get();
    let room = ROOM.load(Relaxed);
    let walk = capture(start, &mut bounds, &mut ours[..room]);
    BOUNDS.set(bounds);
    let ours = &ours[..walk.depth];
    judge(ours, walk.end, |frames| frames.iter().position(|pc| *pc == start.pc));
    remember(start, &mut bounds, room, ours, walk);
}

/// In a signal handler, from the kernel's signal frame outwards. `start` is the handler.
pub(crate) fn compare_interrupted(start: Registers) {
    let own = module_of(start.pc).map_or(0..0, |module| module.start..module.end);
    let mut ours = [0; MAX_FRAMES];
    let mut bounds = BOUNDS.get();
    let walk = capture_skipping(start, &own, &mut bounds, &mut ours[..ROOM.load(Relaxed)]);
    BOUNDS.set(bounds);
    judge(&ours[..walk.depth], walk.end, |frames| frames.iter().position(|pc| !own.contains(pc)));
}

/// `first` says where in an oracle's frames ours begin.
fn judge(ours: &[usize], end: End, first: impl Fn(&[usize]) -> Option<usize>) {
    let mut room = [0; MAX_FRAMES + OWN_FRAMES];
    let depth = oracles::libgcc(&mut room);
    let libgcc = from(&room[..depth], &first);
    report::COMPARED.add(1);
    report::FRAMES.add(ours.len());
    report::DEEPEST.raise(ours.len());
    report::count_end(end);
    let mut other_room = [0; MAX_FRAMES + OWN_FRAMES];
    let libunwind = oracles::libunwind(&mut other_room).map(|depth| from(&other_room[..depth], &first));
    let same = ours == libgcc;
    if let Some(libunwind) = libunwind {
        report::SECOND.add(1);
        match (ours == libunwind, same) {
            (true, false) => report::SECOND_SIDES_WITH_US.add(1),
            (false, true) => report::SECOND_ALONE.add(1),
            (false, false) if libgcc == libunwind => report::ALONE.add(1),
            _ => {}
        }
    }
    if !same {
        report::differ(Difference::of(ours, libgcc, end));
    }
}

/// Without the oracle's own frames, and without the 0 that some end with.
fn from<'a>(frames: &'a [usize], first: &impl Fn(&[usize]) -> Option<usize>) -> &'a [usize] {
    let frames = frames.get(first(frames).unwrap_or(frames.len())..).unwrap_or_default();
    let frames = frames.strip_suffix(&[0]).unwrap_or(frames);
    &frames[..frames.len().min(ROOM.load(Relaxed))]
}

/// The same capture with a cache has to give the same.
fn remember(registers: Registers, bounds: &mut StackBounds, room: usize, expected: &[usize], walk: Walk) {
    let _ = MEMO.try_with(|cache| {
        let (cache, names) = &mut *cache.borrow_mut();
        let mut frames = [0; MAX_FRAMES];
        let recall = cache.capture(registers, &(0..0), bounds, &mut frames[..room]);
        let (found, frames) = match recall {
            Lookup::Known(name) => names[&name].clone(),
            Lookup::New(walk) => (walk, frames[..walk.depth].to_vec()),
        };
        if found != walk || frames != expected {
            report::MISREMEMBERED.add(1);
        }
        match recall {
            Lookup::Known(_) => report::KNOWN.add(1),
            Lookup::New(walk) => {
                let name = NonZeroU64::new(names.len() as u64 + 1).expect("not 0");
                names.insert(name, (walk, frames));
                cache.name(name);
            }
        }
    });
}
