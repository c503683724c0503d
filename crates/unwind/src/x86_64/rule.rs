//! How the registers of a frame's caller follow from its own, and how such a rule packs into 25 bits.
//!
//! ```text
//!   24   23          9 8          3 2   0
//!  | odd |  distance  | saved rbp  | cfa |     both in words of 8 bytes: the saved field masked is a number of bytes
//! ```
//!
//! | odd | cfa | meaning                | distance    | saved rbp                                     |
//! |-----|-----|------------------------|-------------|-----------------------------------------------|
//! | 0   | 0   | `cfa = rsp + distance` | 1..=32767   | 1: unchanged; n: at `cfa - 8n`, n <= distance |
//! | 0   | 1   | `cfa = rbp + distance` | 0..=32767   | the same                                      |
//! | 1   | 0   | `cfa = *(rbp - distance)` | 0..=32767 | the same, and 0: at `rbp`                    |
//! | 1   | 1   | no such formula        | which one   | 0                                             |
//!
//! Nearly all rules are not odd: so one comparison tells a hit in the table with a rule that needs no further thought.
//! 1 stands for "unchanged" because `cfa - 8` holds the return address: a step may load the word there and drop it.

use crate::rule_cache::PackedRule;

/// From a frame to its caller. In all but the named special cases: `pc = *(cfa - 8), sp = cfa`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// An ordinary frame.
    Frame { cfa: Cfa, bp: FramePointerLocation },
    /// The kernel's signal trampoline: all registers are in the `ucontext` at rsp.
    Signal,
    /// The code says that it has no caller.
    Outermost,
    /// No call frame information: if it keeps a frame pointer, `(pc, sp, bp) = (*(rbp + 8), rbp + 16, *rbp)`.
    FramePointer,
    /// There is information, but of a kind not handled here.
    Unsupported,
}

/// The canonical frame address: the stack pointer of the caller after the return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cfa {
    /// `rsp + n`
    Sp(i64),
    /// `rbp + n`
    Bp(i64),
    /// `*(rbp + n)`: functions that realign their stack
    AtBp(i64),
    /// `*(rsp + at) + plus`: assembly that realigns its stack (OpenSSL's). Only a signal handler is called from there.
    AtSp { at: i64, plus: i64 },
    /// `register + n`, by its DWARF number: the dynamic loader's resolver (rbx), and the first instructions of functions
    /// that only signal handlers interrupt.
    Register(u16, i64),
}

/// Where the caller's rbp is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FramePointerLocation {
    /// Still in rbp.
    Unchanged,
    /// `*(cfa + n)`
    AtCfa(i64),
    /// `*rbp`: functions that realign their stack
    AtBp,
}

/// PackedRule rules below that are of the first two kinds, with a saved field of at least 1.
pub(crate) const ODD: u32 = 1 << 24;
const BY_SP: u32 = 0;
pub(super) const CFA_IS_BP: u32 = 1;
const AT_BP: u32 = ODD;
const SPECIAL: u32 = ODD | 1;
pub(super) const UNCHANGED: u32 = 1;
const SAVED_SHIFT: u32 = 3;
const SAVED_BITS: u32 = 6;
const DISTANCE_SHIFT: u32 = SAVED_SHIFT + SAVED_BITS;
const DISTANCE_BITS: u32 = 24 - DISTANCE_SHIFT;

const _: () = assert!(ODD << 1 == 1 << PackedRule::BITS);

const SPECIALS: [Rule; 4] = [Rule::Signal, Rule::Outermost, Rule::FramePointer, Rule::Unsupported];

impl Rule {
    /// None if a number is too large or not a multiple of 8, or the formula rare; such a rule is looked up every time.
    pub(crate) fn pack(self) -> Option<PackedRule> {
        let Rule::Frame { cfa, bp } = self else {
            let which = SPECIALS.iter().position(|special| *special == self)?;
            return pack(SPECIAL, 0, which as u32);
        };
        let (kind, distance) = match cfa {
            Cfa::Sp(n) => (BY_SP, words(n, DISTANCE_BITS).filter(|words| *words > 0)?),
            Cfa::Bp(n) => (CFA_IS_BP, words(n, DISTANCE_BITS)?),
            Cfa::AtBp(n) => (AT_BP, words(n.checked_neg()?, DISTANCE_BITS)?),
            Cfa::AtSp { .. } | Cfa::Register(..) => return None,
        };
        let saved = match bp {
            FramePointerLocation::Unchanged => UNCHANGED,
            FramePointerLocation::AtCfa(n) => words(n.checked_neg()?, SAVED_BITS).filter(|words| *words > 1)?,
            FramePointerLocation::AtBp if kind == AT_BP => 0,
            FramePointerLocation::AtBp => return None,
        };
        // A function that was interrupted may have saved rbp below its rsp.
        if kind == BY_SP && saved > distance {
            return None;
        }
        pack(kind, saved, distance)
    }

    pub(crate) fn unpack(packed: PackedRule) -> Rule {
        let packed = Fields(packed.bits());
        let distance = packed.distance() as i64;
        let bp = match packed.saved() as i64 / 8 {
            0 => FramePointerLocation::AtBp,
            1 => FramePointerLocation::Unchanged,
            words => FramePointerLocation::AtCfa(words * -8),
        };
        match packed.0 & (ODD | CFA_IS_BP) {
            BY_SP => Rule::Frame { cfa: Cfa::Sp(distance), bp },
            CFA_IS_BP => Rule::Frame { cfa: Cfa::Bp(distance), bp },
            AT_BP => Rule::Frame { cfa: Cfa::AtBp(-distance), bp },
            _ => SPECIALS.get(distance as usize / 8).copied().unwrap_or(Rule::Unsupported),
        }
    }
}

/// The parts of a packed rule, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Fields(pub(super) u32);

impl Fields {
    #[inline(always)]
    pub(super) fn distance(self) -> usize {
        (self.0 >> (DISTANCE_SHIFT - 3) & (((1 << DISTANCE_BITS) - 1) << 3)) as usize
    }

    #[inline(always)]
    pub(super) fn saved(self) -> usize {
        (self.0 & (((1 << SAVED_BITS) - 1) << SAVED_SHIFT)) as usize
    }
}

fn pack(kind: u32, saved: u32, distance: u32) -> Option<PackedRule> {
    PackedRule::new(kind | saved << SAVED_SHIFT | distance << DISTANCE_SHIFT)
}

/// `bytes / 8` if that is exact and fits into `bits`.
fn words(bytes: i64, bits: u32) -> Option<u32> {
    let words = u32::try_from(bytes / 8).ok()?;
    (bytes % 8 == 0 && words >> bits == 0).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(cfa: Cfa, bp: FramePointerLocation) -> Rule {
        Rule::Frame { cfa, bp }
    }

    #[test]
    fn what_packs_unpacks_to_itself() {
        let cfas = [Cfa::Sp(63 * 8), Cfa::Sp(32767 * 8), Cfa::Bp(0), Cfa::Bp(16), Cfa::AtBp(0), Cfa::AtBp(-8)];
        let saved =
            [FramePointerLocation::Unchanged, FramePointerLocation::AtCfa(-16), FramePointerLocation::AtCfa(-63 * 8)];
        let frames = cfas.iter().flat_map(|cfa| saved.iter().map(|bp| frame(*cfa, *bp)));
        let others =
            [frame(Cfa::AtBp(-8), FramePointerLocation::AtBp), frame(Cfa::Sp(8), FramePointerLocation::Unchanged)];
        for rule in frames.chain(SPECIALS).chain(others) {
            assert_eq!(rule.pack().map(Rule::unpack), Some(rule));
        }
    }

    #[test]
    fn what_does_not_fit_does_not_pack() {
        let unchanged = FramePointerLocation::Unchanged;
        for cfa in [0, -8, 4, 32768 * 8, i64::MAX, i64::MIN].map(Cfa::Sp) {
            assert_eq!(frame(cfa, unchanged).pack(), None);
        }
        for cfa in [8, i64::MIN, -4, -32768 * 8].map(Cfa::AtBp) {
            assert_eq!(frame(cfa, unchanged).pack(), None);
        }
        for n in [0, -8, 8, -64 * 8, i64::MIN, -24] {
            assert_eq!(frame(Cfa::Sp(16), FramePointerLocation::AtCfa(n)).pack(), None);
        }
        assert_eq!(frame(Cfa::Sp(8), FramePointerLocation::AtBp).pack(), None);
        assert_eq!(frame(Cfa::AtSp { at: 8, plus: 8 }, unchanged).pack(), None);
    }
}
