//! The rule for one address from a module's call frame information: `.eh_frame_hdr`, then the FDE, then its row.
//!
//! Parsing is gimli's; rows are computed in `row.rs`. It does not know what a row means for the architecture (`reduce.rs`
//! does), and it keeps nothing (`rule_cache.rs` does). `walk.rs` calls it on a miss.

use core::ops::Range;

#[cfg(target_arch = "x86_64")]
use gimli::Register;
use gimli::{BaseAddresses, EhFrame, EhFrameHdr, NativeEndian, UnwindSection};

use crate::arch::{REGISTERS, Rule, VENDOR, reduce};
use crate::module::{LoadedModule, module_of};
#[cfg(target_arch = "x86_64")]
use crate::row::RegisterLocation;
use crate::row::{Entry, Section, row_at};

/// The rule at `pc`, the address before a return address; None if it is in no module.
pub(crate) fn rule_at(pc: usize) -> Option<Rule> {
    let module = module_of(pc)?;
    Some(rule_in(&module, pc).unwrap_or(Rule::FramePointer))
}

/// At which distance from its canonical frame address the function at `pc` has saved its caller's `register` there.
#[cfg(target_arch = "x86_64")]
pub(crate) fn saved_at(pc: usize, register: Register) -> Option<i64> {
    let row = with_entry(&module_of(pc)?, pc, |section, bases, entry| row_at(section, bases, entry, pc, register))??;
    match row.frame_pointer {
        RegisterLocation::AtCfa(distance) => Some(distance),
        _ => None,
    }
}

/// None if the module has no information about `pc`.
pub(crate) fn rule_in(module: &LoadedModule, pc: usize) -> Option<Rule> {
    with_entry(module, pc, |section, bases, entry| {
        let row = row_at(section, bases, entry, pc, REGISTERS.frame_pointer);
        row.map_or(Rule::Unsupported, |row| reduce(&row, entry, section, pc))
    })
}

#[inline(always)]
fn with_entry<R>(
    module: &LoadedModule,
    pc: usize,
    then: impl FnOnce(&Section<'_>, &BaseAddresses, &Entry<'_>) -> R,
) -> Option<R> {
    let index = module.readable_from(module.eh_frame_hdr)?;
    // SAFETY: `readable_from` gave the range, and `pc` is on the stack of a thread: its module is loaded.
    let index_bytes = unsafe { LoadedModule::bytes(&index) };
    let found = find_entry(index_bytes, index.start, pc)?;
    let frames = module.readable_from(found.start)?;
    // SAFETY: as above.
    let mut section = EhFrame::new(unsafe { LoadedModule::bytes(&frames) }, NativeEndian);
    section.set_vendor(VENDOR);
    let bases = BaseAddresses::default().set_eh_frame(frames.start as u64);
    let offset = found.end.checked_sub(frames.start)?;
    let entry = section.fde_from_offset(&bases, offset.into(), EhFrame::cie_from_offset).ok()?;
    entry.contains(pc as u64).then(|| then(&section, &bases, &entry))
}

/// From the start of `.eh_frame` to the entry that may cover `pc`, by the sorted table in `.eh_frame_hdr`.
fn find_entry(index: &[u8], address: usize, pc: usize) -> Option<Range<usize>> {
    // Version 1, pointers of 4 bytes relative to themselves, to nothing, and to the section: all linkers write that.
    if index.starts_with(&[1, 0x1b, 0x03, 0x3b]) {
        find_entry_fast(index, address, pc)
    } else {
        find_entry_any(index, address, pc)
    }
}

fn find_entry_fast(index: &[u8], address: usize, pc: usize) -> Option<Range<usize>> {
    const HEADER: usize = 12;
    let section = relative(address + 4, index, 4)?;
    let count = relative(0, index, 8)? & 0xffff_ffff;
    let table = index.get(HEADER..)?.as_chunks::<8>().0;
    let table = table.get(..count.min(table.len()))?;
    let wanted = i32::try_from((pc as isize).wrapping_sub(address as isize)).ok()?;
    let after = table.partition_point(|row| {
        let [a, b, c, d, ..] = *row;
        i32::from_ne_bytes([a, b, c, d]) <= wanted
    });
    let row = table.get(after.checked_sub(1)?)?;
    Some(section..relative(address, row, 4)?)
}

/// `base` plus the signed 4 bytes at `offset`.
fn relative(base: usize, bytes: &[u8], offset: usize) -> Option<usize> {
    let bytes: [u8; 4] = bytes.get(offset..offset + 4)?.try_into().ok()?;
    Some(base.wrapping_add_signed(i32::from_ne_bytes(bytes) as isize))
}

fn find_entry_any(index: &[u8], address: usize, pc: usize) -> Option<Range<usize>> {
    let bases = BaseAddresses::default().set_eh_frame_hdr(address as u64);
    let header = EhFrameHdr::new(index, NativeEndian).parse(&bases, size_of::<usize>() as u8).ok()?;
    let section = header.eh_frame_ptr().direct().ok()?;
    let table = header.table()?;
    // The search multiplies the count, which nobody has checked, and would overflow.
    if table.iter(&bases).size_hint().0 > index.len() {
        return None;
    }
    let entry = table.lookup(pc as u64, &bases).ok()?.direct().ok()?;
    Some(section as usize..entry as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Headers;
    use std::vec::Vec;

    fn table(rows: &[(i32, i32)]) -> Vec<u8> {
        let mut bytes = std::vec![1, 0x1b, 0x03, 0x3b];
        bytes.extend(1000_i32.to_ne_bytes());
        bytes.extend((rows.len() as u32).to_ne_bytes());
        bytes.extend(rows.iter().flat_map(|(pc, entry)| [pc.to_ne_bytes(), entry.to_ne_bytes()]).flatten());
        bytes
    }

    #[test]
    fn the_last_row_at_or_before_the_address_is_found() {
        let address = 0x10_0000;
        let index = table(&[(-0x1000, 2000), (-0x800, 2100), (0x500, 2200)]);
        let entry = |offset: usize| Some(address + 1004..address + offset);
        for (pc, expected) in [(-0x1001, None), (-0x1000, entry(2000)), (-0x801, entry(2000)), (0x4ff, entry(2100))] {
            let pc = address.wrapping_add_signed(pc);
            assert_eq!(find_entry_fast(&index, address, pc), expected);
            if expected.is_some() {
                assert_eq!(find_entry_any(&index, address, pc), expected);
            }
        }
        assert_eq!(find_entry_fast(&index, address, usize::MAX >> 1), None);
    }

    #[test]
    fn a_table_cut_short_is_searched_as_far_as_it_goes() {
        let index = table(&[(0, 2000), (10, 2100), (20, 2200)]);
        for length in 0..index.len() {
            let found = find_entry(&index[..length], 0x10_0000, 0x10_0000 + 30);
            assert_eq!(found.is_some(), length >= 20, "{length}");
        }
        assert_eq!(find_entry(&table(&[]), 0, 0), None);
    }

    #[test]
    fn a_table_that_counts_more_than_fits_is_not_searched() {
        // A count of 8 bytes, which linkers do not write.
        let mut index = std::vec![1, 0x1b, 0x04, 0x3b];
        index.extend(1000_i32.to_ne_bytes());
        index.extend(u64::MAX.to_ne_bytes());
        index.extend([0; 64]);
        assert_eq!(find_entry(&index, 0x10_0000, 0x10_0000), None);
    }

    #[test]
    fn every_function_of_libc_has_a_rule() {
        let module = module_of(libc::getpid as *const () as usize).unwrap();
        let pc = libc::getpid as *const () as usize;
        assert!(rule_at(pc).is_some_and(|rule| !matches!(rule, Rule::FramePointer | Rule::Unsupported)));
        let rules = (module.start..module.end).step_by(101).map(|pc| rule_in(&module, pc));
        let (known, unknown): (Vec<_>, Vec<_>) = rules.partition(|rule| rule.is_some());
        assert!(known.len() > unknown.len() / 2);
        let odd = known.iter().filter(|rule| matches!(rule, Some(Rule::Unsupported))).count();
        assert!(odd < known.len() / 500, "{odd} of {}", known.len());
        let kept = known.iter().flatten().filter(|rule| rule.pack().is_some()).count();
        assert!(kept > known.len() - known.len() / 50, "{kept} of {}", known.len());
    }

    /// A copy of a part of libc with its call frame information, as a module of one segment.
    struct LibcCopy {
        bytes: Vec<u8>,
        header: libc::Elf64_Phdr,
        eh_frame_hdr: usize,
        functions: isize,
    }

    impl LibcCopy {
        fn new() -> LibcCopy {
            let pc = libc::getpid as *const () as usize;
            let module = module_of(pc).unwrap();
            let range = module.readable_from(module.eh_frame_hdr).unwrap();
            // SAFETY: libc is never unloaded.
            let bytes = unsafe { LoadedModule::bytes(&range) }.to_vec();
            let header = libc::Elf64_Phdr {
                p_type: libc::PT_LOAD,
                p_flags: libc::PF_R,
                p_offset: 0,
                p_vaddr: bytes.as_ptr().expose_provenance() as u64,
                p_paddr: 0,
                p_filesz: bytes.len() as u64,
                p_memsz: bytes.len() as u64,
                p_align: 1,
            };
            LibcCopy { bytes, header, eh_frame_hdr: 0, functions: (pc as isize) - range.start as isize }
        }

        fn rule(&self, distance: isize) -> Option<Rule> {
            let start = self.bytes.as_ptr().expose_provenance();
            let headers = Headers { address: (&raw const self.header).expose_provenance(), count: 1 };
            let end = start + self.bytes.len();
            let eh_frame_hdr = start + self.eh_frame_hdr;
            let module = LoadedModule { start, end, load_bias: 0, name: core::ptr::null(), eh_frame_hdr, headers };
            rule_in(&module, start.wrapping_add_signed(self.functions + distance))
        }
    }

    #[test]
    fn broken_information_gives_no_rule_or_any_but_nothing_else() {
        let mut copy = LibcCopy::new();
        let pc = libc::getpid as *const () as usize;
        assert_eq!(copy.rule(0), rule_in(&module_of(pc).unwrap(), pc));
        let mut random = 88172645463325252_u64;
        let mut next = move |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % below
        };
        for round in 0..300 {
            // The header and the table now and then, the entries always.
            for _ in 0..200 {
                let at = next(copy.bytes.len());
                copy.bytes[at] = next(256) as u8;
            }
            let at = next(12);
            let before = copy.bytes[at];
            if round % 3 == 0 {
                copy.bytes[at] = next(256) as u8;
            }
            for _ in 0..100 {
                let _ = copy.rule(next(1 << 20) as isize - (1 << 19));
            }
            copy.bytes[at] = before;
        }
    }
}
