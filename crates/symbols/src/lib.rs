//! Names for addresses: from a module and an address in its file to functions with what is inlined into them, files and
//! lines. It also tells which of those frames is the user's own code ([`Rules`]), and how a program's file is linked
//! ([`Linkage`], [`ProgramFacts`]).
//!
//! It reads ELF files and their debug files where it finds them, and trusts none: the build-id decides which file it is,
//! and whatever a file contains, the answer comes, with a note where it is poorer than it could be. It knows nothing of
//! ledgers, of load addresses or of SQL. The server asks it for names, the binary's `run` and `doctor` about programs. The
//! places that are searched: docs/explanation/symbols.md.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cache;
mod debug_info;
mod elf;
mod names;
mod open_module;
mod program;
mod reader;
mod resolve;
mod rule_table;
mod rules;
mod search;
mod symbol_table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use names::demangle;
pub use program::{Linkage, ProgramFacts, glibc_needed, glibc_version};
pub use resolve::Symbols;
pub use rules::{FrameKind, RuleError, Rules};
pub use search::build_id_path;

/// A module to look up: where its file may be found, and which file it must be.
#[derive(Clone, Copy, Debug)]
pub struct ModuleRef<'a> {
    /// The path as the process saw it. It may end in " (deleted)", be `[vdso]`, or be empty.
    pub path: &'a str,
    /// The build-id that the recorder saw. It is empty if the module had none.
    pub build_id: &'a [u8],
    /// The process, while it lives. Its mount namespace and its deleted files are searched too.
    pub pid: Option<i32>,
}

/// One function at an address. An address has several if functions are inlined there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolFrame {
    /// The demangled name. If it is `None`, [`unnamed`] has a text to show.
    pub function: Option<Arc<str>>,
    /// Path of the source file, if known.
    pub file: Option<Arc<str>>,
    /// Line in the source file, if known.
    pub line: Option<u32>,
    /// The function's code is inlined into that of the next frame.
    pub is_inline: bool,
}

/// The answer for one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The frames, innermost first: inlined functions before the one that holds them. There is at least one.
    pub frames: Vec<SymbolFrame>,
    /// The reason for which there is no name, or only a poorer one.
    pub note: Option<Arc<str>>,
}

/// Bounds, and the places of debug files.
#[derive(Clone, Debug)]
pub struct SymbolSettings {
    /// Directories that have `.build-id` and `.dwz` below them.
    pub debug_directories: Vec<PathBuf>,
    /// Bound in bytes on the answers that are kept.
    pub cached_bytes: usize,
    /// Bound in bytes on sections and parsed debug info, over all open modules. A module that would need more has names from
    /// its symbol table.
    pub open_bytes: usize,
    /// Bound on the number of open modules.
    pub open_modules: usize,
    /// Bound on the number of modules whose files have been searched for, found or not.
    pub known_modules: usize,
    /// Time after which the files of a module without a file, or without debug info, are searched for again.
    pub retry: Duration,
}

impl Default for SymbolSettings {
    fn default() -> SymbolSettings {
        SymbolSettings {
            debug_directories: vec![PathBuf::from("/usr/lib/debug")],
            cached_bytes: 64 << 20,
            open_bytes: 512 << 20,
            open_modules: 64,
            known_modules: 16 << 10,
            retry: Duration::from_secs(30),
        }
    }
}

/// The cost of kept names and open files, and how often they helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SymbolCounts {
    /// Addresses whose names are kept.
    pub cached: u64,
    /// Bytes of the names that are kept.
    pub cached_bytes: u64,
    /// Addresses that were answered from the kept names, since the start.
    pub hits: u64,
    /// Addresses that were looked up in files, since the start.
    pub misses: u64,
    /// Names that were dropped because there was no room, since the start.
    pub evicted: u64,
    /// Modules whose symbols are in memory.
    pub open_modules: u64,
    /// Approximate bytes of the symbols of open modules.
    pub open_bytes: u64,
    /// Times that the symbols of a module were read, since the start.
    pub opened: u64,
    /// Modules that have no readable file now.
    pub failed_modules: u64,
    /// Times that no file was found or none could be read, since the start.
    pub failures: u64,
}

/// The bytes as lower-case hexadecimal digits, as build-ids are written.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    bytes.iter().flat_map(|&byte| digits(byte)).collect()
}

/// The text to show for an address without a name: "libfoo.so.1+0x12ab".
pub fn unnamed(module_path: &str, address: u64) -> String {
    let path = module_path.strip_suffix(" (deleted)").unwrap_or(module_path);
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.is_empty() { format!("{address:#x}") } else { format!("{name}+{address:#x}") }
}
