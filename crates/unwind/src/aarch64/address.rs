//! The form of an address of code on this architecture. `step.rs`, `checks.rs` and the table of rules use it.

/// Addresses of code are below this power of two (a kernel with larger ones hands them out on demand only), and
/// multiples of `1 << ADDRESS_SHIFT`.
pub(crate) const ADDRESS_BITS: u32 = 48;
pub(crate) const ADDRESS_SHIFT: u32 = 2;
/// How long an instruction is, in bytes.
pub(super) const INSTRUCTION: usize = 1 << ADDRESS_SHIFT;

/// Whether `pc`, an address without a signature, can be one of code.
#[inline(always)]
pub(crate) fn is_plausible(pc: usize) -> bool {
    // One too many, as on x86_64.
    pc.wrapping_sub(1) >> ADDRESS_BITS == 0 && pc.is_multiple_of(INSTRUCTION)
}
