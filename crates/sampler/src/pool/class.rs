//! Sizes of blocks: which class serves a request, and how large its blocks are. It holds no memory. Called by `slab`.

use super::{GRAIN, LARGEST_BLOCK};

/// Headers included: steps of 16 up to 128, then four to each power of two, so that at most a fifth is waste.
pub(super) const CLASSES: usize = 7 + 4 * 8;
/// A power of two of sizes, so that an index need not be checked.
const SIZES: [u16; 64] = sizes();
/// Up to here the steps are of one grain.
const FINE: usize = 128;

const fn sizes() -> [u16; 64] {
    let mut sizes = [0; 64];
    let mut size: u16 = 2 * GRAIN as u16;
    let mut at = 0;
    while at < CLASSES {
        sizes[at] = size;
        size += if size < FINE as u16 { GRAIN as u16 } else { 1 << (size.ilog2() - 2) };
        at += 1;
    }
    assert!(sizes[CLASSES - 1] as usize == LARGEST_BLOCK);
    sizes
}

/// The smallest class whose blocks hold `bytes`, which is at most [`LARGEST_BLOCK`].
#[inline(always)]
pub(super) fn class_of(bytes: usize) -> usize {
    let last = bytes.max(2 * GRAIN) - 1;
    if last < FINE {
        return last / GRAIN - 1;
    }
    let octave = last.ilog2();
    (last >> (octave - 2)) + 4 * octave as usize - 25
}

/// 0 for a class there is not.
#[inline(always)]
pub(super) fn size_of_class(class: usize) -> usize {
    SIZES.get(class % SIZES.len()).map_or(0, |&size| size as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_smallest_that_holds_a_request_and_wastes_at_most_a_fifth() {
        for bytes in 1..=LARGEST_BLOCK {
            let class = class_of(bytes);
            let size = size_of_class(class);
            assert!(size >= bytes && size.is_multiple_of(GRAIN), "{bytes} in {size}");
            assert!(class == 0 || size_of_class(class - 1) < bytes, "{bytes} fits into a smaller one");
            assert!(bytes < FINE || (size - bytes) * 5 <= size, "{bytes} in {size}");
        }
    }
}
