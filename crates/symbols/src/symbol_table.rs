//! Functions of a symbol table (`.symtab`, `.dynsym`) by address.
//!
//! An address is in a symbol only if the symbol's size says so; a symbol without a size reaches to the next one or to the end
//! of its section, so that no stub of the linker (PLT) and no padding takes its neighbour's name. Called by `open_module`.
use object::LittleEndian as LE;
use object::elf::{
    STB_GLOBAL, STB_LOCAL, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, SectionType, Sym64, SymbolBind, SymbolType,
};

use crate::elf::{Elf, Section, pods, text_at};

/// No more enclosing symbols are looked at for an address behind a nested one.
const NESTED: usize = 64;

struct Function {
    start: u64,
    end: u64,
    name: u32,
}

pub(crate) struct SymbolTable {
    /// Sorted by start; one for each start.
    functions: Box<[Function]>,
    names: Box<[u8]>,
}

/// A symbol on its way into the table.
struct Candidate {
    start: u64,
    bytes: u64,
    name: u32,
    kind: SymbolType,
    binding: SymbolBind,
    section_end: u64,
}

impl SymbolTable {
    /// The table of that kind. None: the file has none that names a function, or it is larger than `cap` bytes.
    pub(crate) fn load(elf: &Elf, kind: SectionType, cap: u64) -> Option<SymbolTable> {
        let table = elf.sections.iter().find(|s| s.kind == kind && s.has_data())?;
        let strings = elf.sections.get(table.link)?;
        if elf.data_bytes(table).saturating_add(elf.data_bytes(strings)) > cap {
            return None;
        }
        let names = elf.data(strings, cap).ok()?;
        let symbols = elf.data(table, cap).ok()?;
        let mut found: Vec<_> =
            pods::<Sym64<LE>>(&symbols).iter().filter_map(|s| candidate(s, &elf.sections, &names)).collect();
        found.sort_unstable_by_key(|s| s.start);
        // Ranks read names: only where there is a choice.
        let same_start = found.chunk_by(|a, b| a.start == b.start);
        let best: Vec<&Candidate> = same_start.filter_map(|same| same.iter().min_by_key(|s| rank(s, &names))).collect();
        let functions: Box<[Function]> = (0..best.len()).map(|i| function(&best, i)).collect();
        (!functions.is_empty()).then(|| SymbolTable { functions, names: names.into_boxed_slice() })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.names.len() + size_of_val(&*self.functions)
    }

    pub(crate) fn find(&self, address: u64) -> Option<String> {
        let before = self.functions.partition_point(|f| f.start <= address);
        let function = self.functions[..before].iter().rev().take(NESTED).find(|f| address < f.end)?;
        Some(String::from_utf8_lossy(text_at(&self.names, function.name)).into_owned())
    }
}

/// A symbol that may name a function. `None` if it is not a function, or lies in no section of code.
fn candidate(symbol: &Sym64<LE>, sections: &[Section], names: &[u8]) -> Option<Candidate> {
    let (name, kind) = (symbol.st_name.get(LE), symbol.st_type());
    let section = sections.get(usize::from(symbol.st_shndx.get(LE).0)).filter(|s| s.is_code())?;
    let (start, bytes) = (symbol.st_value.get(LE), symbol.st_size.get(LE));
    let section_end = section.address.checked_add(section.bytes)?;
    let inside = (section.address..section_end).contains(&start);
    // Assembly's labels have no type; `$x` and `.L` mark data and jumps, not functions.
    let first = text_at(names, name).first().copied()?;
    let label = kind == STT_NOTYPE && !matches!(first, b'$' | b'.');
    let wanted = matches!(kind, STT_FUNC | STT_GNU_IFUNC) || label;
    (wanted && inside).then_some(Candidate { start, bytes, name, kind, binding: symbol.st_bind(), section_end })
}

/// Orders the names of one address: functions, then those with a size, then public, then global ones with the fewest leading
/// underscores, then the shortest (`malloc`, not `__libc_malloc`).
fn rank<'a>(symbol: &Candidate, names: &'a [u8]) -> (bool, bool, bool, usize, bool, usize, &'a [u8]) {
    let name = text_at(names, symbol.name);
    let underscores = name.iter().take_while(|b| **b == b'_').count();
    // What is mangled has its underscore from the mangling.
    let underscores = if name.starts_with(b"_Z") || name.starts_with(b"_R") { 0 } else { underscores };
    let local = symbol.binding == STB_LOCAL;
    (symbol.kind == STT_NOTYPE, symbol.bytes == 0, local, underscores, symbol.binding != STB_GLOBAL, name.len(), name)
}

fn function(sorted: &[&Candidate], at: usize) -> Function {
    let symbol = sorted[at];
    let end = if symbol.bytes > 0 {
        symbol.start.saturating_add(symbol.bytes).min(symbol.section_end)
    } else {
        sorted.get(at + 1).map_or(symbol.section_end, |next| next.start.min(symbol.section_end))
    };
    Function { start: symbol.start, end, name: symbol.name }
}
