//! The one place that reads the stack: whole words, only between two bounds that were proven readable.
//! Used by every rule. It is not a way to read any other memory (see `module.rs` for that).

use crate::bounds::{self, StackBounds};

/// The readable part of the current thread's stack: `low` is where the walk started, `high` the end of the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    low: usize,
    high: usize,
    /// Where the stack may go on to, if that is proven.
    limit: usize,
    extensions: u8,
    switches: u8,
    /// Where the registers of the last interrupted frame are (0: there was none). Only x86_64's rules need it.
    #[cfg_attr(target_arch = "aarch64", expect(dead_code))]
    interrupted: usize,
}

/// A handler on its alternate stack that interrupted another one on a coroutine's stack is as far as it goes.
const MAX_SWITCHES: u8 = 3;

/// Each is twice as far as the one before: 256 KiB.
const MAX_EXTENSIONS: u8 = 4;

pub(crate) const WORD: usize = size_of::<usize>();

impl Stack {
    /// # Safety
    ///
    /// Every byte in `low..high` stays readable as long as the value is used.
    pub(crate) const unsafe fn new(low: usize, high: usize, limit: usize) -> Stack {
        Stack { low, high, limit, extensions: 0, switches: 0, interrupted: 0 }
    }

    /// Goes on beyond what was proven. False if that is all there is, or as much as is looked at.
    pub(crate) fn extend(&mut self) -> bool {
        if self.high >= self.limit || self.extensions >= MAX_EXTENSIONS {
            return false;
        }
        self.extensions += 1;
        let high = bounds::prove(self.high, self.limit, self.extensions);
        let more = high > self.high;
        (self.high, self.limit) = (high, if more { self.limit } else { high });
        more
    }

    /// Whether `sp` is inside, or the stack ends there.
    pub(crate) fn holds(&self, sp: usize) -> bool {
        self.low <= sp && sp <= self.high
    }

    /// The end of the stack.
    #[inline(always)]
    pub(crate) fn high(&self) -> usize {
        self.high
    }

    /// Goes on with the stack that `sp` is in, and `below` bytes below it. False if it cannot be found, or after too
    /// many switches: each costs system calls, and garbage could ask for one at every frame.
    pub(crate) fn switch(&mut self, sp: usize, below: usize) -> bool {
        let Some(bounds) = StackBounds::find(sp).filter(|_| self.switches < MAX_SWITCHES) else {
            return false;
        };
        self.low = sp.saturating_sub(below).max(bounds.low());
        (self.high, self.limit) = (bounds.high(), bounds.high());
        self.switches += 1;
        true
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn interrupt(&mut self, registers: usize) {
        self.interrupted = registers;
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn interrupted(&self) -> Option<usize> {
        (self.interrupted != 0).then_some(self.interrupted)
    }

    /// The bytes between `sp` and the end of the stack; 0 if `sp` is outside.
    #[inline(always)]
    pub(crate) fn above(&self, sp: usize) -> usize {
        if sp >= self.low { self.high.saturating_sub(sp) } else { 0 }
    }

    /// The word at `address`, or None if it is not wholly inside or not aligned.
    #[inline(always)]
    pub(crate) fn read(&self, address: usize) -> Option<usize> {
        let inside = self.above(address) >= WORD;
        // SAFETY: the word is inside low..high, readable by the contract of `new`, and aligned.
        (inside && address.is_multiple_of(WORD)).then(|| unsafe { Self::read_unchecked(address) })
    }

    /// # Safety
    ///
    /// `address` is a multiple of 8 and the 8 bytes there are readable.
    #[inline(always)]
    pub(crate) unsafe fn read_unchecked(address: usize) -> usize {
        let word = core::ptr::with_exposed_provenance::<usize>(address);
        // SAFETY: as above. Volatile, because the word belongs to frames that the compiler knows nothing of.
        unsafe { word.read_volatile() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_whole_aligned_words_inside() {
        let words = [1_usize, 2, 3];
        let low = words.as_ptr().expose_provenance();
        // SAFETY: the array outlives the value.
        let stack = unsafe { Stack::new(low, low + 24, low + 24) };
        assert_eq!(stack.read(low), Some(1));
        assert_eq!(stack.read(low + 16), Some(3));
        for outside in [low + 24, low + 20, low + 4, low - 8, 0, usize::MAX, usize::MAX & !7] {
            assert_eq!(stack.read(outside), None);
        }
        assert_eq!((stack.above(low + 8), stack.above(low + 24), stack.above(low - 8)), (16, 0, 0));
    }
}
