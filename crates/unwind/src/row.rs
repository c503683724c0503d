//! The row of call frame information for one address: runs an entry's instructions up to it.
//!
//! For the three registers a walk needs, which takes a few hundred bytes of stack where gimli's general table takes several
//! thousand. It does not find the entry (`cfi.rs` does) and does not know what a row means for the architecture
//! (`x86_64/reduce.rs` does).

use gimli::{
    BaseAddresses, CallFrameInstruction, CallFrameInstructionIter, CommonInformationEntry, EhFrame, EndianSlice,
    FrameDescriptionEntry, NativeEndian, Register, UnwindExpression,
};

use crate::arch::REGISTERS;

pub(crate) type Slice<'a> = EndianSlice<'a, NativeEndian>;
pub(crate) type Section<'a> = EhFrame<Slice<'a>>;
pub(crate) type Entry<'a> = FrameDescriptionEntry<Slice<'a>>;

/// How the canonical frame address is found.
#[derive(Clone, Copy)]
pub(crate) enum CfaRule {
    Unknown,
    Offset(Register, i64),
    #[cfg_attr(target_arch = "aarch64", expect(dead_code, reason = "only frames of scalable vectors have any"))]
    Expression(UnwindExpression<usize>),
}

/// Where the caller's value of a register is.
#[derive(Clone, Copy)]
pub(crate) enum RegisterLocation {
    /// Nothing is said: it has not been changed.
    Unchanged,
    Undefined,
    /// At that distance from the canonical frame address.
    AtCfa(i64),
    #[cfg_attr(target_arch = "aarch64", expect(dead_code, reason = "only frames of scalable vectors have any"))]
    Expression(UnwindExpression<usize>),
    /// In some way that no ordinary function has.
    Otherwise,
}

/// The rules that hold at one address.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) cfa: CfaRule,
    pub(crate) return_address: RegisterLocation,
    pub(crate) frame_pointer: RegisterLocation,
}

/// The DWARF numbers of the registers that a row is about.
pub(crate) struct RegisterNumbers {
    pub(crate) return_address: Register,
    pub(crate) frame_pointer: Register,
}

/// The row for `pc`, which says of `register` what it usually says of the frame pointer.
#[inline(never)]
pub(crate) fn row_at(
    section: &Section<'_>,
    bases: &BaseAddresses,
    entry: &Entry<'_>,
    pc: usize,
    register: Register,
) -> Option<Row> {
    let cie = entry.cie();
    let mut table = Table::new(cie, register);
    table.run(cie.instructions(section, bases))?;
    table.initial = table.row;
    (table.location, table.pc) = (entry.initial_address(), pc as u64);
    table.run(entry.instructions(section, bases))?;
    Some(table.row)
}

/// Rows nest where a function returns early in the middle; compilers do not nest that.
const MAX_REMEMBERED: usize = 2;
/// The largest functions have thousands.
const MAX_INSTRUCTIONS: usize = 1 << 16;

/// The state of a call frame program on its way to the row for `pc`.
struct Table {
    row: Row,
    initial: Row,
    remembered: [Row; MAX_REMEMBERED],
    depth: usize,
    /// The first address that the present row is for.
    location: u64,
    pc: u64,
    code_alignment: u64,
    data_alignment: i64,
    /// The register whose location takes the frame pointer's column.
    register: Register,
}

impl Table {
    /// For the initial instructions, which have no end.
    fn new(cie: &CommonInformationEntry<Slice<'_>>, register: Register) -> Table {
        let row = Row {
            cfa: CfaRule::Unknown,
            return_address: RegisterLocation::Unchanged,
            frame_pointer: RegisterLocation::Unchanged,
        };
        Table {
            row,
            initial: row,
            remembered: [row; MAX_REMEMBERED],
            depth: 0,
            location: 0,
            pc: u64::MAX,
            code_alignment: cie.code_alignment_factor(),
            data_alignment: cie.data_alignment_factor(),
            register,
        }
    }

    /// Runs the program until the next row would start after `pc`. None if it cannot be run.
    fn run(&mut self, mut program: CallFrameInstructionIter<'_, Slice<'_>>) -> Option<()> {
        for _ in 0..MAX_INSTRUCTIONS {
            let Some(instruction) = program.next().ok()? else {
                return Some(());
            };
            let next = match instruction {
                CallFrameInstruction::SetLoc { address } => address,
                CallFrameInstruction::AdvanceLoc { delta } => {
                    self.location.wrapping_add(u64::from(delta).wrapping_mul(self.code_alignment))
                }
                other => {
                    self.execute(other)?;
                    continue;
                }
            };
            if next > self.pc {
                return Some(());
            }
            self.location = next;
        }
        None
    }

    fn execute(&mut self, instruction: CallFrameInstruction<usize>) -> Option<()> {
        use CallFrameInstruction as I;
        match instruction {
            I::DefCfa { register, offset } => self.row.cfa = CfaRule::Offset(register, offset as i64),
            I::DefCfaSf { register, factored_offset } => {
                self.row.cfa = CfaRule::Offset(register, self.factored(factored_offset));
            }
            I::DefCfaRegister { register } => self.row.cfa = CfaRule::Offset(register, self.cfa_offset()?.1),
            I::DefCfaOffset { offset } => self.row.cfa = CfaRule::Offset(self.cfa_offset()?.0, offset as i64),
            I::DefCfaOffsetSf { factored_offset } => {
                self.row.cfa = CfaRule::Offset(self.cfa_offset()?.0, self.factored(factored_offset));
            }
            I::DefCfaExpression { expression } => self.row.cfa = CfaRule::Expression(expression),
            I::Undefined { register } => self.save(register, RegisterLocation::Undefined),
            I::SameValue { register } => self.save(register, RegisterLocation::Unchanged),
            I::Offset { register, factored_offset } => {
                self.save(register, RegisterLocation::AtCfa(self.factored(factored_offset as i64)));
            }
            I::OffsetExtendedSf { register, factored_offset } => {
                self.save(register, RegisterLocation::AtCfa(self.factored(factored_offset)));
            }
            I::Expression { register, expression } => self.save(register, RegisterLocation::Expression(expression)),
            I::ValOffset { register, .. }
            | I::ValOffsetSf { register, .. }
            | I::ValExpression { register, .. }
            | I::Register { dest_register: register, .. } => self.save(register, RegisterLocation::Otherwise),
            I::Restore { register } => self.restore(register),
            I::RememberState => {
                *self.remembered.get_mut(self.depth)? = self.row;
                self.depth += 1;
            }
            I::RestoreState => {
                self.depth = self.depth.checked_sub(1)?;
                self.row = *self.remembered.get(self.depth)?;
            }
            // Of no effect on these registers, or handled by `run`.
            _ => {}
        }
        Some(())
    }

    fn cfa_offset(&self) -> Option<(Register, i64)> {
        match self.row.cfa {
            CfaRule::Offset(register, offset) => Some((register, offset)),
            _ => None,
        }
    }

    fn factored(&self, offset: i64) -> i64 {
        offset.wrapping_mul(self.data_alignment)
    }

    fn save(&mut self, register: Register, saved: RegisterLocation) {
        if register == REGISTERS.return_address {
            self.row.return_address = saved;
        } else if register == self.register {
            self.row.frame_pointer = saved;
        }
    }

    fn restore(&mut self, register: Register) {
        if register == REGISTERS.return_address {
            self.row.return_address = self.initial.return_address;
        } else if register == self.register {
            self.row.frame_pointer = self.initial.frame_pointer;
        }
    }
}
