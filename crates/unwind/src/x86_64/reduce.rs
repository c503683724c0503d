//! From a row of call frame information to a rule. `cfi.rs` calls it; it reads no memory but the expressions in
//! `.eh_frame`.

use gimli::{Operation, Register, UnwindExpression, Vendor, X86_64};

use super::rule::{Cfa, FramePointerLocation, Rule};
use crate::row::{CfaRule, Entry, RegisterLocation, RegisterNumbers, Row, Section, Slice};

pub(crate) const REGISTERS: RegisterNumbers =
    RegisterNumbers { return_address: X86_64::RA, frame_pointer: X86_64::RBP };
pub(crate) const VENDOR: Vendor = Vendor::Default;

type Operations<'a> = gimli::OperationIter<Slice<'a>>;

/// The rule that the row for `pc` asks for, [`Rule::Unsupported`] if no rule can say it.
pub(crate) fn reduce(row: &Row, entry: &Entry<'_>, section: &Section<'_>, pc: usize) -> Rule {
    if matches!(row.return_address, RegisterLocation::Undefined) {
        return Rule::Outermost;
    }
    let operations =
        |expression: &UnwindExpression<usize>| Some(expression.get(section).ok()?.operations(entry.cie().encoding()));
    if entry.is_signal_trampoline() {
        return signal(row, operations);
    }
    let cfa = match &row.cfa {
        CfaRule::Offset(X86_64::RSP, n) => Some(Cfa::Sp(*n)),
        CfaRule::Offset(X86_64::RBP, n) => Some(Cfa::Bp(*n)),
        CfaRule::Offset(register, n) => Some(Cfa::Register(register.0, *n)),
        CfaRule::Expression(expression) => operations(expression).and_then(|operations| cfa(operations, pc)),
        _ => None,
    };
    let bp = match &row.frame_pointer {
        RegisterLocation::Unchanged | RegisterLocation::Undefined => Some(FramePointerLocation::Unchanged),
        RegisterLocation::AtCfa(n) => Some(FramePointerLocation::AtCfa(*n)),
        RegisterLocation::Expression(expression) => operations(expression).and_then(saved_at_bp),
        RegisterLocation::Otherwise => None,
    };
    match (cfa, bp, row.return_address) {
        (Some(cfa), Some(bp), RegisterLocation::AtCfa(-8)) => Rule::Frame { cfa, bp },
        _ => Rule::Unsupported,
    }
}

/// The kernel's frame, if the row says what glibc's does: the interrupted rsp is in the `ucontext` at rsp.
fn signal<'a>(row: &Row, operations: impl Fn(&UnwindExpression<usize>) -> Option<Operations<'a>>) -> Rule {
    const UCONTEXT_SP: i64 = 160;
    let CfaRule::Expression(expression) = &row.cfa else {
        return Rule::Unsupported;
    };
    match operations(expression).and_then(dereferenced) {
        Some((X86_64::RSP, UCONTEXT_SP)) => Rule::Signal,
        _ => Rule::Unsupported,
    }
}

fn cfa(operations: Operations<'_>, pc: usize) -> Option<Cfa> {
    match dereferenced(operations) {
        Some((X86_64::RBP, n)) => Some(Cfa::AtBp(n)),
        _ => saved_sp(operations).or_else(|| procedure_linkage(operations, pc)),
    }
}

/// `*(rsp + at) + plus`: how assembly that realigns its stack says where it saved rsp.
fn saved_sp(mut operations: Operations<'_>) -> Option<Cfa> {
    let mut next = || operations.next().ok().flatten();
    let Operation::RegisterOffset { register: X86_64::RSP, offset: at, .. } = next()? else {
        return None;
    };
    let Operation::Deref { size: 8, space: false, .. } = next()? else {
        return None;
    };
    match (next(), next()) {
        (Some(Operation::PlusConstant { value }), None) => Some(Cfa::AtSp { at, plus: i64::try_from(value).ok()? }),
        _ => None,
    }
}

/// `*rbp`: how functions that realign their stack say where rbp was saved.
fn saved_at_bp(mut operations: Operations<'_>) -> Option<FramePointerLocation> {
    match (operations.next(), operations.next()) {
        (Ok(Some(Operation::RegisterOffset { register: X86_64::RBP, offset: 0, .. })), Ok(None)) => {
            Some(FramePointerLocation::AtBp)
        }
        _ => None,
    }
}

/// `*(register + n)`
fn dereferenced(mut operations: Operations<'_>) -> Option<(Register, i64)> {
    match (operations.next(), operations.next(), operations.next()) {
        (
            Ok(Some(Operation::RegisterOffset { register, offset, .. })),
            Ok(Some(Operation::Deref { size: 8, space: false, .. })),
            Ok(None),
        ) => Some((register, offset)),
        _ => None,
    }
}

/// `rsp + n + (((rip & mask) >= limit) << shift)`: what linkers write for the entries of a procedure linkage table,
/// which push 8 bytes when they are `limit` bytes in. For one `pc` it is an ordinary rule.
fn procedure_linkage(mut operations: Operations<'_>, pc: usize) -> Option<Cfa> {
    let mut next = || operations.next().ok().flatten();
    let Operation::RegisterOffset { register: X86_64::RSP, offset, .. } = next()? else {
        return None;
    };
    let Operation::RegisterOffset { register: X86_64::RA, offset: 0, .. } = next()? else {
        return None;
    };
    let Operation::UnsignedConstant { value: mask } = next()? else {
        return None;
    };
    let Operation::And = next()? else { return None };
    let Operation::UnsignedConstant { value: limit } = next()? else {
        return None;
    };
    let Operation::Ge = next()? else { return None };
    let Operation::UnsignedConstant { value: shift @ 0..32 } = next()? else {
        return None;
    };
    let (Operation::Shl, Operation::Plus, None) = (next()?, next()?, next()) else {
        return None;
    };
    let pushed = i64::from(pc as u64 & mask >= limit) << shift;
    Some(Cfa::Sp(offset.checked_add(pushed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{Encoding, EndianSlice, Expression, Format, NativeEndian};

    fn operations(bytes: &[u8]) -> Operations<'_> {
        let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 5 };
        Expression(EndianSlice::new(bytes, NativeEndian)).operations(encoding)
    }

    // DW_OP_breg7 8, breg16 0, lit15, and, lit11, ge, lit3, shl, plus
    const LINKAGE: [u8; 11] = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];

    #[test]
    fn a_linkage_table_entry_pushes_in_its_last_bytes() {
        for (pc, expected) in [(0x1000, 8), (0x100a, 8), (0x100b, 16), (0x100f, 16), (0x1010, 8)] {
            assert_eq!(cfa(operations(&LINKAGE), pc), Some(Cfa::Sp(expected)));
        }
    }

    #[test]
    fn a_realigned_frame_is_found_through_rbp() {
        assert_eq!(cfa(operations(&[0x76, 0x78, 0x06]), 0), Some(Cfa::AtBp(-8)));
        assert_eq!(saved_at_bp(operations(&[0x76, 0])), Some(FramePointerLocation::AtBp));
    }

    #[test]
    fn a_saved_stack_pointer_is_followed() {
        // DW_OP_breg7 152, deref, plus_uconst 8
        let bytes = [0x77, 0x98, 0x01, 0x06, 0x23, 8];
        assert_eq!(cfa(operations(&bytes), 0), Some(Cfa::AtSp { at: 152, plus: 8 }));
        for length in 0..bytes.len() {
            assert_eq!(cfa(operations(&bytes[..length]), 0), None);
        }
    }

    #[test]
    fn other_expressions_are_not_guessed() {
        for length in 0..LINKAGE.len() {
            assert_eq!(cfa(operations(&LINKAGE[..length]), 0), None);
        }
        for bytes in [&[0x76, 0x78, 0x06, 0x06][..], &[0x73, 0x78, 0x06], &[0xff], &[0x76, 0x80], &[]] {
            assert_eq!(cfa(operations(bytes), 0), None);
            assert_eq!(saved_at_bp(operations(bytes)), None);
        }
    }
}
