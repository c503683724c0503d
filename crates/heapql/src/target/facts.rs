//! What an ELF file holds that decides how well its program can be recorded: allocators, symbols, unwind tables.
//!
//! The parser is `object`. The file is untrusted and may be damaged: then there are no facts. Unlike `elf` it reads whole
//! symbol tables, so that only `doctor` asks it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use object::elf::FileHeader64;
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, ReadCache, ReadRef};

/// Private names of allocators that programs link in.
const ALLOCATORS: [(&str, &str); 6] = [
    ("je_malloc", "jemalloc"),
    ("je_mallocx", "jemalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("tc_malloc", "tcmalloc"),
    ("mi_malloc", "mimalloc"),
    ("_mi_malloc_generic", "mimalloc"),
];

/// Compilers make a byte of unwind table for 4 to 12 bytes of code.
const FEW: u64 = 50;

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Facts {
    /// A `malloc` of its own, found before any library's.
    pub(crate) exports_malloc: bool,
    /// The same, but only its own code calls it.
    pub(crate) hides_malloc: bool,
    /// Linked in: jemalloc, tcmalloc, mimalloc.
    pub(crate) allocators: BTreeSet<&'static str>,
    pub(crate) build_id: Option<Vec<u8>>,
    /// The name in .gnu_debuglink.
    pub(crate) debug_link: Option<String>,
    pub(crate) has_debug_info: bool,
    /// .symtab, as opposed to the exported names.
    pub(crate) has_symbols: bool,
    pub(crate) has_unwind_tables: bool,
    /// Those of the start-up code, most likely, which compilers do not make.
    pub(crate) has_few_unwind_tables: bool,
    pub(crate) is_go: bool,
}

impl Facts {
    /// `None` if it is no ELF file of 64 bits, or a damaged one.
    pub(crate) fn of(path: &Path) -> Option<Facts> {
        let cache = ReadCache::new(File::open(path).ok()?);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
        let bytes = |name: &str| elf.section_by_name(name).map_or(0, |section| section.size());
        let has = |name: &str| bytes(name) > 0;
        let mut facts = Facts {
            build_id: elf.build_id().ok().flatten().map(<[u8]>::to_vec),
            debug_link: elf.gnu_debuglink().ok().flatten().map(|(name, _)| String::from_utf8_lossy(name).into_owned()),
            has_debug_info: has(".debug_info") || has(".zdebug_info"),
            has_unwind_tables: has(".eh_frame"),
            has_few_unwind_tables: bytes(".eh_frame").saturating_mul(FEW) < bytes(".text"),
            is_go: has(".go.buildinfo") || has(".note.go.buildid"),
            ..Facts::default()
        };
        for symbol in elf.symbols() {
            facts.has_symbols = true;
            facts.learn(symbol.name().ok().filter(|_| symbol.is_definition()));
        }
        facts.hides_malloc = facts.exports_malloc;
        facts.exports_malloc = false;
        for symbol in elf.dynamic_symbols() {
            facts.learn(symbol.name().ok().filter(|_| symbol.is_definition()));
        }
        facts.hides_malloc &= !facts.exports_malloc;
        Some(facts)
    }

    fn learn(&mut self, defined: Option<&str>) {
        self.exports_malloc |= defined == Some("malloc");
        let found = ALLOCATORS.iter().find(|(symbol, _)| Some(*symbol) == defined);
        self.allocators.extend(found.map(|(_, allocator)| *allocator));
    }
}

/// The newest version of glibc that a library asks for.
pub(crate) fn glibc_needed(library: &[u8]) -> Option<(u32, u32)> {
    let header = FileHeader64::<Endianness>::parse(library).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, library).ok()?;
    let (mut needed, link) = sections.gnu_verneed(endian, library).ok()??;
    let strings = sections.strings(endian, library, link).ok()?;
    let mut newest = None;
    while let Ok(Some((_, mut names))) = needed.next() {
        while let Ok(Some(name)) = names.next() {
            newest = newest.max(name.name(endian, strings).ok().and_then(version));
        }
    }
    newest
}

/// The newest version that a libc.so.6 defines: its own.
pub(crate) fn glibc_version(libc: &Path) -> Option<(u32, u32)> {
    let cache = ReadCache::new(File::open(libc).ok()?);
    glibc_defined(&cache)
}

fn glibc_defined<'data, R: ReadRef<'data>>(data: R) -> Option<(u32, u32)> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let (mut defined, link) = sections.gnu_verdef(endian, data).ok()??;
    let strings = sections.strings(endian, data, link).ok()?;
    let mut newest = None;
    while let Ok(Some((_, mut names))) = defined.next() {
        while let Ok(Some(name)) = names.next() {
            newest = newest.max(name.name(endian, strings).ok().and_then(version));
        }
    }
    newest
}

/// Of `GLIBC_2.36`.
fn version(name: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_test_has_what_a_test_has() {
        let facts = Facts::of(Path::new("/proc/self/exe")).expect("facts");
        assert!(facts.has_symbols && facts.has_unwind_tables && !facts.has_few_unwind_tables, "{facts:?}");
        assert!(!facts.exports_malloc && !facts.hides_malloc && !facts.is_go, "{facts:?}");
    }

    #[test]
    fn a_damaged_file_has_none_or_some_but_is_no_panic() {
        let whole = fs::read(std::env::current_exe().expect("a path")).expect("read");
        let file = tempfile::NamedTempFile::new().expect("a file");
        for bytes in [0, 4, 63, 64, 65, 1000, 4096, 100_000] {
            fs::write(file.path(), &whole[..bytes]).expect("written");
            let _ = Facts::of(file.path());
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

    #[test]
    fn the_library_runs_on_this_host() {
        let needed = glibc_needed(crate::place::LIBRARY).expect("versions");
        let maps = fs::read_to_string("/proc/self/maps").expect("read");
        let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6")).expect("a libc");
        assert!(glibc_version(Path::new(libc)).expect("versions") >= needed);
    }
}
