//! What is common to the architectures' steps: the loop over those that need no thought, who is told of them, and what
//! an address of code must look like. Where a caller's registers are is `x86_64/step.rs`; `walk.rs` calls both.

use crate::arch::{ODD, State, Step, is_plausible};
use crate::cache::{self, Generation};
use crate::stack::Stack;
use crate::walk::{End, Reason};

/// Somebody who is told of every step. `()` does not want to know.
pub(crate) trait Trace {
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
            && let Some(rule) = cache::get_below(state.pc, generation, ODD)
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

/// The kernel maps nothing below (`vm.mmap_min_addr`, at least a page).
pub(crate) const LOWEST_CODE: usize = 4096;

pub(crate) fn read(stack: &Stack, address: usize) -> Result<usize, End> {
    stack.read(address).ok_or(End::Truncated(Reason::StackPointer))
}

/// Thread entry points and context switchers leave a 0 as the return address of the outermost frame.
pub(crate) fn plausible(pc: usize) -> Result<(), End> {
    match pc {
        0 => Err(End::Outermost),
        pc if is_plausible(pc) => Ok(()),
        _ => Err(End::Truncated(Reason::ReturnAddress)),
    }
}
