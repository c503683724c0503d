//! One module whose files are found: names of its addresses, from the best there is of debug info, symbol table and exported
//! names. Each of these is read at the first address that needs it. Called by `resolve`, on a thread of its own.
use std::sync::Arc;

use crate::debug_info::{self, DebugInfo, Interner, LoadError, LookupError};
use object::elf::{SHT_DYNSYM, SHT_SYMTAB};

use crate::elf::Elf;
use crate::search::ModuleFiles;
use crate::symbol_table::SymbolTable;
use crate::{Resolution, SymbolFrame};

enum Info {
    Unread,
    Read(Box<DebugInfo>),
    /// There is none, for this reason.
    None(String),
}

pub(crate) struct OpenModule {
    found: ModuleFiles,
    info: Info,
    /// `.symtab` and `.dynsym`; the outer None: not read yet.
    tables: [Option<Option<SymbolTable>>; 2],
    /// Bound in bytes on what is read into memory at once.
    cap: u64,
}

impl OpenModule {
    pub(crate) fn new(found: ModuleFiles, cap: u64) -> OpenModule {
        OpenModule { found, info: Info::Unread, tables: [None, None], cap }
    }

    /// Approximate bytes that it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        let info = if let Info::Read(info) = &self.info { info.bytes() } else { 0 };
        let tables = self.tables.iter().flatten().flatten().map(SymbolTable::bytes);
        info + tables.sum::<usize>()
    }

    /// Bytes of debug info that are still to be read.
    pub(crate) fn bytes_to_read(&self) -> u64 {
        match self.info {
            Info::Unread => {
                self.with_debug_info().map_or(0, |elf| debug_info::bytes(elf, self.found.supplement.as_ref()))
            }
            _ => 0,
        }
    }

    pub(crate) fn resolve(&mut self, address: u64, interner: &mut Interner) -> Resolution {
        let mut found = self.find(address, interner);
        let mut notes: Vec<String> = self.found.note.iter().map(|note| (*note).to_owned()).collect();
        if found.is_bare {
            let mangled = self.symbol(address).0.filter(|name| name.starts_with("_Z"));
            if let (Some(name), Some(outermost)) = (mangled, found.frames.last_mut()) {
                outermost.function = Some(interner.name(&name));
            }
        } else if found.frames.last().is_none_or(|outermost| outermost.function.is_none()) {
            let (name, from) = self.symbol(address);
            // With a line and a name nothing is missing: compilers can be told to write lines only.
            if name.is_none() || found.frames.is_empty() {
                let why = if let Info::None(why) = &self.info { why } else { "no debug info for this address" };
                notes.push(format!("{why}; {from}"));
            }
            if found.frames.is_empty() {
                found.frames.push(SymbolFrame { function: None, file: None, line: None, is_inline: false });
            }
            if let (Some(name), Some(outermost)) = (name, found.frames.last_mut()) {
                outermost.function = Some(interner.name(&name));
            }
        }
        let note = (!notes.is_empty()).then(|| interner.text(&notes.join("; ")));
        Resolution { frames: found.frames, note }
    }

    fn with_debug_info(&self) -> Option<&Elf> {
        [&self.found.debug, &self.found.binary].into_iter().flatten().find(|elf| debug_info::is_in(elf))
    }

    fn find(&mut self, address: u64, interner: &mut Interner) -> debug_info::DebugFrames {
        if matches!(self.info, Info::Unread) {
            self.info = self.read_info();
        }
        let Info::Read(info) = &mut self.info else { return debug_info::DebugFrames::default() };
        match info.frames(address, interner) {
            Ok(found) => found,
            Err(LookupError::Address) => debug_info::DebugFrames::default(),
            Err(LookupError::File(why)) => {
                self.info = Info::None(why);
                debug_info::DebugFrames::default()
            }
        }
    }

    fn read_info(&self) -> Info {
        let Some(elf) = self.with_debug_info() else { return Info::None("no debug info".to_owned()) };
        match DebugInfo::load(elf, self.found.supplement.as_ref(), self.cap) {
            Ok(info) => Info::Read(Box::new(info)),
            Err(LoadError::Malformed(why)) => Info::None(format!("debug info cannot be read: {why}")),
            Err(LoadError::TooLarge(bytes)) => {
                let mib = |bytes: u64| bytes.div_ceil(1 << 20);
                Info::None(format!("debug info of {} MiB is more than the bound of {} MiB", mib(bytes), mib(self.cap)))
            }
        }
    }

    /// The name in a symbol table, and for the note where it is from, or why there is none.
    fn symbol(&mut self, address: u64) -> (Option<String>, &'static str) {
        for (at, from) in [(0, "name from the symbol table"), (1, "only exported names")] {
            if let Some(name) = self.table(at).and_then(|table| table.find(address)) {
                return (Some(name), from);
            }
        }
        let [all, exported] = [0, 1].map(|at| matches!(&self.tables[at], Some(Some(_))));
        let why = match (all, exported) {
            _ if self.is_stub(address) => "a stub of the linker (PLT)",
            (true, _) => "no symbol at this address",
            (false, true) => "only exported names, none at this address",
            (false, false) => "no symbols",
        };
        (None, why)
    }

    fn table(&mut self, at: usize) -> Option<&SymbolTable> {
        let files = [&self.found.debug, &self.found.binary];
        let (kind, cap) = ([SHT_SYMTAB, SHT_DYNSYM][at], self.cap);
        let read = || files.into_iter().flatten().find_map(|elf| SymbolTable::load(elf, kind, cap));
        self.tables[at].get_or_insert_with(read).as_ref()
    }

    fn is_stub(&self, address: u64) -> bool {
        let files = [&self.found.binary, &self.found.debug];
        let sections = files.into_iter().flatten().flat_map(|elf| &elf.sections);
        sections
            .filter(|s| s.name.starts_with(".plt"))
            .any(|s| address.checked_sub(s.address).is_some_and(|at| at < s.bytes))
    }
}

/// The answer for an address of which nothing is known.
pub(crate) fn unknown(note: &str) -> Arc<Resolution> {
    let frame = SymbolFrame { function: None, file: None, line: None, is_inline: false };
    Arc::new(Resolution { frames: vec![frame], note: Some(note.into()) })
}
