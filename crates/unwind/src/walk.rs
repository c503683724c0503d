//! The walk from frame to frame: table, or else call frame information, then a step, until an end is met.
//! The sampler calls it; what a rule is and how a step is taken is the architecture's.

use core::ops::Range;

use crate::arch::{Rule, State};
use crate::bounds::StackBounds;
use crate::cfi;
use crate::frame::Trace;
use crate::outcome::{End, Reason, Walk};
use crate::registers::Registers;
use crate::rule_cache::{self, Generation};
use crate::stack::Stack;

/// The frames from `start` outwards: `frames[0]` is `start.pc`, each one after it the return address of the one before.
///
/// `bounds` is kept by the caller for this thread, and found again when the thread runs on another stack.
pub fn capture(start: Registers, bounds: &mut StackBounds, frames: &mut [usize]) -> Walk {
    capture_skipping(start, &(0..0), bounds, frames)
}

/// As [`capture`], without the innermost frames whose addresses are in `skip` (the sampler's own code).
pub fn capture_skipping(start: Registers, skip: &Range<usize>, bounds: &mut StackBounds, frames: &mut [usize]) -> Walk {
    Walker::new(start, bounds)
        .and_then(|mut walker| {
            walker.skip(skip)?;
            Ok(walker.record(frames, &mut ()))
        })
        .unwrap_or_else(|end| Walk { depth: 0, end })
}

/// A walk under way.
pub(crate) struct Walker {
    pub(crate) state: State,
    pub(crate) stack: Stack,
    pub(crate) generation: Generation,
    /// The key of the frame before the present one, 0 for none; known where a step is not `run`'s.
    callee: usize,
}

/// The sampler's own frames are fewer.
const MAX_SKIPPED: usize = 64;

impl Walker {
    #[inline(always)]
    pub(crate) fn new(start: Registers, bounds: &mut StackBounds) -> Result<Walker, End> {
        if !bounds.cover(start.sp) {
            return Err(End::Truncated(Reason::UnknownStack));
        }
        // SAFETY: `cover` found that this thread's stack is readable from start.sp to `proven`, and it stays so while
        // the thread runs on it, which it does until the walk ends.
        let stack = unsafe { Stack::new(start.sp, bounds.proven(), bounds.high()) };
        Ok(Walker { state: State::new(start, &stack)?, stack, generation: rule_cache::generation(), callee: 0 })
    }

    /// Steps over the innermost frames in `skip`.
    #[inline(always)]
    pub(crate) fn skip(&mut self, skip: &Range<usize>) -> Result<(), End> {
        if skip.contains(&self.state.pc) { self.skip_some(skip) } else { Ok(()) }
    }

    #[inline(never)]
    fn skip_some(&mut self, skip: &Range<usize>) -> Result<(), End> {
        let mut left = MAX_SKIPPED;
        while skip.contains(&self.state.pc) && left > 0 {
            self.step(&mut ())?;
            left -= 1;
        }
        Ok(())
    }

    /// Gives out the present frame and its callers.
    #[inline(always)]
    pub(crate) fn record(&mut self, frames: &mut [usize], trace: &mut impl Trace) -> Walk {
        let Some((first, callers)) = frames.split_first_mut() else {
            return Walk { depth: 0, end: End::Full };
        };
        *first = self.state.pc;
        let mut rest = callers;
        let mut depth = 1;
        loop {
            let before = self.state.key;
            let recorded = self.state.run(&self.stack, self.generation, rest, trace);
            depth += recorded;
            let Some((taken, [next, after @ ..])) = rest.split_at_mut_checked(recorded) else {
                return Walk { depth, end: End::Full };
            };
            self.callee = match taken {
                [.., callee, _] => *callee,
                [_] => before,
                [] => self.callee,
            };
            if let Err(end) = self.step(trace) {
                return Walk { depth, end };
            }
            *next = self.state.pc;
            depth += 1;
            rest = after;
        }
    }

    /// Any step. Those come here that `run` does not take: by rules that are new, or odd, or beyond what is proven.
    #[cold]
    #[inline(never)]
    fn step(&mut self, trace: &mut impl Trace) -> Result<(), End> {
        loop {
            match self.try_step(trace) {
                Err(End::Truncated(_)) if self.stack.extend() => {}
                done => return done,
            }
        }
    }

    /// A step that leaves everything as it was if it fails.
    fn try_step(&mut self, trace: &mut impl Trace) -> Result<(), End> {
        let known = rule_cache::get(self.state.key, self.generation);
        let rule = known.map(Rule::unpack).unwrap_or_else(|| self.look_up());
        let key = self.state.key;
        let simple = rule.pack().filter(|_| self.state.is_simple());
        if let Some(step) = simple.and_then(|rule| self.state.simple_step(rule, self.stack.high())) {
            trace.step(&self.state, &step);
            (self.state, self.callee) = (step.caller, key);
            return Ok(());
        }
        let done = self.state.step(rule, self.callee, &mut self.stack);
        if rule != Rule::Outermost && !matches!(done, Err(End::Truncated(_))) {
            trace.odd_step();
        }
        if done.is_ok() {
            self.callee = key;
        }
        done
    }

    fn look_up(&self) -> Rule {
        let key = self.state.key;
        // Code outside every module may become another code, or a module, without notice: its rule is not kept.
        let Some(rule) = cfi::rule_at(key - 1) else {
            return Rule::FramePointer;
        };
        if let Some(packed) = rule.pack() {
            rule_cache::put(key, self.generation, packed);
        }
        rule
    }
}
