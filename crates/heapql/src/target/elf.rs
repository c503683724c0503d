//! The little of an ELF file that tells how it is linked: 64-bit, in this machine's byte order.
//!
//! Not a general parser: symbols are another crate's. The file is untrusted; whatever does not add up is "dynamic", that
//! is, no objection. Offsets and numbers are from elf(5). Called by `target`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const PROGRAM_HEADER_BYTES: usize = 56;
const MAX_PROGRAM_HEADERS: usize = 256;
const MAX_DYNAMIC_BYTES: u64 = 64 << 10;
const MAX_NAME_BYTES: usize = 256;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Linkage {
    Dynamic,
    /// No interpreter is named in it.
    Static,
    OtherMachine,
    /// Such as musl.
    OtherLibc,
    AddressSanitizer,
}

#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

pub(super) struct Elf {
    file: File,
    is_foreign: bool,
    segments: Vec<Segment>,
}

impl Elf {
    /// `None` if it is no ELF file or cannot be read.
    pub(super) fn open(path: &Path) -> Option<Elf> {
        let file = File::open(path).ok()?;
        let header: [u8; 64] = read(&file, 0)?;
        if !header.starts_with(b"\x7fELF") {
            return None;
        }
        let (class, order) = (header[4], header[5]);
        let native_order = if cfg!(target_endian = "little") { 1 } else { 2 };
        if class != 2 || order != native_order || u16_at(&header, 18) != MACHINE {
            return Some(Elf { file, is_foreign: true, segments: Vec::new() });
        }
        let (table, count) = (u64_at(&header, 32), u16_at(&header, 56) as usize);
        let at = |i: usize| table.checked_add((i * PROGRAM_HEADER_BYTES) as u64);
        let segments = (0..count.min(MAX_PROGRAM_HEADERS)).map_while(|i| segment(&file, at(i)?)).collect();
        Some(Elf { file, is_foreign: false, segments })
    }

    pub(super) fn linkage(&self) -> Linkage {
        if self.is_foreign {
            return Linkage::OtherMachine;
        }
        let Some(interpreter) = self.segment(PT_INTERP) else {
            return Linkage::Static;
        };
        let interpreter = self.text(interpreter.offset);
        if !interpreter.rsplit('/').next().is_some_and(|name| name.starts_with("ld-linux")) {
            return Linkage::OtherLibc;
        }
        let sanitizers = ["libasan.so", "libtsan.so", "libclang_rt.asan"];
        if self.needed().iter().any(|name| sanitizers.iter().any(|sanitizer| name.starts_with(sanitizer))) {
            return Linkage::AddressSanitizer;
        }
        Linkage::Dynamic
    }

    fn segment(&self, kind: u32) -> Option<Segment> {
        self.segments.iter().copied().find(|segment| segment.kind == kind)
    }

    /// Names of the libraries it is linked with.
    fn needed(&self) -> Vec<String> {
        let Some(dynamic) = self.segment(PT_DYNAMIC) else {
            return Vec::new();
        };
        let entries = dynamic.bytes.min(MAX_DYNAMIC_BYTES) / 16;
        let entries: Vec<(u64, u64)> = (0..entries)
            .map_while(|i| {
                let entry: [u8; 16] = read(&self.file, dynamic.offset.checked_add(i * 16)?)?;
                Some((u64_at(&entry, 0), u64_at(&entry, 8)))
            })
            .collect();
        let strings = entries.iter().find(|(tag, _)| *tag == DT_STRTAB).and_then(|(_, at)| self.offset_of(*at));
        let Some(strings) = strings else {
            return Vec::new();
        };
        let names = entries.iter().filter(|(tag, _)| *tag == DT_NEEDED);
        names.filter_map(|(_, at)| Some(self.text(strings.checked_add(*at)?))).collect()
    }

    /// Where in the file an address of the loaded program lies.
    fn offset_of(&self, address: u64) -> Option<u64> {
        let holds = |segment: &&Segment| {
            segment.kind == PT_LOAD && address.checked_sub(segment.address).is_some_and(|at| at < segment.bytes)
        };
        let segment = self.segments.iter().find(holds)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// A text that ends with a zero byte; the empty one if there is none.
    fn text(&self, offset: u64) -> String {
        let mut bytes = [0; MAX_NAME_BYTES];
        let got = self.file.read_at(&mut bytes, offset).unwrap_or(0);
        let text = bytes[..got].split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

fn segment(file: &File, at: u64) -> Option<Segment> {
    let header: [u8; PROGRAM_HEADER_BYTES] = read(file, at)?;
    Some(Segment {
        kind: u32_at(&header, 0),
        offset: u64_at(&header, 8),
        address: u64_at(&header, 16),
        bytes: u64_at(&header, 32),
    })
}

fn read<const N: usize>(file: &File, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_test_is_linked_with_libc() {
        let elf = Elf::open(Path::new("/proc/self/exe")).expect("an ELF file");
        assert_eq!(elf.linkage(), Linkage::Dynamic);
        assert!(elf.needed().iter().any(|name| name == "libc.so.6"), "{:?}", elf.needed());
    }

    #[test]
    fn what_is_no_elf_file_is_none() {
        assert!(Elf::open(Path::new("/proc/self/cmdline")).is_none());
        assert!(Elf::open(Path::new("/nonexistent")).is_none());
    }

    /// A file with one program header of `kind` whose text is `text`.
    fn made(kind: u32, text: &[u8]) -> tempfile::NamedTempFile {
        let mut bytes = fs::read("/proc/self/exe").expect("read")[..64].to_vec();
        bytes[32..40].copy_from_slice(&64u64.to_ne_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_ne_bytes());
        let mut header = [0; PROGRAM_HEADER_BYTES];
        header[..4].copy_from_slice(&kind.to_ne_bytes());
        header[8..16].copy_from_slice(&120u64.to_ne_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(text);
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("written");
        file
    }

    fn linkage(kind: u32, text: &[u8]) -> Linkage {
        Elf::open(made(kind, text).path()).expect("an ELF file").linkage()
    }

    #[test]
    fn the_interpreter_decides() {
        assert_eq!(linkage(PT_LOAD, b""), Linkage::Static);
        assert_eq!(linkage(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0"), Linkage::Dynamic);
        assert_eq!(linkage(PT_INTERP, b"/lib/ld-musl-x86_64.so.1\0"), Linkage::OtherLibc);
    }

    #[test]
    fn another_machine_is_told_apart() {
        let file = made(PT_INTERP, b"");
        let mut bytes = fs::read(file.path()).expect("read");
        bytes[18] ^= 1;
        fs::write(file.path(), bytes).expect("written");
        assert_eq!(Elf::open(file.path()).expect("an ELF file").linkage(), Linkage::OtherMachine);
    }

    #[test]
    fn a_damaged_file_is_no_objection() {
        let whole = fs::read("/proc/self/exe").expect("read");
        let file = tempfile::NamedTempFile::new().expect("a file");
        for bytes in [64, 65, 100, 500, 4096] {
            fs::write(file.path(), &whole[..bytes]).expect("written");
            Elf::open(file.path()).expect("an ELF file").linkage();
        }
    }
}
