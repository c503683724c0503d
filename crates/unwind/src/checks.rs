//! The checks of a step before it believes a word of the stack. It reads no memory itself; `x86_64/step.rs` calls it.

use crate::arch::is_plausible;
use crate::outcome::{End, Reason};
use crate::stack::Stack;

/// The kernel maps nothing below (`vm.mmap_min_addr`, at least a page).
pub(crate) const LOWEST_CODE: usize = 4096;

/// The word at `address` of the stack, or the end of the walk.
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
