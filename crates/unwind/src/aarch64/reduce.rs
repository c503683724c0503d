//! From a row of call frame information to a rule. `cfi.rs` calls it; it reads no memory but `.eh_frame`.

use gimli::{AArch64, FrameDescriptionEntry, Vendor};

use super::rule::{Cfa, FramePointerLocation, Rule};
use crate::row::{CfaRule, RegisterLocation, RegisterNumbers, Row, Section, Slice};

pub(crate) const REGISTERS: RegisterNumbers =
    RegisterNumbers { return_address: AArch64::X30, frame_pointer: AArch64::X29 };
/// The vendor whose instructions a program may have: `DW_CFA_AARCH64_negate_ra_state` says that return addresses are signed from
/// here on. It needs no rule, because every address that is read is rid of a signature.
pub(crate) const VENDOR: Vendor = Vendor::AArch64;

/// The rule that the row asks for, [`Rule::Unsupported`] if no rule can say it.
pub(crate) fn reduce(row: &Row, entry: &FrameDescriptionEntry<Slice<'_>>, _: &Section<'_>, _pc: usize) -> Rule {
    if matches!(row.return_address, RegisterLocation::Undefined) {
        return Rule::Outermost;
    }
    // The vDSO of kernels before 5.8. Its row leads from the handler to the caller of what was interrupted.
    if entry.is_signal_trampoline() {
        return Rule::Signal;
    }
    rule(row).unwrap_or(Rule::Unsupported)
}

fn rule(row: &Row) -> Option<Rule> {
    let cfa = match row.cfa {
        CfaRule::Offset(AArch64::SP, n) => Cfa::Sp(n),
        CfaRule::Offset(AArch64::X29, n) => Cfa::Bp(n),
        _ => return None,
    };
    let bp = match row.frame_pointer {
        RegisterLocation::Unchanged | RegisterLocation::Undefined => FramePointerLocation::Unchanged,
        RegisterLocation::AtCfa(n) => FramePointerLocation::AtCfa(n),
        _ => return None,
    };
    match (row.return_address, bp) {
        (RegisterLocation::AtCfa(link), bp) => Some(Rule::Frame { cfa, link, bp }),
        (RegisterLocation::Unchanged, FramePointerLocation::Unchanged) => Some(Rule::Leaf { cfa }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_compilers_are_rules() {
        let sp = |n| CfaRule::Offset(AArch64::SP, n);
        let row = |cfa, return_address, frame_pointer| rule(&Row { cfa, return_address, frame_pointer });
        let record = FramePointerLocation::AtCfa(-48);
        assert_eq!(
            row(sp(48), RegisterLocation::AtCfa(-40), RegisterLocation::AtCfa(-48)),
            Some(Rule::Frame { cfa: Cfa::Sp(48), link: -40, bp: record })
        );
        assert_eq!(
            row(CfaRule::Offset(AArch64::X29, 48), RegisterLocation::AtCfa(-40), RegisterLocation::AtCfa(-48)),
            Some(Rule::Frame { cfa: Cfa::Bp(48), link: -40, bp: record })
        );
        assert_eq!(
            row(sp(0), RegisterLocation::Unchanged, RegisterLocation::Unchanged),
            Some(Rule::Leaf { cfa: Cfa::Sp(0) })
        );
        assert_eq!(row(sp(16), RegisterLocation::Unchanged, RegisterLocation::AtCfa(-16)), None);
        assert_eq!(row(sp(16), RegisterLocation::Otherwise, RegisterLocation::Unchanged), None);
        assert_eq!(row(sp(16), RegisterLocation::AtCfa(-8), RegisterLocation::Otherwise), None);
        assert_eq!(
            row(CfaRule::Offset(AArch64::X19, 16), RegisterLocation::AtCfa(-8), RegisterLocation::Unchanged),
            None
        );
        assert_eq!(row(CfaRule::Unknown, RegisterLocation::AtCfa(-8), RegisterLocation::Unchanged), None);
    }
}
