//! What a capture costs: `cost` prints nanoseconds, `cost N` takes N captures of 16 frames for an instruction counter
//! (`valgrind --tool=callgrind --toggle-collect='*measured*' cost 1000`).

use std::hint::black_box;
use std::num::NonZeroU64;
use std::time::Instant;

use heapql_unwind::{Lookup, Registers, StackBounds, StackCache, capture, modules_changed};

/// Calls `then` with `depth` frames of three sorts above it.
#[inline(never)]
fn descend(depth: usize, then: &mut dyn FnMut()) -> usize {
    let local = black_box([depth; 5]);
    match depth {
        0 => then(),
        depth if depth % 2 == 0 => return sideways(depth - 1, then) + local[0],
        depth => return descend(depth - 1, then) + local[1],
    }
    local[2]
}

#[inline(never)]
fn sideways(depth: usize, then: &mut dyn FnMut()) -> usize {
    let large = black_box([depth; 40]);
    descend(depth.saturating_sub(1), then) + large[7]
}

#[inline(never)]
fn measured(times: usize, bounds: &mut StackBounds, frames: &mut [usize]) -> usize {
    let start = Registers::here();
    (0..times).map(|_| black_box(capture(black_box(start), bounds, frames)).depth).sum()
}

#[inline(never)]
fn measured_memo(times: usize, cache: &mut StackCache<8>, bounds: &mut StackBounds, frames: &mut [usize]) -> usize {
    let start = Registers::here();
    let mut known = 0;
    for _ in 0..times {
        match black_box(cache.capture(black_box(start), &(0..0), bounds, frames)) {
            Lookup::Known(_) => known += 1,
            Lookup::New(_) => cache.name(NonZeroU64::MIN),
        }
    }
    known
}

fn nanoseconds(times: usize, mut work: impl FnMut(usize)) -> f64 {
    work(times / 10);
    let rounds = (0..7).map(|_| {
        let start = Instant::now();
        work(times);
        start.elapsed().as_nanos() as f64 / times as f64
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn main() {
    modules_changed();
    let counted = std::env::args().nth(1).and_then(|times| times.parse().ok());
    descend(64, &mut || {
        let mut bounds = StackBounds::UNKNOWN;
        if let Some(times) = counted {
            measured(10, &mut bounds, &mut [0; 16]);
            measured_memo(times, &mut { StackCache::EMPTY }, &mut bounds, &mut [0; 16]);
            println!("{}", measured(times, &mut bounds, &mut [0; 16]));
            return;
        }
        for depth in [1, 16, 32] {
            let mut frames = vec![0; depth];
            let cached = nanoseconds(200_000, |times| {
                black_box(measured(times, &mut bounds, &mut frames));
            });
            println!("{depth} frames: {cached:.0} ns, {:.1} ns a frame", cached / depth as f64);
            let mut cache = StackCache::EMPTY;
            let repeated = nanoseconds(200_000, |times| {
                black_box(measured_memo(times, &mut cache, &mut bounds, &mut frames));
            });
            println!("{depth} frames, as last time: {repeated:.0} ns, {:.1} ns a frame", repeated / depth as f64);
        }
        let mut frames = [0; 16];
        let uncached = nanoseconds(2_000, |times| {
            for _ in 0..times {
                modules_changed();
                black_box(measured(1, &mut bounds, &mut frames));
            }
        });
        println!("16 frames, none known: {uncached:.0} ns, {:.0} ns a frame", uncached / 16.0);
        let found = nanoseconds(2_000, |times| {
            for _ in 0..times {
                black_box(StackBounds::find(Registers::here().sp));
            }
        });
        println!("stack bounds: {found:.0} ns");
        let theirs = nanoseconds(2_000, |times| {
            for _ in 0..times {
                let mut depth = 0;
                // SAFETY: one thread, and nothing is symbolised.
                unsafe {
                    backtrace::trace_unsynchronized(|frame| {
                        black_box(frame.ip());
                        depth += 1;
                        depth < 18
                    });
                }
            }
        });
        println!("libgcc, 16 frames: {theirs:.0} ns");
    });
}
