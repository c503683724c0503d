//! The locations of a heap profile: addresses of stacks with their names, each looked up once per process, and the modules
//! that they lie in.

use std::collections::HashMap;
use std::sync::Arc;

use heapql_profile::{Frame, Location, ProfileModule};
use heapql_registry::{Callsite, ModuleMap, ModuleRecord, Source};

use crate::TableScope;
use heapql_server::symbols::{Namer, ResolvedFrame, hex};

pub(super) struct LocationTable<'a> {
    scope: &'a TableScope,
    modules: Vec<ProfileModule>,
    /// Index by build-id, path and start, because several processes may have one module.
    known: HashMap<(Vec<u8>, String, u64), u32>,
}

/// The locations of one process.
pub(super) struct ProcessLocations<'p, 'a> {
    table: &'p mut LocationTable<'a>,
    namer: Namer,
    modules: ModuleMap,
    seen: HashMap<(u64, u16), Arc<Location>>,
}

impl<'a> LocationTable<'a> {
    pub(super) fn new(scope: &'a TableScope) -> LocationTable<'a> {
        LocationTable { scope, modules: Vec::new(), known: HashMap::new() }
    }

    /// A process whose modules cannot be read has bare addresses.
    pub(super) fn of(&mut self, source: &Source) -> ProcessLocations<'_, 'a> {
        let modules = source.modules().unwrap_or_default();
        // pprof takes the first for the program.
        if let Some(record) = modules.iter().find(|module| module.is_program) {
            self.module(record);
        }
        ProcessLocations { namer: self.scope.server.namers().only(source), table: self, modules, seen: HashMap::new() }
    }

    pub(super) fn into_modules(self) -> Vec<ProfileModule> {
        self.modules
    }

    fn module(&mut self, record: &ModuleRecord) -> u32 {
        let key = (record.build_id.clone(), record.path.clone(), record.start);
        let modules = &mut self.modules;
        *self.known.entry(key).or_insert_with(|| {
            modules.push(ProfileModule {
                path: record.path.clone(),
                build_id: hex(&record.build_id),
                start: record.start,
                end: record.end,
                load_bias: record.load_bias,
            });
            modules.len() as u32 - 1
        })
    }
}

impl ProcessLocations<'_, '_> {
    /// The innermost first, as in the callsite.
    pub(super) fn stack(&mut self, callsite: &Callsite) -> Vec<Arc<Location>> {
        self.namer.prepare(&callsite.stack, callsite.module_generation);
        callsite.stack.iter().map(|&address| self.location(address, callsite.module_generation)).collect()
    }

    fn location(&mut self, address: u64, generation: u16) -> Arc<Location> {
        if let Some(known) = self.seen.get(&(address, generation)) {
            return Arc::clone(known);
        }
        let frames = self.namer.address(address, generation).iter().map(frame).collect();
        let location = match self.modules.locate(address, generation) {
            None => Location { module: u32::MAX, address, frames },
            Some((record, address)) => {
                let module = self.table.module(record);
                Location { module, address, frames }
            }
        };
        let location = Arc::new(location);
        self.seen.insert((address, generation), Arc::clone(&location));
        location
    }
}

fn frame(named: &ResolvedFrame) -> Frame {
    let function = named.frame.function.clone().unwrap_or_else(|| named.function().into());
    Frame { function, file: named.frame.file.clone(), line: named.frame.line, is_inline: named.frame.is_inline }
}
