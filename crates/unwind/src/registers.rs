//! The registers a walk carries. How the present ones are read is the architecture's business.

/// A point in a frame from which its callers can be found.
///
/// Either the present state of a function ([`Registers::here`]), or what a function sees when the one it called
/// returns: `pc` the return address, `sp` the stack pointer after the return, `bp` the value of the frame pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registers {
    /// A return address; of the present function, an address inside it that is not its first.
    pub pc: usize,
    /// rsp, sp
    pub sp: usize,
    /// rbp or x29, whatever it holds
    pub bp: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{libc_stack_end_address, r_debug_address, system_call};

    #[test]
    fn here_is_inside_the_calling_function() {
        #[inline(never)]
        fn function() -> Registers {
            Registers::here()
        }
        let registers = function();
        let local = 0_u8;
        assert!(registers.sp.abs_diff(&raw const local as usize) < 4096);
        assert!(registers.pc - (function as fn() -> Registers as usize) < 64);
    }

    #[test]
    fn the_dynamic_loaders_variables_are_found() {
        assert_ne!(r_debug_address(), 0);
        assert_ne!(libc_stack_end_address(), 0);
    }

    #[test]
    fn a_system_call_reports_its_error() {
        // SAFETY: neither call writes memory.
        unsafe {
            assert_eq!(system_call(libc::SYS_getpid, [0; 3]), Ok(std::process::id() as usize));
            assert_eq!(system_call(libc::SYS_close, [usize::MAX, 0, 0]), Err(libc::EBADF));
        }
    }
}
