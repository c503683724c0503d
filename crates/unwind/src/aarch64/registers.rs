//! The few instructions that Rust has no name for.

use core::arch::{asm, global_asm};

use crate::registers::Registers;

impl Registers {
    /// The state of the function that this is inlined into.
    #[inline(always)]
    pub fn here() -> Registers {
        let (pc, sp, bp);
        // SAFETY: copies three registers. In one block, because the three belong to one row of the function's rules.
        // x30 is given up, so that a function that calls nothing else saves it before: rules know no other x30.
        unsafe {
            asm!(
                "adr {pc}, . + 4",
                "mov {sp}, sp",
                "mov {bp}, x29",
                pc = out(reg) pc,
                sp = out(reg) sp,
                bp = out(reg) bp,
                out("x30") _,
                options(nomem, nostack, preserves_flags),
            );
        }
        Registers { pc, sp, bp }
    }
}

/// Without the signature that code built with `-mbranch-protection` puts into the upper bits of its return addresses.
/// `xpaclri`, which is nothing on processors that do not sign, and which knows where the signature is on this kernel.
#[inline(always)]
pub(super) fn without_signature(address: usize) -> usize {
    let plain;
    // SAFETY: changes x30 only.
    unsafe {
        asm!("hint #7", inlateout("x30") address => plain, options(pure, nomem, nostack, preserves_flags));
    }
    plain
}

// The dynamic loader's: whoever links this may not know it.
global_asm!(".weak __libc_stack_end", ".weak _r_debug");

/// The address of glibc's `__libc_stack_end`, or 0.
pub(crate) fn libc_stack_end_address() -> usize {
    let address;
    // SAFETY: loads a word of our own global offset table.
    unsafe {
        asm!("adrp {0}, :got:__libc_stack_end", "ldr {0}, [{0}, :got_lo12:__libc_stack_end]", out(reg) address,
            options(pure, readonly, nostack, preserves_flags));
    }
    address
}

/// The address of the dynamic loader's `_r_debug`, or 0.
pub(crate) fn r_debug_address() -> usize {
    let address;
    // SAFETY: loads a word of our own global offset table.
    unsafe {
        asm!("adrp {0}, :got:_r_debug", "ldr {0}, [{0}, :got_lo12:_r_debug]", out(reg) address,
            options(pure, readonly, nostack, preserves_flags));
    }
    address
}

/// The thread control block. glibc puts it, and a little below it the end of the stack, at the upper end of the memory
/// that it allocates for a thread.
pub(crate) fn thread_pointer() -> usize {
    let address;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) address, options(pure, nomem, nostack, preserves_flags)) };
    address
}

/// A system call of three arguments, without libc: no errno, no cancellation point, nothing that can be interposed.
///
/// # Safety
///
/// As the call's: the arguments do not make the kernel write to memory that somebody else uses.
pub(crate) unsafe fn system_call(number: libc::c_long, arguments: [usize; 3]) -> Result<usize, i32> {
    let [first, second, third] = arguments;
    let result: isize;
    // SAFETY: the kernel's calling convention; the call's own demands are the caller's.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") first as isize => result, in("x1") second, in("x2") third,
            options(nostack));
    }
    if (-4095..0).contains(&result) { Err(-result as i32) } else { Ok(result as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_signature_is_itself() {
        let function = libc::getpid as *const () as usize;
        assert_eq!([0, 4, function].map(without_signature), [0, 4, function]);
    }

    #[test]
    fn a_signature_is_taken_away() {
        let address = libc::getpid as *const () as usize;
        let signed: usize;
        // SAFETY: paciasp, nothing on processors that do not sign.
        unsafe { asm!("hint #25", inlateout("x30") address => signed, options(nomem, nostack)) };
        assert_eq!(without_signature(signed), address);
    }
}
