//! `Symbols`: which module is open, what is known already, and the thread on which files are parsed.
//!
//! There are two locks. `table` is held for look-ups of what is known, shortly. `open` is held while files are read and parsed, by one
//! query at a time: so the bound on memory holds for all queries together, and answers from the cache wait for nobody.
use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::cache::Cache;
use crate::debug_info::Interner;
use crate::elf::FileId;
use crate::open_module::{OpenModule, unknown};
use crate::reader::STACK_BYTES;
use crate::search::{self, ModuleFiles};
use crate::{ModuleRef, Resolution, SymbolCounts, SymbolSettings};

/// The files that a module's names come from: binary, debug file, supplement.
type Files = [Option<FileId>; 3];

/// An owned [`ModuleRef`].
#[derive(Clone, PartialEq, Eq, Hash)]
struct ModuleKey {
    path: Box<str>,
    build_id: Box<[u8]>,
    pid: Option<i32>,
}

/// The result of the search for a module's files.
#[derive(Clone)]
enum SearchOutcome {
    /// The number of its files, for the cache.
    Found {
        number: u64,
        is_final: bool,
    },
    Failed(Arc<Resolution>),
}

struct KnownModule {
    outcome: SearchOutcome,
    checked: Instant,
    used: u64,
}

/// A number, and the time on the table's clock at which it was last used.
struct FileNumber {
    number: u64,
    used: u64,
}

struct Table {
    known: HashMap<ModuleKey, KnownModule>,
    numbers: HashMap<Files, FileNumber>,
    /// The last files of a build: they answer when the file is gone.
    builds: HashMap<Box<[u8]>, FileNumber>,
    cache: Cache,
    clock: u64,
    failures: u64,
    /// Open modules, their bytes, and how many were opened, as of the last look-up, so that no parsing is waited for.
    open: [u64; 3],
}

#[derive(Default)]
struct Open {
    modules: HashMap<u64, OpenEntry>,
    used_at: Option<Instant>,
    clock: u64,
    opened: u64,
}

struct OpenEntry {
    module: OpenModule,
    bytes: usize,
    used: u64,
}

/// Names of addresses, with what has been found so far. All queries share one.
pub struct Symbols {
    settings: SymbolSettings,
    table: Mutex<Table>,
    open: Mutex<Open>,
}

impl Default for Symbols {
    fn default() -> Symbols {
        Symbols::new(SymbolSettings::default())
    }
}

impl Symbols {
    /// Symbols of which nothing is known yet.
    pub fn new(settings: SymbolSettings) -> Symbols {
        let cache = Cache::new(settings.cached_bytes);
        let (known, numbers, builds) = Default::default();
        let table = Table { known, numbers, builds, cache, clock: 0, failures: 0, open: [0; 3] };
        Symbols { settings, table: Mutex::new(table), open: Mutex::default() }
    }

    /// One answer for each address, in their order. Addresses are those of the file, which is with the load bias subtracted,
    /// and those of a call, which is a return address - 1.
    pub fn resolve(&self, module: &ModuleRef<'_>, addresses: &[u64]) -> Vec<Arc<Resolution>> {
        let identity = ModuleKey { path: module.path.into(), build_id: module.build_id.into(), pid: module.pid };
        let mut found = None;
        let outcome = self.known(&identity).unwrap_or_else(|| {
            let searched = search::find(module, &self.settings.debug_directories);
            let (outcome, files) = self.remember(&identity, searched);
            found = files;
            outcome
        });
        let number = match outcome {
            SearchOutcome::Failed(resolved) => return vec![resolved; addresses.len()],
            SearchOutcome::Found { number, .. } => number,
        };
        let cached = self.cached(number, addresses);
        if let Some(all) = cached.iter().cloned().collect() {
            return all;
        }
        let mut missing: Vec<u64> =
            addresses.iter().zip(&cached).filter(|(_, c)| c.is_none()).map(|(a, _)| *a).collect();
        missing.sort_unstable();
        missing.dedup();
        let resolved = self.look_up(module, &identity, number, found, &missing);
        let of = |address: &u64| match &resolved {
            Ok(resolved) => resolved[missing.binary_search(address).unwrap_or(0)].clone(),
            Err(failed) => failed.clone(),
        };
        cached.into_iter().zip(addresses).map(|(cached, address)| cached.unwrap_or_else(|| of(address))).collect()
    }

    /// Closes all modules if none was asked about for this time. Their names are kept. It does not wait for a query that
    /// parses.
    pub fn close_idle(&self, idle: Duration) {
        let Some(mut open) = self.open.try_lock() else {
            return;
        };
        if !open.modules.is_empty() && open.used_at.is_none_or(|at| at.elapsed() > idle) {
            open.modules.clear();
            self.table.lock().open = open.usage();
        }
    }

    /// The current counts. The numbers of open modules are those of the last look-up.
    pub fn counts(&self) -> SymbolCounts {
        let table = self.table.lock();
        let [open_modules, open_bytes, opened] = table.open;
        let failed = table.known.values().filter(|known| matches!(known.outcome, SearchOutcome::Failed(_))).count();
        SymbolCounts {
            cached: table.cache.len() as u64,
            cached_bytes: table.cache.bytes() as u64,
            hits: table.cache.hits,
            misses: table.cache.misses,
            evicted: table.cache.evictions,
            open_modules,
            open_bytes,
            opened,
            failed_modules: failed as u64,
            failures: table.failures,
        }
    }

    fn known(&self, identity: &ModuleKey) -> Option<SearchOutcome> {
        let table = &mut *self.table.lock();
        table.clock += 1;
        let known = table.known.get_mut(identity)?;
        known.used = table.clock;
        let is_final = matches!(known.outcome, SearchOutcome::Found { is_final: true, .. });
        (is_final || known.checked.elapsed() < self.settings.retry).then(|| known.outcome.clone())
    }

    fn remember(
        &self,
        identity: &ModuleKey,
        searched: Result<ModuleFiles, String>,
    ) -> (SearchOutcome, Option<ModuleFiles>) {
        let table = &mut *self.table.lock();
        table.clock += 1;
        let used = table.clock;
        let bound = self.settings.known_modules;
        let (outcome, found) = match searched {
            Ok(found) => {
                let next = used;
                let number = table.numbers.entry(found.ids()).or_insert(FileNumber { number: next, used });
                number.used = used;
                let number = number.number;
                if !identity.build_id.is_empty() {
                    table.builds.insert(identity.build_id.clone(), FileNumber { number, used });
                }
                let is_final = !identity.build_id.is_empty() && found.has_debug_info();
                (SearchOutcome::Found { number, is_final }, Some(found))
            }
            Err(note) => match table.builds.get_mut(&identity.build_id) {
                // The very file was read before; what was kept of it still holds.
                Some(build) => {
                    build.used = used;
                    (SearchOutcome::Found { number: build.number, is_final: false }, None)
                }
                None => {
                    table.failures += 1;
                    (SearchOutcome::Failed(unknown(&note)), None)
                }
            },
        };
        keep_recent(&mut table.known, bound, |known| known.used);
        keep_recent(&mut table.numbers, bound, |number| number.used);
        keep_recent(&mut table.builds, bound, |build| build.used);
        table.known.insert(identity.clone(), KnownModule { outcome: outcome.clone(), checked: Instant::now(), used });
        (outcome, found)
    }

    fn cached(&self, number: u64, addresses: &[u64]) -> Vec<Option<Arc<Resolution>>> {
        let table = &mut *self.table.lock();
        addresses.iter().map(|address| table.cache.get((number, *address))).collect()
    }

    /// Reads and parses. An error is the answer for every address.
    fn look_up(
        &self,
        module: &ModuleRef<'_>,
        identity: &ModuleKey,
        number: u64,
        found: Option<ModuleFiles>,
        addresses: &[u64],
    ) -> Result<Vec<Arc<Resolution>>, Arc<Resolution>> {
        let open = &mut *self.open.lock();
        let (mut number, mut found) = (number, found);
        if found.is_none() && !open.modules.contains_key(&number) {
            // Closed since: its files are looked for once more, and may be others now.
            let again = search::find(module, &self.settings.debug_directories).map_err(|note| unknown(&note))?;
            let (outcome, again) = self.remember(identity, Ok(again));
            if let SearchOutcome::Found { number: now, .. } = outcome {
                (number, found) = (now, again);
            }
        }
        if let Some(found) = found.filter(|_| !open.modules.contains_key(&number)) {
            let module = OpenModule::new(found, self.settings.open_bytes as u64);
            open.make_room(module.bytes_to_read(), &self.settings);
            open.opened += 1;
            open.modules.insert(number, OpenEntry { module, bytes: 0, used: 0 });
        }
        let resolved = open.resolve(number, addresses);
        open.make_room(0, &self.settings);
        let table = &mut *self.table.lock();
        table.open = open.usage();
        match resolved {
            Some(resolved) => {
                for (address, resolved) in addresses.iter().zip(&resolved) {
                    table.cache.insert((number, *address), resolved.clone());
                }
                Ok(resolved)
            }
            None => {
                table.failures += 1;
                let failed = unknown("cannot be read: its contents end the parser");
                let outcome = SearchOutcome::Failed(failed.clone());
                table
                    .known
                    .insert(identity.clone(), KnownModule { outcome, checked: Instant::now(), used: table.clock });
                Err(failed)
            }
        }
    }
}

impl Open {
    /// The answers. `None` if the parser panicked, or no thread could be had; the module is closed then.
    fn resolve(&mut self, number: u64, addresses: &[u64]) -> Option<Vec<Arc<Resolution>>> {
        self.clock += 1;
        self.used_at = Some(Instant::now());
        let entry = self.modules.get_mut(&number)?;
        entry.used = self.clock;
        let module = &mut entry.module;
        // A thread of its own has a stack of a known size, however deep the caller's is, and a panic ends with it.
        let resolved = thread::scope(|scope| {
            let work = || {
                let mut interner = Interner::default();
                addresses.iter().map(|address| Arc::new(module.resolve(*address, &mut interner))).collect()
            };
            let builder = thread::Builder::new().name("symbols".to_owned()).stack_size(2 * STACK_BYTES);
            builder.spawn_scoped(scope, work).ok()?.join().ok()
        });
        match &resolved {
            Some(_) => entry.bytes = entry.module.bytes(),
            None => drop(self.modules.remove(&number)),
        }
        resolved
    }

    fn usage(&self) -> [u64; 3] {
        let bytes: usize = self.modules.values().map(|entry| entry.bytes).sum();
        [self.modules.len() as u64, bytes as u64, self.opened]
    }

    /// Closes the modules that were not used for the longest time until the bounds hold with `more` bytes.
    fn make_room(&mut self, more: u64, settings: &SymbolSettings) {
        loop {
            let bytes: u64 = self.modules.values().map(|entry| entry.bytes as u64).sum();
            if bytes.saturating_add(more) <= settings.open_bytes as u64 && self.modules.len() <= settings.open_modules {
                return;
            }
            let oldest = self.modules.iter().min_by_key(|(_, entry)| entry.used).map(|(number, _)| *number);
            let Some(oldest) = oldest else { return };
            self.modules.remove(&oldest);
        }
    }
}

/// Makes room for one more entry: if the map is full, the half that was used last stays.
fn keep_recent<K, V>(map: &mut HashMap<K, V>, bound: usize, used: impl Fn(&V) -> u64) {
    if map.len() < bound.max(1) {
        return;
    }
    let mut times: Vec<u64> = map.values().map(&used).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    map.retain(|_, value| used(value) > median);
}
