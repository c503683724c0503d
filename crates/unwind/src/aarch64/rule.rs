//! How the registers of a frame's caller follow from its own, and how such a rule packs into 25 bits.
//!
//! ```text
//!   24   23        10 9      3   2      1      0
//!  | odd |  distance |  link  | up | saved | x29 |     distance in 16 bytes, link in words of 8
//! ```
//!
//! | odd | x29 | meaning                                                                              |
//! |-----|-----|--------------------------------------------------------------------------------------|
//! | 0   | 0   | `cfa = sp + distance`; x30 was saved at `cfa - link`, or if up at `sp + link`        |
//! | 0   | 1   | `cfa = x29 + distance`; x30 was saved at `cfa - link`, or if up at `x29 + link`      |
//! | 1   | 0   | `cfa = sp + distance`; x30 still holds the return address                            |
//! | 1   | 1   | no such formula; distance says which                                                 |
//!
//! `saved`: x29 was saved in the word below x30, as every frame record is; else it is unchanged. A record is at the
//! bottom of gcc's frames and at the top of LLVM's, hence the two directions. Everything that is saved lies between sp
//! or x29 and the canonical frame address (`pack` sees to it): a step need check the two ends only.

use crate::rule_cache::PackedRule;

/// From a frame to its caller. In all but the named special cases: `pc = *(cfa + link), sp = cfa`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// An ordinary frame. `link` is negative.
    Frame { cfa: Cfa, link: i64, bp: FramePointerLocation },
    /// Before x30 is saved, after it is loaded again, and where it never is: `pc = x30, sp = cfa`.
    Leaf { cfa: Cfa },
    /// The kernel's signal trampoline: all registers are in the `rt_sigframe` at sp.
    Signal,
    /// The code says that it has no caller.
    Outermost,
    /// No call frame information: if it keeps a frame record, `(pc, bp) = (*(x29 + 8), *x29)`.
    FramePointer,
    /// There is information, but of a kind not handled here.
    Unsupported,
}

/// The canonical frame address: the stack pointer of the caller after the return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cfa {
    /// `sp + n`
    Sp(i64),
    /// `x29 + n`
    Bp(i64),
}

/// Where the caller's x29 is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FramePointerLocation {
    /// Still in x29.
    Unchanged,
    /// `*(cfa + n)`
    AtCfa(i64),
}

/// PackedRule rules below that are ordinary frames.
pub(crate) const ODD: u32 = 1 << 24;
pub(super) const CFA_IS_BP: u32 = 1;
pub(super) const SAVES_BP: u32 = 2;
pub(super) const UP: u32 = 4;
const LEAF: u32 = ODD;
const SPECIAL: u32 = ODD | 1;
const LINK_SHIFT: u32 = 3;
const LINK_BITS: u32 = 7;
const DISTANCE_SHIFT: u32 = LINK_SHIFT + LINK_BITS;
const DISTANCE_BITS: u32 = 24 - DISTANCE_SHIFT;
const DISTANCE_UNIT: i64 = 16;

const _: () = assert!(ODD << 1 == 1 << PackedRule::BITS);

const SPECIALS: [Rule; 4] = [Rule::Signal, Rule::Outermost, Rule::FramePointer, Rule::Unsupported];

impl Rule {
    /// None if a number does not fit or the frame is an unusual one; such a rule is looked up every time.
    pub(crate) fn pack(self) -> Option<PackedRule> {
        let (cfa, link, bp) = match self {
            Rule::Frame { cfa, link, bp } => (cfa, link, bp),
            Rule::Leaf { cfa: Cfa::Sp(n) } => return pack(LEAF, 0, units(n, DISTANCE_UNIT, DISTANCE_BITS)?),
            Rule::Leaf { .. } => return None,
            special => {
                let which = SPECIALS.iter().position(|known| *known == special)?;
                return pack(SPECIAL, 0, which as u32);
            }
        };
        let (kind, size) = match cfa {
            Cfa::Sp(n) => (0, n),
            Cfa::Bp(n) => (CFA_IS_BP, n),
        };
        let distance = units(size, DISTANCE_UNIT, DISTANCE_BITS)?;
        let below = link.checked_neg().filter(|below| *below >= 8 && *below <= size)?;
        let saved = match bp {
            FramePointerLocation::Unchanged => 0,
            FramePointerLocation::AtCfa(n) if n == link - 8 && -n <= size => SAVES_BP,
            FramePointerLocation::AtCfa(_) => return None,
        };
        match units(below, 8, LINK_BITS) {
            Some(link) => pack(kind | saved, link, distance),
            None => pack(kind | saved | UP, units(size - below, 8, LINK_BITS)?, distance),
        }
    }

    pub(crate) fn unpack(packed: PackedRule) -> Rule {
        let fields = Fields(packed.bits());
        let distance = fields.distance() as i64;
        let cfa = if fields.0 & CFA_IS_BP == 0 { Cfa::Sp(distance) } else { Cfa::Bp(distance) };
        match fields.0 & SPECIAL {
            LEAF => Rule::Leaf { cfa },
            SPECIAL => SPECIALS.get(distance as usize / DISTANCE_UNIT as usize).copied().unwrap_or(Rule::Unsupported),
            _ => {
                let link = fields.link() as i64;
                let link = if fields.0 & UP == 0 { -link } else { link - distance };
                let bp = if fields.0 & SAVES_BP == 0 {
                    FramePointerLocation::Unchanged
                } else {
                    FramePointerLocation::AtCfa(link - 8)
                };
                Rule::Frame { cfa, link, bp }
            }
        }
    }
}

/// The parts of a packed rule, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Fields(pub(super) u32);

impl Fields {
    #[inline(always)]
    pub(super) fn distance(self) -> usize {
        (self.0 >> (DISTANCE_SHIFT - 4) & (((1 << DISTANCE_BITS) - 1) << 4)) as usize
    }

    #[inline(always)]
    pub(super) fn link(self) -> usize {
        (self.0 & (((1 << LINK_BITS) - 1) << LINK_SHIFT)) as usize
    }
}

fn pack(kind: u32, link: u32, distance: u32) -> Option<PackedRule> {
    PackedRule::new(kind | link << LINK_SHIFT | distance << DISTANCE_SHIFT)
}

/// `bytes / unit` if that is exact and fits into `bits`.
fn units(bytes: i64, unit: i64, bits: u32) -> Option<u32> {
    let units = u32::try_from(bytes / unit).ok()?;
    (bytes % unit == 0 && units >> bits == 0).then_some(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(cfa: Cfa, link: i64, bp: FramePointerLocation) -> Rule {
        Rule::Frame { cfa, link, bp }
    }

    #[test]
    fn what_packs_unpacks_to_itself() {
        let most = ((1 << DISTANCE_BITS) - 1) * DISTANCE_UNIT;
        let both = |n: i64| [Cfa::Sp(n), Cfa::Bp(n)];
        for cfa in [16, 48, 1024, 5008, most].into_iter().flat_map(both) {
            let (Cfa::Sp(size) | Cfa::Bp(size)) = cfa;
            // The record at the top, near the bottom, at the bottom.
            for link in [-8, 24 - size, 8 - size].into_iter().filter(|link| *link < 0) {
                for bp in [FramePointerLocation::Unchanged, FramePointerLocation::AtCfa(link - 8)] {
                    assert_eq!(frame(cfa, link, bp).pack().map(Rule::unpack), Some(frame(cfa, link, bp)));
                }
            }
        }
        for rule in SPECIALS.into_iter().chain([0, 16, most].map(|n| Rule::Leaf { cfa: Cfa::Sp(n) })) {
            assert_eq!(rule.pack().map(Rule::unpack), Some(rule));
            assert!(rule.pack().is_some_and(|packed| packed.bits() >= ODD));
        }
    }

    #[test]
    fn what_does_not_fit_does_not_pack() {
        let record = FramePointerLocation::AtCfa(-16);
        for size in [0, 8, -16, 24, 1 << 18, i64::MAX, i64::MIN] {
            assert_eq!(frame(Cfa::Sp(size), -8, record).pack(), None, "{size}");
            assert_eq!(frame(Cfa::Bp(size), -8, record).pack(), None, "{size}");
        }
        for link in [0, 8, -4, -24, i64::MIN, i64::MAX] {
            assert_eq!(frame(Cfa::Sp(16), link, FramePointerLocation::Unchanged).pack(), None, "{link}");
        }
        // x29 elsewhere than below x30, or below everything.
        for (link, bp) in [(-8, -24), (-8, 0), (-16, -8), (-32, -40)] {
            assert_eq!(frame(Cfa::Sp(32), link, FramePointerLocation::AtCfa(bp)).pack(), None, "{link} {bp}");
        }
        // In the middle of a large frame.
        assert_eq!(frame(Cfa::Sp(8192), -4096, FramePointerLocation::Unchanged).pack(), None);
        assert_eq!(Rule::Leaf { cfa: Cfa::Bp(16) }.pack(), None);
    }
}
