//! From one frame's registers to its caller's, by a rule: the common rules inline, the rest out of line.
//! It reads the stack through [`Stack`] only, and knows nothing of where rules come from, but for one that is rare; `walk.rs` calls it.

use gimli::Register;

use super::address::is_plausible;
use super::rule::{CFA_IS_BP, Cfa, Fields, FramePointerLocation, ODD, Rule, UNCHANGED};
use crate::cfi;
use crate::checks::{LOWEST_CODE, plausible, read};
use crate::outcome::{End, Reason};
use crate::registers::Registers;
use crate::rule_cache::PackedRule;
use crate::stack::{Stack, WORD};

/// Where a walk is. `sp` is a multiple of 8 inside the stack or at its end, whose address is positive as an isize, and
/// `key` is in `1..=1 << 47`: established by [`State::new`], kept by every step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// The address to report.
    pub(crate) pc: usize,
    /// The address after the byte whose rule applies: `pc` if that is a return address, `pc + 1` if the frame was
    /// interrupted there.
    pub(crate) key: usize,
    pub(crate) sp: usize,
    pub(crate) bp: usize,
}

/// A step that was taken, and what it depended on besides the rule, rsp and the word at `caller.sp - 8`.
pub(crate) struct Step {
    pub(crate) caller: State,
    /// rbp, for the canonical frame address
    pub(crate) cfa_is_bp: bool,
    /// Where the caller's rbp was read, if it is not the same.
    pub(crate) bp_slot: Option<usize>,
}

impl Step {
    /// Where the return address was read.
    #[inline(always)]
    pub(crate) fn pc_slot(&self) -> usize {
        self.caller.sp.wrapping_sub(WORD)
    }
}

/// Offsets in the `ucontext_t` that the kernel leaves at rsp for the signal trampoline: `uc_mcontext` is at 40, its
/// registers are words in the order of `<sys/ucontext.h>`.
const UCONTEXT_REGISTERS: usize = 40;
const UCONTEXT_BP: usize = UCONTEXT_REGISTERS + 10 * WORD;
const UCONTEXT_SP: usize = UCONTEXT_REGISTERS + 15 * WORD;
const UCONTEXT_PC: usize = UCONTEXT_REGISTERS + 16 * WORD;
/// The places there of the registers in DWARF's order: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15.
const UCONTEXT_ORDER: [usize; 16] = [13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7];
/// How many bytes a function may use below its stack pointer.
pub(crate) const RED_ZONE: usize = 128;

impl State {
    /// `stack` holds `registers.sp`, or ends there.
    pub(crate) fn new(registers: Registers, stack: &Stack) -> Result<State, End> {
        let Registers { pc, sp, bp } = registers;
        if !sp.is_multiple_of(WORD) || !stack.holds(sp) || stack.high() > isize::MAX as usize {
            return Err(End::Truncated(Reason::StackPointer));
        }
        plausible(pc)?;
        Ok(State { pc, key: pc, sp, bp })
    }

    /// Whether a rule that is not odd is all that a step needs: not where the frame was interrupted.
    #[inline(always)]
    pub(crate) fn is_simple(&self) -> bool {
        self.pc == self.key
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
        let cfa = if cfa_is_bp {
            // rbp may hold anything; `step` gives the reasons.
            let cfa = self.bp.wrapping_add(fields.distance());
            if cfa.checked_sub(fields.saved())? < self.sp || !cfa.is_multiple_of(WORD) {
                return None;
            }
            cfa
        } else {
            self.sp.wrapping_add(fields.distance())
        };
        if cfa > high {
            return None;
        }
        // SAFETY: here sp + saved <= cfa <= high: by the check above, or because the saved field of a rule by rsp is at
        // most its distance (`Rule::pack`); neither sum wraps, since high is positive as an isize and distances are
        // small. `saved` is at least a word, so the words at cfa - 8 and cfa - saved are in sp..high, which is readable
        // by `Stack::new`. They are aligned as cfa is: sp is, and distances are whole words.
        let read = |below: usize| unsafe { Stack::read_unchecked(cfa.wrapping_sub(below)) };
        let pc = read(WORD);
        if !is_plausible(pc) {
            return None;
        }
        let unchanged = fields.saved() == UNCHANGED as usize * WORD;
        let (bp, bp_slot) =
            if unchanged { (self.bp, None) } else { (read(fields.saved()), Some(cfa.wrapping_sub(fields.saved()))) };
        Some(Step { caller: State { pc, key: pc, sp: cfa, bp }, cfa_is_bp, bp_slot })
    }

    /// Takes a step by any rule. `stack` becomes another one where a signal handler ran on a stack of its own. `callee` is
    /// the key of the frame before this one, 0 if there is none.
    pub(crate) fn step(&mut self, rule: Rule, callee: usize, stack: &mut Stack) -> Result<(), End> {
        match rule {
            Rule::Frame { cfa, bp } => self.step_frame(cfa, bp, callee, stack),
            Rule::Signal => self.step_signal(stack),
            Rule::FramePointer => self.step_frame_pointer(stack),
            Rule::Outermost => Err(End::Outermost),
            Rule::Unsupported => Err(End::Truncated(Reason::Unsupported)),
        }
    }

    fn step_frame(&mut self, cfa: Cfa, bp: FramePointerLocation, callee: usize, stack: &Stack) -> Result<(), End> {
        let cfa = match cfa {
            Cfa::Sp(n) => self.sp.wrapping_add_signed(n as isize),
            Cfa::Bp(n) => self.bp.wrapping_add_signed(n as isize),
            Cfa::AtBp(n) => read(stack, self.bp.wrapping_add_signed(n as isize))?,
            Cfa::AtSp { at, plus } => {
                read(stack, self.sp.wrapping_add_signed(at as isize))?.wrapping_add_signed(plus as isize)
            }
            Cfa::Register(number, n) => {
                let value = self.register(Register(number), callee, stack);
                value.ok_or(End::Truncated(Reason::Unsupported))?.wrapping_add_signed(n as isize)
            }
        };
        if cfa <= self.sp {
            return Err(End::Truncated(Reason::StackPointer));
        }
        let pc = read(stack, cfa - WORD)?;
        let bp = match bp {
            FramePointerLocation::Unchanged => self.bp,
            FramePointerLocation::AtCfa(n) => read(stack, cfa.wrapping_add_signed(n as isize))?,
            FramePointerLocation::AtBp => read(stack, self.bp)?,
        };
        plausible(pc)?;
        *self = State { pc, key: pc, sp: cfa, bp };
        Ok(())
    }

    /// The value of a register that a walk does not carry: where the kernel saved it, if this frame was interrupted, or
    /// where the function did that it called. None if that one has not saved it.
    #[cold]
    fn register(&self, register: Register, callee: usize, stack: &Stack) -> Option<usize> {
        if self.pc != self.key {
            let place = *UCONTEXT_ORDER.get(usize::from(register.0))?;
            return stack.read(stack.interrupted()?.wrapping_add(UCONTEXT_REGISTERS + place * WORD));
        }
        let distance = cfi::saved_at(callee.checked_sub(1)?, register)?;
        stack.read(self.sp.wrapping_add_signed(distance as isize))
    }

    fn step_signal(&mut self, stack: &mut Stack) -> Result<(), End> {
        let ucontext = self.sp;
        let pc = read(stack, self.sp + UCONTEXT_PC)?;
        let sp = read(stack, self.sp + UCONTEXT_SP)?;
        let bp = read(stack, self.sp + UCONTEXT_BP)?;
        if stack.holds(sp) {
            if sp <= self.sp {
                return Err(End::Truncated(Reason::StackPointer));
            }
        } else if !stack.switch(sp, RED_ZONE) {
            return Err(End::Truncated(Reason::OtherStack));
        }
        let interrupted = State::new(Registers { pc, sp, bp }, stack)?;
        stack.interrupt(ucontext);
        *self = State { key: pc + 1, ..interrupted };
        plausible(self.key)
    }

    /// Code without call frame information: compilers of the run-time kind mostly keep frame pointers. The checks are
    /// what tells such a frame from any other use of rbp.
    fn step_frame_pointer(&mut self, stack: &Stack) -> Result<(), End> {
        let guess = End::Truncated(Reason::NoInformation);
        if self.bp < self.sp {
            return Err(guess);
        }
        let (Some(bp), Some(pc)) = (stack.read(self.bp), stack.read(self.bp.wrapping_add(WORD))) else {
            return Err(guess);
        };
        if pc == 0 {
            return Err(End::Outermost);
        }
        if pc < LOWEST_CODE || !is_plausible(pc) || stack.holds(pc) {
            return Err(guess);
        }
        *self = State { pc, key: pc, sp: self.bp + 2 * WORD, bp };
        Ok(())
    }
}
