//! The form of an address of code on this architecture. `step.rs`, `checks.rs` and the table of rules use it.

/// Addresses of code are below this power of two, and multiples of `1 << ADDRESS_SHIFT`.
pub(crate) const ADDRESS_BITS: u32 = 47;
pub(crate) const ADDRESS_SHIFT: u32 = 0;

/// Whether `pc` can be an address of code. The words on the stack are the addresses themselves.
#[inline(always)]
pub(crate) fn is_plausible(pc: usize) -> bool {
    // One too many, the last of them, is harmless: nobody can run there, and the table keeps it apart from all others.
    pc.wrapping_sub(1) >> ADDRESS_BITS == 0
}
