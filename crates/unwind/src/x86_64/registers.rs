//! The few instructions that Rust has no name for.

use core::arch::{asm, global_asm};

use crate::registers::Registers;

impl Registers {
    /// The state of the function that this is inlined into.
    #[inline(always)]
    pub fn here() -> Registers {
        let (pc, sp, bp);
        // SAFETY: copies three registers. In one block, because the three belong to one row of the function's rules.
        unsafe {
            asm!(
                "lea {pc}, [rip]",
                "mov {sp}, rsp",
                "mov {bp}, rbp",
                pc = out(reg) pc,
                sp = out(reg) sp,
                bp = out(reg) bp,
                options(nomem, nostack, preserves_flags),
            );
        }
        Registers { pc, sp, bp }
    }
}

// The dynamic loader's: whoever links this may not know it.
global_asm!(".weak __libc_stack_end", ".weak _r_debug");

/// The address of glibc's `__libc_stack_end`, or 0.
pub(crate) fn libc_stack_end_address() -> usize {
    let address;
    // SAFETY: loads a word of our own global offset table.
    unsafe {
        asm!("mov {}, qword ptr [rip + __libc_stack_end@GOTPCREL]", out(reg) address,
            options(pure, readonly, nostack, preserves_flags));
    }
    address
}

/// The address of the dynamic loader's `_r_debug`, or 0.
pub(crate) fn r_debug_address() -> usize {
    let address;
    // SAFETY: loads a word of our own global offset table.
    unsafe {
        asm!("mov {}, qword ptr [rip + _r_debug@GOTPCREL]", out(reg) address,
            options(pure, readonly, nostack, preserves_flags));
    }
    address
}

/// The thread control block. glibc puts it at the upper end of the stacks that it allocates.
pub(crate) fn thread_pointer() -> usize {
    let address;
    // SAFETY: the ABI has the thread pointer's own address at its offset 0.
    unsafe { asm!("mov {}, fs:[0]", out(reg) address, options(pure, readonly, nostack, preserves_flags)) };
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
        asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") first, in("rsi") second, in("rdx") third,
            out("rcx") _, out("r11") _, options(nostack));
    }
    if (-4095..0).contains(&result) { Err(-result as i32) } else { Ok(result as usize) }
}
