//! The file of a program before it runs: how it is linked, which allocators and tables it holds, and which glibc a library
//! needs or is.
//!
//! It decides nothing about recording (the `heapql` binary does). The files are untrusted: one that is damaged has no
//! facts, and nothing about its linkage that would keep it from being started.
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use object::LittleEndian as LE;
use object::elf::{
    DT_NEEDED, DT_STRTAB, Dyn64, FileHeader64, Machine, PT_DYNAMIC, PT_INTERP, PT_LOAD, ProgramType, SHT_DYNSYM,
    SHT_SYMTAB, SectionType, Sym64,
};
use object::read::StringTable;
use object::read::elf::{FileHeader, Sym};

use crate::elf::{Elf, Image, ProgramHeader, pods, text_at};

#[cfg(target_arch = "x86_64")]
const MACHINE: Machine = object::elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: Machine = object::elf::EM_AARCH64;

const NAME_BYTES: u64 = 256;
const DYNAMIC_BYTES: u64 = 64 << 10;
const SYMBOL_BYTES: u64 = 1 << 30;
const LIBC_BYTES: u64 = 64 << 20;

/// Libraries of sanitizers, which replace malloc and tolerate no other library before them.
const SANITIZERS: [&[u8]; 3] = [b"libasan.so", b"libtsan.so", b"libclang_rt.asan"];

/// Private names of allocators that programs link in.
const ALLOCATORS: [(&str, &str); 6] = [
    ("je_malloc", "jemalloc"),
    ("je_mallocx", "jemalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("tc_malloc", "tcmalloc"),
    ("mi_malloc", "mimalloc"),
    ("_mi_malloc_generic", "mimalloc"),
];

/// Compilers make a byte of unwind table for 4 to 12 bytes of code. Fewer than one for this many are few.
const CODE_BYTES_PER_UNWIND_BYTE: u64 = 50;

/// How a program finds its libraries, which decides whether a preloaded library gets into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linkage {
    /// glibc's dynamic loader starts it.
    Dynamic,
    /// It names no loader.
    Static,
    /// It is built for another machine, word size or byte order.
    OtherMachine,
    /// It names a loader that is not glibc's, such as musl's.
    OtherLibc,
    /// It is linked with a sanitizer's library.
    AddressSanitizer,
}

impl Linkage {
    /// The linkage of the file at `path`. `None` if it is no ELF file or cannot be read. A table that is damaged counts as
    /// [`Linkage::Dynamic`].
    pub fn of(path: &Path) -> Option<Linkage> {
        match Image::open(path) {
            Ok(image) => Some(linkage(&image)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Some(Linkage::OtherMachine),
            Err(_) => None,
        }
    }
}

fn linkage(image: &Image) -> Linkage {
    if image.machine() != MACHINE {
        return Linkage::OtherMachine;
    }
    let Some(segments) = image.program_headers() else {
        return Linkage::Dynamic;
    };
    let Some(interpreter) = segment(&segments, PT_INTERP) else {
        return Linkage::Static;
    };
    let interpreter = text_in_file(image, interpreter.p_offset.get(LE));
    if !interpreter.rsplit(|&byte| byte == b'/').next().is_some_and(|name| name.starts_with(b"ld-linux")) {
        return Linkage::OtherLibc;
    }
    if needed(image, &segments).iter().any(|name| SANITIZERS.iter().any(|sanitizer| name.starts_with(sanitizer))) {
        return Linkage::AddressSanitizer;
    }
    Linkage::Dynamic
}

fn segment(segments: &[ProgramHeader], kind: ProgramType) -> Option<&ProgramHeader> {
    segments.iter().find(|segment| segment.p_type.get(LE) == kind)
}

/// The names of the libraries that it is linked with.
fn needed(image: &Image, segments: &[ProgramHeader]) -> Vec<Vec<u8>> {
    let Some(dynamic) = segment(segments, PT_DYNAMIC) else {
        return Vec::new();
    };
    let bytes = dynamic.p_filesz.get(LE).min(DYNAMIC_BYTES);
    let entries = image.read(dynamic.p_offset.get(LE), bytes, DYNAMIC_BYTES).unwrap_or_default();
    let entries = pods::<Dyn64<LE>>(&entries).iter().map(|entry| (entry.d_tag.get(LE), entry.d_val.get(LE)));
    let strings = entries.clone().find(|(tag, _)| *tag == DT_STRTAB).and_then(|(_, at)| offset_of(segments, at));
    let Some(strings) = strings else {
        return Vec::new();
    };
    let names = entries.filter(|(tag, _)| *tag == DT_NEEDED);
    names.filter_map(|(_, at)| Some(text_in_file(image, strings.checked_add(at)?))).collect()
}

/// The place in the file of an address of the loaded program.
fn offset_of(segments: &[ProgramHeader], address: u64) -> Option<u64> {
    let holds = |segment: &&ProgramHeader| {
        let at = address.checked_sub(segment.p_vaddr.get(LE));
        segment.p_type.get(LE) == PT_LOAD && at.is_some_and(|at| at < segment.p_filesz.get(LE))
    };
    let segment = segments.iter().find(holds)?;
    segment.p_offset.get(LE).checked_add(address - segment.p_vaddr.get(LE))
}

/// The text that begins at a place of the file and ends with a zero byte. Text beyond the file is empty.
fn text_in_file(image: &Image, offset: u64) -> Vec<u8> {
    let bytes = image.id.bytes.saturating_sub(offset).min(NAME_BYTES);
    let bytes = image.read(offset, bytes, NAME_BYTES).unwrap_or_default();
    text_at(&bytes, 0).to_vec()
}

/// The properties of a program's file that decide how well it can be recorded.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProgramFacts {
    /// It exports a `malloc`, which is found before any library's.
    pub exports_malloc: bool,
    /// It has a `malloc` that only its own code calls.
    pub hides_malloc: bool,
    /// The allocators that are linked in: jemalloc, tcmalloc, mimalloc.
    pub allocators: BTreeSet<&'static str>,
    /// The build-id, if there is one.
    pub build_id: Option<Vec<u8>>,
    /// The name in `.gnu_debuglink`, if it is a name and no path.
    pub debug_link: Option<String>,
    /// It holds DWARF.
    pub has_debug_info: bool,
    /// It has a `.symtab`, which names more than the exported functions.
    pub has_symbols: bool,
    /// It has an `.eh_frame`.
    pub has_unwind_tables: bool,
    /// Its `.eh_frame` is so small that it most likely covers the start-up code only.
    pub has_few_unwind_tables: bool,
    /// The Go toolchain built it.
    pub is_go: bool,
}

impl ProgramFacts {
    /// The facts of the file at `path`. `None` if it is no 64-bit ELF file, or a damaged one. It reads whole symbol tables.
    pub fn of(path: &Path) -> Option<ProgramFacts> {
        let elf = Elf::open(path).ok()?;
        let bytes =
            |name: &str| elf.sections.iter().find(|section| section.name == name).map_or(0, |found| found.bytes);
        let has = |name: &str| bytes(name) > 0;
        let mut facts = ProgramFacts {
            build_id: Some(elf.build_id.clone()).filter(|build_id| !build_id.is_empty()),
            debug_link: elf.debug_link().map(|(name, _)| name),
            has_debug_info: has(".debug_info") || has(".zdebug_info"),
            has_unwind_tables: has(".eh_frame"),
            has_few_unwind_tables: bytes(".eh_frame").saturating_mul(CODE_BYTES_PER_UNWIND_BYTE) < bytes(".text"),
            is_go: has(".go.buildinfo") || has(".note.go.buildid"),
            ..ProgramFacts::default()
        };
        facts.has_symbols = facts.learn_symbols(&elf, SHT_SYMTAB) > 0;
        facts.hides_malloc = facts.exports_malloc;
        facts.exports_malloc = false;
        facts.learn_symbols(&elf, SHT_DYNSYM);
        facts.hides_malloc &= !facts.exports_malloc;
        Some(facts)
    }

    /// Looks for allocators among the symbols of a table, and returns how many symbols it has.
    fn learn_symbols(&mut self, elf: &Elf, kind: SectionType) -> usize {
        let Some(table) = elf.sections.iter().find(|section| section.kind == kind) else {
            return 0;
        };
        let names =
            elf.sections.get(table.link).and_then(|names| elf.data(names, SYMBOL_BYTES).ok()).unwrap_or_default();
        let symbols = elf.data(table, SYMBOL_BYTES).unwrap_or_default();
        // The first symbol is empty.
        let symbols = pods::<Sym64<LE>>(&symbols).get(1..).unwrap_or_default();
        let strings = StringTable::new(&names[..], 0, names.len() as u64);
        for symbol in symbols.iter().filter(|symbol| symbol.is_definition(LE, strings)) {
            let name = text_at(&names, symbol.st_name.get(LE));
            self.exports_malloc |= name == b"malloc";
            let found = ALLOCATORS.iter().find(|(symbol, _)| symbol.as_bytes() == name);
            self.allocators.extend(found.map(|(_, allocator)| *allocator));
        }
        symbols.len()
    }
}

/// The newest glibc version, as (major, minor), that a library asks for.
pub fn glibc_needed(library: &[u8]) -> Option<(u32, u32)> {
    let header = FileHeader64::<LE>::parse(library).ok()?;
    let sections = header.sections(LE, library).ok()?;
    let (mut needed, link) = sections.gnu_verneed(LE, library).ok()??;
    let strings = sections.strings(LE, library, link).ok()?;
    let mut newest = None;
    while let Ok(Some((_, mut names))) = needed.next() {
        while let Ok(Some(name)) = names.next() {
            newest = newest.max(name.name(LE, strings).ok().and_then(version));
        }
    }
    newest
}

/// The newest version, as (major, minor), that a libc.so.6 defines, which is its own.
pub fn glibc_version(libc: &Path) -> Option<(u32, u32)> {
    let image = Image::open(libc).ok()?;
    let bytes = image.read(0, image.id.bytes, LIBC_BYTES).ok()?;
    glibc_defined(&bytes)
}

fn glibc_defined(data: &[u8]) -> Option<(u32, u32)> {
    let header = FileHeader64::<LE>::parse(data).ok()?;
    let sections = header.sections(LE, data).ok()?;
    let (mut defined, link) = sections.gnu_verdef(LE, data).ok()??;
    let strings = sections.strings(LE, data, link).ok()?;
    let mut newest = None;
    while let Ok(Some((_, mut names))) = defined.next() {
        while let Ok(Some(name)) = names.next() {
            newest = newest.max(name.name(LE, strings).ok().and_then(version));
        }
    }
    newest
}

/// The numbers of a version such as `GLIBC_2.36`.
fn version(name: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PROGRAM_HEADER_BYTES: usize = size_of::<ProgramHeader>();

    fn own() -> Image {
        Image::open(Path::new("/proc/self/exe")).expect("an ELF file")
    }

    #[test]
    fn this_test_is_linked_with_libc() {
        assert_eq!(linkage(&own()), Linkage::Dynamic);
        let needed = needed(&own(), &own().program_headers().expect("program headers"));
        assert!(needed.iter().any(|name| name == b"libc.so.6"), "{needed:?}");
    }

    #[test]
    fn what_is_no_elf_file_has_no_linkage() {
        assert_eq!(Linkage::of(Path::new("/proc/self/cmdline")), None);
        assert_eq!(Linkage::of(Path::new("/nonexistent")), None);
    }

    /// A file with one program header of `kind` whose text is `text`.
    fn made(kind: ProgramType, text: &[u8]) -> tempfile::NamedTempFile {
        let mut bytes = fs::read("/proc/self/exe").expect("read")[..64].to_vec();
        bytes[32..40].copy_from_slice(&64u64.to_ne_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_ne_bytes());
        let mut header = [0; PROGRAM_HEADER_BYTES];
        header[..4].copy_from_slice(&kind.0.to_ne_bytes());
        header[8..16].copy_from_slice(&120u64.to_ne_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(text);
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("written");
        file
    }

    fn linkage_of(kind: ProgramType, text: &[u8]) -> Option<Linkage> {
        Linkage::of(made(kind, text).path())
    }

    #[test]
    fn the_interpreter_decides() {
        assert_eq!(linkage_of(PT_LOAD, b""), Some(Linkage::Static));
        assert_eq!(linkage_of(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0"), Some(Linkage::Dynamic));
        assert_eq!(linkage_of(PT_INTERP, b"/lib/ld-musl-x86_64.so.1\0"), Some(Linkage::OtherLibc));
    }

    #[test]
    fn another_machine_is_told_apart() {
        let file = made(PT_INTERP, b"");
        let bytes = fs::read(file.path()).expect("read");
        // The word size, the byte order, the machine.
        for at in [4, 5, 18] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 3;
            fs::write(file.path(), bytes).expect("written");
            assert_eq!(Linkage::of(file.path()), Some(Linkage::OtherMachine), "{at}");
        }
    }

    #[test]
    fn a_damaged_file_is_no_objection() {
        let whole = fs::read("/proc/self/exe").expect("read");
        let file = tempfile::NamedTempFile::new().expect("a file");
        for bytes in [64, 65, 100, 500] {
            fs::write(file.path(), &whole[..bytes]).expect("written");
            assert_eq!(Linkage::of(file.path()), Some(Linkage::Dynamic), "{bytes}");
        }
        fs::write(file.path(), &whole[..4096]).expect("written");
        assert_eq!(Linkage::of(file.path()), Some(Linkage::Dynamic));
    }

    #[test]
    fn this_test_has_what_a_test_has() {
        let facts = ProgramFacts::of(Path::new("/proc/self/exe")).expect("facts");
        assert!(facts.has_symbols && facts.has_unwind_tables && !facts.has_few_unwind_tables, "{facts:?}");
        assert!(!facts.exports_malloc && !facts.hides_malloc && !facts.is_go, "{facts:?}");
    }

    #[test]
    fn a_damaged_file_has_none_or_some_but_is_no_panic() {
        let whole = fs::read(std::env::current_exe().expect("a path")).expect("read");
        let file = tempfile::NamedTempFile::new().expect("a file");
        for bytes in [0, 4, 63, 64, 65, 1000, 4096, 100_000] {
            fs::write(file.path(), &whole[..bytes]).expect("written");
            let _ = ProgramFacts::of(file.path());
            let _ = glibc_version(file.path());
            let _ = glibc_needed(&whole[..bytes]);
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version(b"GLIBC_2.4"), Some((2, 4)));
        assert_eq!(version(b"GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(version(b"GLIBC_PRIVATE"), None);
        assert!(version(b"GLIBC_2.17") > version(b"GLIBC_2.4"));
    }
}
