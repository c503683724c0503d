//! The last stacks of a thread, so that one that comes again is verified instead of unwound.
//!
//! A step depends on the rule for a return address, on rsp, and on the words that it reads: the return address, and
//! where rbp (x29) is part of a canonical frame address also the word that it came from. If two walks begin at the same
//! pc and rsp, the rules have not changed, and each of those words still holds what it held, then by induction the stacks
//! are the same. The words are not kept but a digest of 64 bits of them: four instructions a word, in four chains.
//!
//! Many stacks begin at the same pc and rsp (all of a function's calls of `operator new`), so a stack may stand in any of
//! a few places, and its first word, kept as it is, tells most of the others at once.
//!
//! It keeps nothing that it would have to be told about: rules that are found again (`modules_changed`), another stack
//! or room for another number of frames make a stack count as new. It is not shared: the caller keeps one for each
//! thread, as it keeps the bounds. On a stack that is not the thread's own it knows nothing: that may have been unmapped
//! meanwhile, and another come to lie there.
//!
//! Stacks that are the same in part are not put together from parts: that was tried, and its bookkeeping cost about as
//! much as the table look-ups that it saved (45 instructions a frame; compiling C++, 1,700 a stack where unwinding takes
//! 900).

use core::num::NonZeroU64;
use core::ops::Range;

use crate::arch::{State, Step};
use crate::bounds::StackBounds;
use crate::frame::Trace;
use crate::outcome::{End, Walk};
use crate::registers::Registers;
use crate::rule_cache;
use crate::stack::{Stack, WORD};
use crate::walk::Walker;

/// The last stacks of a thread, at most `STACKS`, a power of two from 4 on, of [`StackCache::BYTES`] bytes each.
///
/// A value whose bytes are all 0 is [`StackCache::EMPTY`], so it can be thread-local storage that needs no initialiser.
#[derive(Debug)]
#[repr(C)]
pub struct StackCache<const STACKS: usize> {
    stacks: [CachedStack; STACKS],
    /// The index of the stack that was captured last.
    last: usize,
    /// Counts stacks that took another's place.
    replaced: usize,
}

/// The result of a capture with a [`StackCache`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Lookup {
    /// A stack that was captured before, and given this name. The frames were not written.
    Known(NonZeroU64),
    /// The frames were written. [`StackCache::name`] makes it known the next time.
    New(Walk),
}

/// In how many places a stack may stand.
const WAYS: usize = 4;
const WORDS: usize = 64;
const LANES: usize = 4;
const NOT_VERIFIABLE: u32 = u32::MAX;

/// A stack, and what it depends on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct CachedStack {
    /// 0 if it cannot be verified, or was not named.
    name: u64,
    /// The walks that it is right for: on the stack that ends here, and beginning so.
    high: usize,
    pc: usize,
    sp: usize,
    bp: usize,
    /// All ones if rbp matters, else 0.
    bp_matters: usize,
    /// The first word, and the digest of all.
    first: usize,
    digest: usize,
    /// The rules, and room for so many frames.
    generation: u64,
    room: u32,
    /// How many words there are, a multiple of [`LANES`], or [`NOT_VERIFIABLE`] if it does not only depend on words.
    count: u32,
    /// Distances of words from `sp`, in words, all below `high`.
    distances: [u16; WORDS],
}

impl<const STACKS: usize> StackCache<STACKS> {
    /// Bytes that one stack takes.
    pub const BYTES: usize = size_of::<CachedStack>();
    /// A cache that knows no stack.
    pub const EMPTY: StackCache<STACKS> = {
        assert!(STACKS.is_power_of_two() && STACKS >= WAYS);
        StackCache { stacks: [CachedStack::NONE; STACKS], last: 0, replaced: 0 }
    };

    /// The name of the stack from `start`, for this many frames, if it is known.
    #[inline(always)]
    pub fn recall(&self, start: &Registers, bounds: &StackBounds, room: usize) -> Option<NonZeroU64> {
        let generation = rule_cache::generation().number();
        // All words are read before they are compared, so none may have gone.
        if !bounds.hold_still(start.sp) {
            return None;
        }
        // A loop, because of a chain of iterators the compiler makes a third more instructions.
        for known in self.stacks.get(Self::set(start)..)?.as_chunks::<WAYS>().0.first()? {
            if known.is_for(start, bounds.high(), room, generation) && known.is_unchanged() {
                return NonZeroU64::new(known.name);
            }
        }
        None
    }

    /// As [`crate::capture_skipping`], for a stack that is not known: [`StackCache::name`] makes it known the next time.
    #[inline]
    pub fn learn(
        &mut self,
        start: Registers,
        skip: &Range<usize>,
        bounds: &mut StackBounds,
        frames: &mut [usize],
    ) -> Walk {
        self.last = Self::set(&start) + self.replaced % WAYS;
        self.replaced = self.replaced.wrapping_add(1);
        match self.stacks.get_mut(self.last) {
            Some(known) => known.capture(start, skip, bounds, frames),
            None => Walk { depth: 0, end: End::Full },
        }
    }

    /// Recalls, or else learns. `start` is the innermost frame, or one in `skip`.
    pub fn capture(
        &mut self,
        start: Registers,
        skip: &Range<usize>,
        bounds: &mut StackBounds,
        frames: &mut [usize],
    ) -> Lookup {
        match self.recall(&start, bounds, frames.len()) {
            Some(name) => Lookup::Known(name),
            None => Lookup::New(self.learn(start, skip, bounds, frames)),
        }
    }

    /// Where the places for a stack begin.
    #[inline(always)]
    fn set(start: &Registers) -> usize {
        // The top bits of the product depend on all bits that differ between call sites and depths.
        let mixed = (start.pc ^ start.sp << 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32 & (STACKS / WAYS - 1)) * WAYS
    }

    /// Names the stack that was captured last: what [`StackCache::capture`] answers when it comes again. Without effect if it
    /// cannot be verified, because there is a signal handler or code without call frame information in it, because it
    /// was truncated, or because it is too deep.
    pub fn name(&mut self, name: NonZeroU64) {
        if let Some(known) = self.stacks.get_mut(self.last).filter(|known| known.count != NOT_VERIFIABLE) {
            known.name = name.get();
        }
    }

    /// Makes all stacks unknown.
    pub fn forget(&mut self) {
        self.stacks.fill(CachedStack::NONE);
    }
}

impl CachedStack {
    const NONE: CachedStack = CachedStack {
        name: 0,
        high: 0,
        pc: 0,
        sp: 0,
        bp: 0,
        bp_matters: 0,
        first: 0,
        digest: 0,
        generation: 0,
        room: 0,
        count: 0,
        distances: [0; WORDS],
    };

    /// Only for a present stack pointer that lies in the stack that ends at `high`.
    #[inline(always)]
    fn is_for(&self, start: &Registers, high: usize, room: usize, generation: u64) -> bool {
        if self.pc != start.pc || self.sp != start.sp || self.name == 0 {
            return false;
        }
        let differs = ((self.bp ^ start.bp) & self.bp_matters)
            | (self.high ^ high)
            | (self.room as usize ^ room)
            | (self.generation ^ generation) as usize;
        differs == 0
    }

    /// Only for a named stack that `is_for` the present one.
    #[inline(always)]
    fn is_unchanged(&self) -> bool {
        (self.count == 0 || self.first_now() == self.first) && self.digest_now() == self.digest
    }

    #[inline(always)]
    fn first_now(&self) -> usize {
        self.distances.first().map_or(0, |distance| self.read(*distance))
    }

    #[inline(always)]
    fn read(&self, distance: u16) -> usize {
        // SAFETY: sp + distance was below high when it was traced; the bounds now hold sp, end at high and stay, so the word
        // is readable.
        unsafe { Stack::read_unchecked(self.sp.wrapping_add(distance as usize * WORD)) }
    }

    /// The digest of the words as they are now.
    #[inline(always)]
    fn digest_now(&self) -> usize {
        const ODD: usize = 0x9e37_79b9_7f4a_7c15;
        let mut lanes = [1, 2, 3, 4];
        let words = self.distances.get(..self.count as usize).unwrap_or_default();
        for distances in words.as_chunks::<LANES>().0 {
            for (lane, distance) in lanes.iter_mut().zip(distances) {
                *lane = (*lane ^ self.read(*distance)).wrapping_mul(ODD);
            }
        }
        let [a, b, c, d] = lanes;
        a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48)
    }

    #[inline(never)]
    fn capture(
        &mut self,
        start: Registers,
        skip: &Range<usize>,
        bounds: &mut StackBounds,
        frames: &mut [usize],
    ) -> Walk {
        (self.name, self.count) = (0, NOT_VERIFIABLE);
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
        (self.generation, self.high) = (walker.generation.number(), walker.stack.high());
        (self.pc, self.sp, self.bp, self.bp_matters) = (start.pc, start.sp, start.bp, 0);
        self.room = frames.len() as u32;
        // What is skipped is not traced.
        let is_whole = !skip.contains(&start.pc);
        walker.skip(skip)?;
        let mut tracer = Tracer { known: self, count: 0, bp_slot: None };
        let walk = walker.record(frames, &mut tracer);
        let count = tracer.count;
        if is_whole && count <= WORDS && !matches!(walk.end, End::Truncated(_)) {
            self.close(count);
        }
        Ok(walk)
    }

    /// Makes the words a multiple of [`LANES`], by repeating the last, and takes their digest.
    #[inline(always)]
    fn close(&mut self, count: usize) {
        let whole = count.next_multiple_of(LANES);
        if let Some(last) = self.distances.get(count.wrapping_sub(1)).copied() {
            self.distances.get_mut(count..whole).unwrap_or_default().fill(last);
            self.first = self.first_now();
        }
        self.count = whole as u32;
        self.digest = self.digest_now();
    }
}

/// Notes down what the steps of a walk depend on.
struct Tracer<'a> {
    known: &'a mut CachedStack,
    /// More than [`WORDS`] if there are too many.
    count: usize,
    /// Where the present rbp was read, None if it is the one of the beginning.
    bp_slot: Option<usize>,
}

impl Tracer<'_> {
    /// A word of the stack, between `sp` and `high`.
    #[inline(always)]
    fn note(&mut self, address: usize) {
        let distance = u16::try_from(address.wrapping_sub(self.known.sp) / WORD);
        match (self.known.distances.get_mut(self.count), distance) {
            (Some(place), Ok(distance)) => {
                *place = distance;
                self.count += 1;
            }
            _ => self.odd_step(),
        }
    }
}

impl Trace for Tracer<'_> {
    #[inline(always)]
    fn step(&mut self, _from: &State, step: &Step) {
        if step.cfa_is_bp {
            match self.bp_slot {
                Some(slot) => self.note(slot),
                None => self.known.bp_matters = usize::MAX,
            }
        }
        self.note(step.pc_slot());
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
        let cache: StackCache<4> = unsafe { core::mem::zeroed() };
        assert!(cache.stacks.iter().all(|known| known.name == 0));
        assert_eq!(size_of::<StackCache<8>>(), 8 * StackCache::<8>::BYTES + 16);
        const { assert!(StackCache::<8>::BYTES <= 208) };
    }
}
