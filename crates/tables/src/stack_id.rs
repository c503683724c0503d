//! Which stack it is, whatever the process and the server: the same for the same places in the same files.
//!
//! Absolute addresses differ from process to process. What stays is a module's build-id and the address in its file, so the
//! id is a hash of these, innermost first. A stack with a frame in no module (code made at run time), or in a module without
//! a build-id, is known to be the same nowhere else: its id is made of the server, the process and the callsite, and no other
//! stack has it. So rows that are grouped by it are never of different stacks.

use std::collections::HashMap;
use std::sync::Arc;

use heapql_registry::{Callsite, CallsiteVerdict, LeakLevel, ModuleMap, Source};
use sha2::{Digest, Sha256};

use heapql_server::server::Server;
use heapql_server::symbols::hex;

/// As the columns are declared: 128 bits in hexadecimal.
pub(crate) const MYSQL_TYPE: &str = "varchar(32)";

/// The sentence of every column that holds such an id.
pub(crate) const COMMENT: &str = "the same for the same stack in all processes and on all servers";

/// The ids of one statement's stacks.
pub(crate) struct StackIds {
    server: Arc<Server>,
    /// The modules of each source, by its id.
    modules: HashMap<u64, ModuleMap>,
}

impl StackIds {
    pub(crate) fn new(server: &Arc<Server>) -> StackIds {
        StackIds { server: Arc::clone(server), modules: HashMap::new() }
    }

    pub(crate) fn of(&mut self, source: &Source, callsite: &Callsite) -> String {
        let modules = self.modules.entry(source.id()).or_insert_with(|| source.modules().unwrap_or_default());
        let hash = by_places(modules, &callsite.stack, callsite.module_generation);
        let hash = hash.unwrap_or_else(|| by_owner(&self.server, source, callsite.callsite_id));
        hex(&hash.finalize()[..16])
    }

    /// The id of a leak whose stacks share these frames: the same for the same frames, or of its process alone.
    pub(crate) fn of_leak(&mut self, verdict: &CallsiteVerdict, shared: &[u64]) -> String {
        let (source, place) = (&verdict.source, &verdict.place);
        let modules = self.modules.entry(source.id()).or_insert_with(|| source.modules().unwrap_or_default());
        let is_of_frames = matches!(place.level, LeakLevel::Stack | LeakLevel::Caller);
        let of_frames = || by_places(modules, shared, verdict.callsite.module_generation);
        let hash = is_of_frames.then(of_frames).flatten();
        let mut hash = hash.unwrap_or_else(|| by_owner(&self.server, source, place.leak_id));
        hash.update(place.level.name());
        hex(&hash.finalize()[..16])
    }
}

/// None if a frame cannot be told from others elsewhere.
fn by_places(modules: &ModuleMap, stack: &[u64], generation: u16) -> Option<Sha256> {
    let mut hash = Sha256::new_with_prefix(b"places");
    for &address in stack {
        let (module, address) = modules.locate(address, generation)?;
        let build_id = Some(&module.build_id).filter(|build_id| !build_id.is_empty())?;
        hash.update((build_id.len() as u64).to_le_bytes());
        hash.update(build_id);
        hash.update(address.to_le_bytes());
    }
    (!stack.is_empty()).then_some(hash)
}

fn by_owner(server: &Server, source: &Source, number: u64) -> Sha256 {
    let mut hash = Sha256::new_with_prefix(b"owner");
    hash.update(server.address().to_string());
    for number in [i64::from(source.pid()).cast_unsigned(), source.id(), source.created_at(), number] {
        hash.update(number.to_le_bytes());
    }
    hash
}
