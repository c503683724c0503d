//! The modules of one process: from an address of a stack to a file and the address in it.
//!
//! It opens no file and knows no name of a function (`symbols` does). Made by `Source::modules`.

use heapql_ledger::ModuleRecord;

/// The modules that some stack of a process passes through, those unloaded since included, by their addresses.
#[derive(Debug, Default)]
pub struct ModuleMap {
    /// In the order of their first addresses.
    records: Vec<ModuleRecord>,
}

impl ModuleMap {
    pub(crate) fn new(mut records: Vec<ModuleRecord>) -> ModuleMap {
        records.sort_by_key(|module| module.start);
        ModuleMap { records }
    }

    /// The module of an address as [`crate::Callsite::stack`] has it, and the address in the module's file. `generation` is
    /// the callsite's, because another module may lie there by now.
    pub fn locate(&self, address: u64, generation: u16) -> Option<(&ModuleRecord, u64)> {
        let place = self.records.iter().find(|module| module.is_program);
        if let Some(program) = place
            && let Some(absolute) = address.checked_add(program.load_bias)
            && (program.start..program.end).contains(&absolute)
        {
            return Some((program, address));
        }
        let after = self.records.partition_point(|module| module.start <= address);
        let here = self.records[..after].iter().rev().filter(|module| (module.start..module.end).contains(&address));
        let module = here.max_by_key(|module| was_there(module, generation))?;
        Some((module, address.wrapping_sub(module.load_bias)))
    }

    /// The generation of stacks that are captured now.
    pub fn generation(&self) -> u16 {
        let newest = |module: &ModuleRecord| module.unloaded.unwrap_or(0).max(module.loaded);
        self.records.iter().map(newest).max().unwrap_or(0) as u16
    }

    /// All modules, in the order of their first addresses.
    pub fn iter(&self) -> impl Iterator<Item = &ModuleRecord> {
        self.records.iter()
    }
}

/// The ledger keeps the lower half of a callsite's generation.
fn was_there(module: &ModuleRecord, generation: u16) -> bool {
    let since = generation.wrapping_sub(module.loaded as u16) < 1 << 15;
    let until =
        module.unloaded.is_none_or(|unloaded| (unloaded as u16).wrapping_sub(generation).wrapping_sub(1) < 1 << 15);
    since && until
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, start: u64, loaded: u32, unloaded: Option<u32>) -> ModuleRecord {
        ModuleRecord {
            start,
            end: start + 0x1000,
            load_bias: start,
            path: path.to_owned(),
            build_id: Vec::new(),
            is_program: path == "program",
            loaded,
            unloaded,
        }
    }

    fn found(modules: &ModuleMap, address: u64, generation: u16) -> Option<(&str, u64)> {
        modules.locate(address, generation).map(|(module, address)| (module.path.as_str(), address))
    }

    #[test]
    fn addresses_of_the_program_are_its_files() {
        let modules = ModuleMap::new(vec![module("program", 0x5000, 0, None), module("lib", 0x9000, 0, None)]);
        assert_eq!(found(&modules, 0x10, 0), Some(("program", 0x10)));
        assert_eq!(found(&modules, 0x9010, 0), Some(("lib", 0x10)));
        assert_eq!(found(&modules, 0xa000, 0), None);
    }

    #[test]
    fn of_modules_that_lay_at_one_place_the_one_of_the_time() {
        let modules = ModuleMap::new(vec![module("first", 0x9000, 1, Some(3)), module("second", 0x9000, 3, None)]);
        for (generation, expected) in [(1, "first"), (2, "first"), (3, "second"), (9, "second")] {
            assert_eq!(found(&modules, 0x9010, generation), Some((expected, 0x10)), "{generation}");
        }
    }
}
