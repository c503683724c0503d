//! The DWARF of one file: functions with what is inlined into them, files and lines, by address.
//!
//! addr2line parses it, from sections that are read into memory (`elf`) under the caller's cap and an allowance of work
//! (`reader`). Split debug info (.dwo, .dwp) is not followed: such code has lines, and names from the symbol table. Called by
//! `open_module`.
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use addr2line::{Context, FrameIter};
use gimli::{DwLang, Dwarf, SectionId};

use crate::SymbolFrame;
use crate::elf::Elf;
use crate::names::demangle;
use crate::reader::{Allowance, Bytes};

/// Bytes that a whole parse reads for each byte of the sections. Measured: libc 3.
const READS_OF_A_PARSE: u64 = 3;
/// Bytes that a whole parse may read for each byte of the sections.
const READS_PER_BYTE: u64 = 6;
const READS_AT_LEAST: u64 = 2 << 20;
/// Bytes that may be read for one address, beyond what is parsed once.
const READS_PER_ADDRESS: u64 = 64 << 10;
/// Functions inlined into each other; a file that claims more is cut off here.
const INLINED: usize = 256;

const SECTIONS: [&str; 10] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_aranges",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
];

pub(crate) struct DebugInfo {
    context: Context<Bytes>,
    section_bytes: u64,
    /// Bytes that parsing may still read.
    allowance: u64,
    /// Bytes that were read so far.
    read: u64,
}

/// The answer of the debug info for one address.
#[derive(Default)]
pub(crate) struct DebugFrames {
    /// The frames, innermost first. There are none if the debug info has none for the address.
    pub frames: Vec<SymbolFrame>,
    /// The outermost function is C++ and its name lacks the namespace: GCC does so for functions of one file only.
    pub is_bare: bool,
}

/// The reason for which a file's debug info cannot be used, for the reader of a note.
pub(crate) enum LoadError {
    TooLarge(u64),
    Malformed(String),
}

pub(crate) enum LookupError {
    /// There is no answer for this address. There may be for others.
    Address,
    /// There is no answer for any more addresses of the file, for this reason.
    File(String),
}

/// Shares the text of equal names and files among the frames of one batch.
#[derive(Default)]
pub(crate) struct Interner {
    names: HashMap<String, Arc<str>>,
    texts: HashMap<String, Arc<str>>,
}

impl Interner {
    pub(crate) fn name(&mut self, mangled: &str) -> Arc<str> {
        if let Some(name) = self.names.get(mangled) {
            return name.clone();
        }
        let name: Arc<str> = demangle(mangled).into();
        self.names.insert(mangled.to_owned(), name.clone());
        name
    }

    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(text) = self.texts.get(text) {
            return text.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(text.to_owned(), shared.clone());
        shared
    }
}

pub(crate) fn is_in(elf: &Elf) -> bool {
    elf.section(".debug_info").is_some()
}

/// Size of the sections that are read.
pub(crate) fn bytes(elf: &Elf, supplement: Option<&Elf>) -> u64 {
    let sections =
        [Some(elf), supplement].into_iter().flatten().flat_map(|elf| elf.sections.iter().map(move |s| (elf, s)));
    let needed = sections.filter(|(_, s)| s.has_data() && SECTIONS.contains(&s.name.as_str()));
    needed.map(|(elf, s)| elf.data_bytes(s)).fold(0, u64::saturating_add)
}

impl DebugInfo {
    /// Reads the debug info of a file and of its supplement, which has what several files share (dwz). At most `cap` bytes of
    /// sections are read.
    pub(crate) fn load(elf: &Elf, supplement: Option<&Elf>, cap: u64) -> Result<DebugInfo, LoadError> {
        let section_bytes = bytes(elf, supplement);
        if section_bytes > cap {
            return Err(LoadError::TooLarge(section_bytes));
        }
        let read = |elf: &Elf, id: SectionId| -> Result<Bytes, LoadError> {
            let section = elf.section(id.name()).filter(|s| SECTIONS.contains(&s.name.as_str()));
            let data = section.map_or(Ok(Vec::new()), |s| elf.data(s, cap));
            data.map(|data| Bytes::new(data.into())).map_err(|e| LoadError::Malformed(e.to_string()))
        };
        let mut dwarf = Dwarf::load(|id| read(elf, id))?;
        if let Some(elf) = supplement {
            dwarf.set_sup(Dwarf::load(|id| read(elf, id))?);
        }
        let mut allowance = section_bytes.saturating_mul(READS_PER_BYTE).saturating_add(READS_AT_LEAST);
        let granted = Allowance::give(allowance);
        let context = Context::from_dwarf(dwarf).map_err(|e| LoadError::Malformed(e.to_string()))?;
        let read = allowance - granted.left();
        allowance = granted.left();
        Ok(DebugInfo { context, section_bytes, allowance, read })
    }

    /// Approximate bytes that it holds: the sections, and what was parsed out of them, which is about as much as was read for
    /// it. Reading beyond a whole parse leaves nothing behind.
    pub(crate) fn bytes(&self) -> usize {
        let parsed = self.read.min(self.section_bytes.saturating_mul(READS_OF_A_PARSE));
        self.section_bytes.saturating_add(parsed) as usize
    }

    /// The frames at an address.
    pub(crate) fn frames(&mut self, address: u64, interner: &mut Interner) -> Result<DebugFrames, LookupError> {
        let total = self.allowance + READS_PER_ADDRESS;
        let granted = Allowance::give(total);
        let frames = self.find(address, interner);
        let left = granted.left();
        self.read += total - left;
        self.allowance = left.min(self.allowance);
        if left == 0 {
            return Err(LookupError::File("debug info takes too much work to read".to_owned()));
        }
        frames.map_err(|_| LookupError::Address)
    }

    fn find(&self, address: u64, interner: &mut Interner) -> Result<DebugFrames, gimli::Error> {
        let mut found: FrameIter<'_, Bytes> = self.context.find_frames(address).skip_all_loads()?;
        let (mut frames, mut is_bare) = (Vec::new(), false);
        while let Some(frame) = found.next()? {
            let name = frame.function.as_ref().map(|f| f.raw_name()).transpose()?;
            let is_cpp = frame.function.as_ref().and_then(|f| f.language).is_some_and(is_cpp);
            is_bare = is_cpp && name.as_ref().is_some_and(|name| !name.starts_with("_Z"));
            let location = frame.location;
            frames.push(SymbolFrame {
                function: name.filter(|name: &Cow<str>| !name.is_empty()).map(|name| interner.name(&name)),
                file: location.as_ref().and_then(|l| l.file).map(|file| interner.text(file)),
                line: location.as_ref().and_then(|l| l.line).filter(|line| *line > 0),
                is_inline: true,
            });
            if frames.len() == INLINED {
                break;
            }
        }
        if let Some(last) = frames.last_mut() {
            last.is_inline = false;
        }
        Ok(DebugFrames { frames, is_bare })
    }
}

fn is_cpp(language: DwLang) -> bool {
    let versions = [gimli::DW_LANG_C_plus_plus, gimli::DW_LANG_C_plus_plus_03, gimli::DW_LANG_C_plus_plus_11];
    let later = [gimli::DW_LANG_C_plus_plus_14, gimli::DW_LANG_C_plus_plus_17, gimli::DW_LANG_C_plus_plus_20];
    versions.contains(&language) || later.contains(&language)
}
