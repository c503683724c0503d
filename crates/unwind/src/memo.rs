//! The last stacks of a thread, so that one that comes again is verified instead of unwound.
//!
//! A step depends on the rule for a return address, on rsp, and on the words that it reads: the return address, and
//! where rbp is part of a canonical frame address also the word that rbp came from. If two walks begin at the same pc
//! and rsp, the rules have not changed, and each of those words still holds what it held, then by induction the stacks
//! are the same. That is four or five instructions a word, none of which waits for another.
//!
//! It keeps nothing that it would have to be told about: rules that are found again (`modules_changed`), another stack
//! or room for another number of frames make a stack count as new. It is not shared: the caller keeps one for each
//! thread, as it keeps the bounds. Stacks that are the
//! same in part are not put together from parts: that was tried, and its bookkeeping cost about as much as the table
//! look-ups that it saved (45 instructions a frame; compiling C++, 1,700 a stack where unwinding takes 900).

use core::num::NonZeroU64;
use core::ops::Range;

use crate::arch::{Registers, State, Step, Trace};
use crate::bounds::StackBounds;
use crate::cache;
use crate::stack::{Stack, WORD};
use crate::walk::{End, Walk, Walker};

/// The last stacks of a thread, at most `STACKS`, a power of two, of [`Memo::BYTES`] bytes each.
///
/// A value whose bytes are all 0 is [`Memo::EMPTY`], so it can be thread-local storage that needs no initialiser.
#[derive(Debug)]
#[repr(C)]
pub struct Memo<const STACKS: usize> {
    stacks: [Known; STACKS],
    /// The index of the stack that was captured last.
    last: usize,
}

/// What a capture with a [`Memo`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Recall {
    /// A stack that was captured before, and given this name. The frames were not written.
    Known(NonZeroU64),
    /// The frames were written. [`Memo::name`] makes it known the next time.
    New(Walk),
}

const WORDS: usize = 64;
const UNROLLED: usize = 4;
const NOT_VERIFIABLE: usize = usize::MAX;

/// A stack, and what it depends on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Known {
    /// 0 if it cannot be verified, or was not named.
    name: u64,
    /// What it is right for: these rules, ...
    generation: u64,
    /// ... the stack that ends here, room for so many frames, and a walk that begins so.
    high: usize,
    room: usize,
    pc: usize,
    sp: usize,
    bp: usize,
    /// All ones if rbp matters, else 0.
    bp_matters: usize,
    /// How many chunks of words there are, [`NOT_VERIFIABLE`] if it does not only depend on words.
    chunks: usize,
    /// Distances of words from `sp`, all multiples of 8 below `high - sp`, and what the words held.
    distances: [u32; WORDS],
    values: [usize; WORDS],
}

impl<const STACKS: usize> Memo<STACKS> {
    pub const BYTES: usize = size_of::<Known>();
    pub const EMPTY: Memo<STACKS> = {
        assert!(STACKS.is_power_of_two());
        Memo { stacks: [Known::NONE; STACKS], last: 0 }
    };

    /// As [`crate::capture_skipping`], if the stack is not known. `start` is the innermost frame, or one in `skip`.
    #[inline]
    pub fn capture(
        &mut self,
        start: Registers,
        skip: &Range<usize>,
        bounds: &mut StackBounds,
        frames: &mut [usize],
    ) -> Recall {
        self.last = index(&start, STACKS);
        let Some(known) = self.stacks.get_mut(self.last) else {
            return Recall::New(Walk { depth: 0, end: End::Full });
        };
        if let Some(name) = NonZeroU64::new(known.name)
            && known.is_for(&start, bounds, frames.len())
            && known.is_unchanged()
        {
            return Recall::Known(name);
        }
        Recall::New(known.capture(start, skip, bounds, frames))
    }

    /// Names the stack that was captured last: what [`Memo::capture`] answers when it comes again. Without effect if it
    /// cannot be verified, because there is a signal handler or code without call frame information in it, because it
    /// was truncated, or because it is too deep.
    pub fn name(&mut self, name: NonZeroU64) {
        if let Some(known) = self.stacks.get_mut(self.last).filter(|known| known.chunks != NOT_VERIFIABLE) {
            known.name = name.get();
        }
    }

    /// Makes all stacks unknown.
    pub fn forget(&mut self) {
        for known in &mut self.stacks {
            known.name = 0;
        }
    }
}

#[inline(always)]
fn index(start: &Registers, stacks: usize) -> usize {
    // The top bits of the product depend on all bits that differ between call sites and depths.
    let mixed = (start.pc ^ start.sp << 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> 32 & (stacks - 1)
}

impl Known {
    const NONE: Known = Known {
        name: 0,
        generation: 0,
        high: 0,
        room: 0,
        pc: 0,
        sp: 0,
        bp: 0,
        bp_matters: 0,
        chunks: 0,
        distances: [0; WORDS],
        values: [0; WORDS],
    };

    #[inline(always)]
    fn is_for(&self, start: &Registers, bounds: &StackBounds, room: usize) -> bool {
        let differs = (self.pc ^ start.pc)
            | (self.sp ^ start.sp)
            | ((self.bp ^ start.bp) & self.bp_matters)
            | (self.high ^ bounds.high())
            | (self.room ^ room);
        differs == 0 && self.generation == cache::generation().number() && bounds.contains(start.sp)
    }

    /// Whether all words still hold what they held, given that [`Known::is_for`] was true.
    #[inline(always)]
    fn is_unchanged(&self) -> bool {
        let (distances, values) = (self.distances.as_chunks::<UNROLLED>().0, self.values.as_chunks::<UNROLLED>().0);
        let Some(distances) = distances.get(..self.chunks) else {
            return false;
        };
        // SAFETY: a distance is a multiple of 8 and sp + distance below high, as when it was traced; the bounds now hold
        // sp and end at high, so the word is readable.
        let read = |distance: u32| unsafe { Stack::read_unchecked(self.sp.wrapping_add(distance as usize)) };
        // Loops, because of a chain of iterators the compiler makes twice as many instructions.
        for (distances, values) in distances.iter().zip(values) {
            for (distance, value) in distances.iter().zip(values) {
                if *value != read(*distance) {
                    return false;
                }
            }
        }
        true
    }

    #[inline(never)]
    fn capture(
        &mut self,
        start: Registers,
        skip: &Range<usize>,
        bounds: &mut StackBounds,
        frames: &mut [usize],
    ) -> Walk {
        (self.name, self.chunks) = (0, NOT_VERIFIABLE);
        self.walk(start, skip, bounds, frames).unwrap_or_else(|end| Walk { depth: 0, end })
    }

    #[inline(always)]
    fn walk(
        &mut self,
        start: Registers,
        skip: &Range<usize>,
        bounds: &mut StackBounds,
        frames: &mut [usize],
    ) -> Result<Walk, End> {
        let mut walker = Walker::new(start, bounds)?;
        (self.generation, self.high, self.room) = (walker.generation.number(), walker.stack.high(), frames.len());
        (self.pc, self.sp, self.bp, self.bp_matters) = (start.pc, start.sp, start.bp, 0);
        // What is skipped is not traced.
        let is_whole = !skip.contains(&start.pc);
        walker.skip(skip)?;
        let mut tracer = Tracer { known: self, count: 0, bp_slot: None };
        let walk = walker.record(frames, &mut tracer);
        let count = tracer.count;
        if is_whole && count <= WORDS && !matches!(walk.end, End::Truncated(_)) {
            self.fill_up(count);
        }
        Ok(walk)
    }

    /// Makes the words whole chunks, by repeating the last.
    #[inline(always)]
    fn fill_up(&mut self, count: usize) {
        self.chunks = count.div_ceil(UNROLLED);
        let last = count.wrapping_sub(1);
        if let (Some(distance), Some(value)) = (self.distances.get(last).copied(), self.values.get(last).copied()) {
            let padding = count..self.chunks * UNROLLED;
            self.distances.get_mut(padding.clone()).unwrap_or_default().fill(distance);
            self.values.get_mut(padding).unwrap_or_default().fill(value);
        }
    }
}

/// Notes down what the steps of a walk depend on.
struct Tracer<'a> {
    known: &'a mut Known,
    /// More than [`WORDS`] if there are too many.
    count: usize,
    /// Where the present rbp was read, None if it is the one of the beginning.
    bp_slot: Option<usize>,
}

impl Tracer<'_> {
    #[inline(always)]
    fn note(&mut self, address: usize, value: usize) {
        let distance = u32::try_from(address.wrapping_sub(self.known.sp));
        let places = (self.known.distances.get_mut(self.count), self.known.values.get_mut(self.count));
        match (places, distance) {
            ((Some(to_distance), Some(to_value)), Ok(distance)) => {
                (*to_distance, *to_value) = (distance, value);
                self.count += 1;
            }
            _ => self.odd_step(),
        }
    }
}

impl Trace for Tracer<'_> {
    #[inline(always)]
    fn step(&mut self, from: &State, step: &Step) {
        if step.cfa_is_bp {
            match self.bp_slot {
                Some(slot) => self.note(slot, from.bp),
                None => self.known.bp_matters = usize::MAX,
            }
        }
        self.note(step.caller.sp.wrapping_sub(WORD), step.caller.pc);
        self.bp_slot = step.bp_slot.or(self.bp_slot);
    }

    fn odd_step(&mut self) {
        self.count = WORDS + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroed_memory_is_an_empty_memo() {
        // SAFETY: every field is a number.
        let memo: Memo<2> = unsafe { core::mem::zeroed() };
        assert!(memo.stacks.iter().all(|known| known.name == 0));
        assert_eq!(size_of::<Memo<8>>(), 8 * Memo::<8>::BYTES + 8);
        const { assert!(Memo::<8>::BYTES <= 848) };
    }
}
