//! From one frame's registers to its caller's, by a rule: the common rules inline, the rest out of line.
//! It reads the stack through [`Stack`] only, and knows nothing of where rules come from; `walk.rs` calls it.

use super::address::{INSTRUCTION, is_plausible};
use super::registers::without_signature;
use super::rule::{CFA_IS_BP, Cfa, Fields, FramePointerLocation, ODD, Rule, SAVES_BP, UP};
use crate::checks::{LOWEST_CODE, plausible, read};
use crate::outcome::{End, Reason};
use crate::registers::Registers;
use crate::rule_cache::PackedRule;
use crate::stack::{Stack, WORD};

/// Where a walk is. `sp` is a multiple of 8 inside the stack or at its end, whose address is positive as an isize, and
/// `key` is a plausible address: established by [`State::new`], kept by every step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// The address to report.
    pub(crate) pc: usize,
    /// The address after the instruction whose rule applies: `pc` if that is a return address, the next one if the frame
    /// was interrupted at `pc`.
    pub(crate) key: usize,
    pub(crate) sp: usize,
    pub(crate) bp: usize,
    reached: FrameOrigin,
}

/// How a walk reached a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FrameOrigin {
    /// As its call frame information says: it called somebody.
    Call,
    /// It was interrupted, with this in x30.
    Interrupted(usize),
    /// A frame record of code without call frame information led here: `sp` is less than the true one.
    Record,
}

/// A step that was taken, and what it depended on besides the rule and sp.
pub(crate) struct Step {
    pub(crate) caller: State,
    /// x29, for the canonical frame address
    pub(crate) cfa_is_bp: bool,
    /// Where the caller's x29 was read, if it is not the same.
    pub(crate) bp_slot: Option<usize>,
    pc_slot: usize,
}

impl Step {
    /// Where the return address was read.
    #[inline(always)]
    pub(crate) fn pc_slot(&self) -> usize {
        self.pc_slot
    }
}

/// Offsets in the `rt_sigframe` that the kernel leaves at sp for the signal trampoline: 128 bytes of `siginfo`, then a
/// `ucontext`, whose machine context begins 176 bytes in with the fault's address and the registers.
const FRAME_FLAGS: usize = 128;
const FRAME_BP: usize = 128 + 176 + 8 + 29 * WORD;
const FRAME_LINK: usize = FRAME_BP + WORD;
const FRAME_SP: usize = FRAME_LINK + WORD;
const FRAME_PC: usize = FRAME_SP + WORD;
/// The first of the records that follow, with its magic number and size: the vector registers.
const FRAME_VECTORS: usize = 128 + 464;
const VECTORS: usize = 528 << 32 | 0x4650_8001;

impl State {
    /// `stack` holds `registers.sp`, or ends there.
    pub(crate) fn new(registers: Registers, stack: &Stack) -> Result<State, End> {
        let Registers { pc, sp, bp } = registers;
        if !sp.is_multiple_of(WORD) || !stack.holds(sp) || stack.high() > isize::MAX as usize {
            return Err(End::Truncated(Reason::StackPointer));
        }
        plausible(pc)?;
        Ok(State { pc, key: pc, sp, bp, reached: FrameOrigin::Call })
    }

    /// Whether a rule that is not odd is all that a step needs.
    #[inline(always)]
    pub(crate) fn is_simple(&self) -> bool {
        self.reached == FrameOrigin::Call
    }

    /// The step by `rule`. None if it is odd, or if a check of [`State::step`] would fail. `high` is the end of the
    /// stack.
    #[inline(always)]
    pub(crate) fn simple_step(&self, rule: PackedRule, high: usize) -> Option<Step> {
        let rule = rule.bits();
        let fields = Fields(rule);
        if rule >= ODD {
            return None;
        }
        let cfa_is_bp = rule & CFA_IS_BP != 0;
        let base = if cfa_is_bp {
            // x29 may hold anything; `step` gives the reasons.
            if self.bp < self.sp || self.bp > high || !self.bp.is_multiple_of(WORD) {
                return None;
            }
            self.bp
        } else {
            self.sp
        };
        let cfa = base.wrapping_add(fields.distance());
        if cfa > high {
            return None;
        }
        let link = fields.link();
        let slot = if rule & UP == 0 { cfa.wrapping_sub(link) } else { base.wrapping_add(link) };
        // SAFETY: here sp <= base <= cfa <= high: base is sp or was checked, and the sum does not wrap, since high is
        // positive as an isize and distances are small. `Rule::pack` lets only such rules be packed whose words, the one
        // at `slot` and, if x29 is saved, the one below, lie between base and cfa; so they are in sp..high, which is
        // readable by `Stack::new`. They are aligned as base is: distances are whole words.
        let read = |address: usize| unsafe { Stack::read_unchecked(address) };
        let pc = without_signature(read(slot));
        if !is_plausible(pc) {
            return None;
        }
        let below = slot.wrapping_sub(WORD);
        let (bp, bp_slot) = if rule & SAVES_BP == 0 { (self.bp, None) } else { (read(below), Some(below)) };
        let caller = State { pc, key: pc, sp: cfa, bp, reached: FrameOrigin::Call };
        Some(Step { caller, cfa_is_bp, bp_slot, pc_slot: slot })
    }

    /// Takes a step by any rule. `stack` becomes another one where a signal handler ran on a stack of its own. No rule here
    /// needs the callee's.
    pub(crate) fn step(&mut self, rule: Rule, _callee: usize, stack: &mut Stack) -> Result<(), End> {
        match rule {
            Rule::Frame { cfa, link, bp } => self.step_frame(cfa, link, bp, stack),
            Rule::Leaf { cfa } => self.step_leaf(cfa, stack),
            Rule::Signal => self.step_signal(stack),
            // Since Linux 5.8 the vDSO says nothing of its trampoline.
            Rule::FramePointer if self.is_trampoline(stack) => self.step_signal(stack),
            Rule::FramePointer => self.step_frame_pointer(stack),
            Rule::Outermost => Err(End::Outermost),
            Rule::Unsupported => Err(End::Truncated(Reason::Unsupported)),
        }
    }

    fn step_frame(&mut self, cfa: Cfa, link: i64, bp: FramePointerLocation, stack: &Stack) -> Result<(), End> {
        let cfa = self.frame_address(cfa, link, bp)?;
        if cfa <= self.sp {
            return Err(End::Truncated(Reason::StackPointer));
        }
        let pc = without_signature(read(stack, cfa.wrapping_add_signed(link as isize))?);
        let bp = match bp {
            FramePointerLocation::Unchanged => self.bp,
            FramePointerLocation::AtCfa(n) => read(stack, cfa.wrapping_add_signed(n as isize))?,
        };
        self.go(pc, cfa, bp, stack)
    }

    /// Where sp is not known, x29 is believed to point to the record that the rule says there is.
    fn frame_address(&self, cfa: Cfa, link: i64, bp: FramePointerLocation) -> Result<usize, End> {
        match (cfa, bp) {
            (Cfa::Bp(n), _) => Ok(self.bp.wrapping_add_signed(n as isize)),
            (Cfa::Sp(n), _) if self.reached != FrameOrigin::Record => Ok(self.sp.wrapping_add_signed(n as isize)),
            (_, FramePointerLocation::AtCfa(record)) if record == link.wrapping_sub(8) => {
                Ok(self.bp.wrapping_sub(record as usize))
            }
            _ => Err(End::Truncated(Reason::NoInformation)),
        }
    }

    /// Only an interrupted function still has its return address in x30.
    fn step_leaf(&mut self, cfa: Cfa, stack: &Stack) -> Result<(), End> {
        let (Cfa::Sp(n), FrameOrigin::Interrupted(link)) = (cfa, self.reached) else {
            return Err(End::Truncated(Reason::Unsupported));
        };
        let cfa = self.sp.wrapping_add_signed(n as isize);
        if cfa < self.sp {
            return Err(End::Truncated(Reason::StackPointer));
        }
        self.go(without_signature(link), cfa, self.bp, stack)
    }

    fn go(&mut self, pc: usize, sp: usize, bp: usize, stack: &Stack) -> Result<(), End> {
        plausible(pc)?;
        *self = State::new(Registers { pc, sp, bp }, stack)?;
        Ok(())
    }

    /// Whether this frame without call frame information is the kernel's: by what only the kernel leaves at sp.
    fn is_trampoline(&self, stack: &Stack) -> bool {
        let is = |offset, expected| stack.read(self.sp.wrapping_add(offset)) == Some(expected);
        self.reached == FrameOrigin::Call && is(FRAME_FLAGS, 0) && is(FRAME_VECTORS, VECTORS)
    }

    fn step_signal(&mut self, stack: &mut Stack) -> Result<(), End> {
        let [pc, sp, bp, link] =
            [FRAME_PC, FRAME_SP, FRAME_BP, FRAME_LINK].map(|offset| read(stack, self.sp.wrapping_add(offset)));
        let (pc, sp, bp, link) = (pc?, sp?, bp?, link?);
        if stack.holds(sp) {
            if sp <= self.sp {
                return Err(End::Truncated(Reason::StackPointer));
            }
        } else if !stack.switch(sp, 0) {
            return Err(End::Truncated(Reason::OtherStack));
        }
        let interrupted = State::new(Registers { pc, sp, bp }, stack)?;
        *self = State { key: pc + INSTRUCTION, reached: FrameOrigin::Interrupted(link), ..interrupted };
        plausible(self.key)
    }

    /// Code without call frame information: compilers of the run-time kind mostly keep frame records. The checks are
    /// what tells such a frame from any other use of x29. Where in the frame the record was is not known.
    fn step_frame_pointer(&mut self, stack: &Stack) -> Result<(), End> {
        let guess = End::Truncated(Reason::NoInformation);
        if self.bp < self.sp {
            return Err(guess);
        }
        let (Some(bp), Some(link)) = (stack.read(self.bp), stack.read(self.bp.wrapping_add(WORD))) else {
            return Err(guess);
        };
        let pc = without_signature(link);
        if pc == 0 {
            return Err(End::Outermost);
        }
        if pc < LOWEST_CODE || !is_plausible(pc) || stack.holds(pc) {
            return Err(guess);
        }
        *self = State { pc, key: pc, sp: self.bp + 2 * WORD, bp, reached: FrameOrigin::Record };
        Ok(())
    }
}
