//! The sizes of the next allocator's objects, so that a sample says of itself what such an object would.
//!
//! glibc's follow from its source. Other allocators are asked: by `nallocx` (jemalloc, tcmalloc) where they have it, else by
//! allocating an object of the size and asking for its usable bytes. It keeps no object. Called by `due` and, through it, by the
//! recorder.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use heapql_sampler::hook::{self, Underlying};

use crate::next;

pub(crate) static UNDERLYING: Underlying = Underlying { usable_bytes, resized };

/// A chunk of glibc's: a header of 8 bytes, then the object; a multiple of 16 bytes, at least 32.
const CHUNK_HEADER: usize = 8;
const CHUNK_GRAIN: usize = 16;
const LEAST_CHUNK: usize = 32;
/// glibc maps a chunk of this size, with one more header, until the program has freed such a one: that raises the threshold.
const MAP_THRESHOLD: usize = 128 << 10;

/// Sizes up to here, in steps, are asked for once each.
const LARGEST_PROBED: usize = 32 << 10;
const STEP: usize = 8;
/// The usable size plus one; 0 is unknown. Two threads that ask at once get the same answer.
static PROBED: [AtomicU32; LARGEST_PROBED / STEP + 1] = [const { AtomicU32::new(0) }; LARGEST_PROBED / STEP + 1];

/// Larger sizes that were asked for last: the size, and above it in so many bits how many more bytes are usable.
const MORE_BITS: u32 = 24;
static LARGE_PROBED: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

fn usable_bytes(bytes: usize) -> usize {
    if next::is_glibc() { of_glibc(bytes) } else { of_another(bytes).max(bytes) }
}

fn resized(usable: usize, bytes: usize) -> Option<usize> {
    if bytes > usable {
        return None;
    }
    if next::is_glibc() {
        // What fits stays, and loses its end if that makes a chunk of its own.
        let needed = of_glibc(bytes).min(usable);
        return Some(if usable - needed >= LEAST_CHUNK { needed } else { usable });
    }
    // jemalloc moves what comes to be of another class; others move what would waste more than half.
    let stays = if next::is_jemalloc() { of_another(bytes) == usable } else { bytes >= usable / 2 };
    stays.then_some(usable)
}

fn of_glibc(bytes: usize) -> usize {
    let chunk = bytes.saturating_add(CHUNK_HEADER).checked_next_multiple_of(CHUNK_GRAIN).unwrap_or(bytes);
    if chunk < MAP_THRESHOLD {
        return chunk.max(LEAST_CHUNK) - CHUNK_HEADER;
    }
    let mapped = chunk.saturating_add(CHUNK_HEADER).checked_next_multiple_of(hook::page_bytes());
    mapped.map_or(bytes, |mapped| mapped - 2 * CHUNK_HEADER)
}

fn of_another(bytes: usize) -> usize {
    if !next::tells_sizes() {
        return bytes;
    }
    if let Some(usable) = next::nallocx(bytes.max(1)) {
        return usable;
    }
    match PROBED.get(bytes.div_ceil(STEP)) {
        Some(known) => match known.load(Relaxed) {
            0 => {
                let usable = probe(bytes.next_multiple_of(STEP));
                known.store(u32::try_from(usable).map_or(0, |usable| usable + 1), Relaxed);
                usable
            }
            usable => usable as usize - 1,
        },
        None => of_another_large(bytes),
    }
}

fn of_another_large(bytes: usize) -> usize {
    let place = bytes.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (usize::BITS - LARGE_PROBED.len().ilog2());
    let known = LARGE_PROBED.get(place).map_or(0, |known| known.load(Relaxed)) as usize;
    if known >> MORE_BITS == bytes {
        return bytes + (known & ((1 << MORE_BITS) - 1));
    }
    let usable = probe(bytes);
    let more = usable.saturating_sub(bytes);
    if more >> MORE_BITS == 0
        && bytes >> (usize::BITS - MORE_BITS) == 0
        && let Some(known) = LARGE_PROBED.get(place)
    {
        known.store((bytes << MORE_BITS | more) as u64, Relaxed);
    }
    usable
}

#[cold]
fn probe(bytes: usize) -> usize {
    // SAFETY: any size is allowed.
    let object = unsafe { next::malloc(bytes) };
    if object.is_null() {
        return bytes;
    }
    // SAFETY: a fresh object of the next allocator's, which nobody else knows.
    let usable = unsafe { next::malloc_usable_size(object) };
    // SAFETY: as above.
    unsafe { next::free(object) };
    usable
}
