//! The loop over steps that need no thought, common to the architectures, and [`Trace`], which observes each of them.
//! It does not know where a caller's registers are (`x86_64/step.rs` does); `walk.rs` calls it.

use crate::arch::{ODD, State, Step};
use crate::rule_cache::{self, Generation};
use crate::stack::Stack;

/// An observer of a walk, called at every step. `()` observes nothing.
pub(crate) trait Trace {
    /// A step from one frame to its caller that depends on nothing but `step` and its rule.
    fn step(&mut self, from: &State, step: &Step);
    /// A step that depended on something else.
    fn odd_step(&mut self);
}

impl Trace for () {
    #[inline(always)]
    fn step(&mut self, _: &State, _: &Step) {}
    fn odd_step(&mut self) {}
}

impl State {
    /// Takes steps and records the callers, as long as there is room, and the rules are known and of the sort that
    /// nearly all are. Returns how many were recorded; the last of them is then the present frame.
    ///
    /// This is where a capture spends its time: all state is in registers, and nothing in the loop is called.
    #[inline(always)]
    pub(crate) fn run(
        &mut self,
        stack: &Stack,
        generation: Generation,
        frames: &mut [usize],
        trace: &mut impl Trace,
    ) -> usize {
        let mut state = *self;
        if !state.is_simple() {
            return 0;
        }
        let (high, length) = (stack.high(), frames.len());
        let mut rest = frames.iter_mut();
        while !rest.as_slice().is_empty()
            && let Some(rule) = rule_cache::get_below(state.pc, generation, ODD)
            && let Some(step) = state.simple_step(rule, high)
        {
            trace.step(&state, &step);
            state = step.caller;
            if let Some(frame) = rest.next() {
                *frame = state.pc;
            }
        }
        *self = state;
        length.wrapping_sub(rest.len())
    }
}
