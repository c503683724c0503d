//! One recorded process: its ledger, turned into callsites.
//!
//! Labels and stacks never change once written, so they are kept (under a bound that all sources share). Every query reads
//! the counters anew. It does not decide whether the process lives (`liveness` does). Called by `Registry` and the tables.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use heapql_ledger::{CallsiteRecord, Identity, Intervals, LabelRecord, Ledger, Loss, ReadError, Sampling};
use parking_lot::Mutex;

use crate::counters::{Counters, merged};
use crate::modules::ModuleMap;

/// Bound in bytes on the stacks that all sources together keep.
const STACK_CACHE_BYTES: usize = 256 << 20;
/// Stacks closer than this are read together; a hole in a damaged ledger is not.
const NEAR_WORDS: u32 = 8192;
/// No more than this is read at once.
const RUN_WORDS: u32 = 1 << 18;

/// A process that ended with fewer live samples, and with less memory, held little.
const LITTLE_SAMPLES: i64 = 8;
const LITTLE_BYTES: f64 = (16 << 20) as f64;

/// The amount that was live when a process died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Remains {
    Nothing,
    Little,
    Much,
}

/// The state of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceState {
    /// The process runs the program that it records.
    Alive,
    /// The process has ended.
    Dead,
    /// The ledger cannot be read, for this reason.
    Unreadable(String),
}

/// The number of times that the recorder could not do all that it should, for one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LossCount {
    /// Name of the reason, such as `pool_full`.
    pub name: &'static str,
    /// The number of times.
    pub count: u64,
    /// The allocation is not recorded at all. Otherwise it is, with less than there should be.
    pub is_unrecorded: bool,
}

/// A stack and label of one process, with its counters.
#[derive(Clone, Debug)]
pub struct Callsite {
    /// Number of the callsite, unique in its source.
    pub callsite_id: u64,
    /// Tenant of its allocations.
    pub tenant_id: i64,
    /// Memory context of its allocations.
    pub ctx_id: i64,
    /// Module label of its allocations, at most 15 bytes.
    pub label: Arc<str>,
    /// Return addresses, innermost first. Those in the program itself are addresses of its file (less the load bias, so
    /// that addr2line takes them), the others are absolute.
    pub stack: Arc<[u64]>,
    /// The generation of modules in which the stack was captured, for [`ModuleMap::locate`].
    pub module_generation: u16,
    /// Time at which the first object was sampled here, to the second.
    pub first_seen_at: SystemTime,
    /// The counters.
    pub counters: Counters,
}

/// One recorded process.
pub struct Source {
    path: PathBuf,
    id: u64,
    ledger: Option<Ledger>,
    state: Mutex<SourceState>,
    command: Mutex<Arc<str>>,
    /// The digest of the process's image ([`crate::procfs::Stat::image`]) when it was last seen to have the ledger mapped, or 0.
    seen_image: AtomicU64,
    /// The remains of a dead process, once they were asked for, because nothing changes any more.
    remains: OnceLock<Remains>,
    kept: Mutex<SourceCache>,
    stack_bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct SourceCache {
    labels: Vec<(LabelRecord, Arc<str>)>,
    /// The program's first address, the address behind its last, and its load bias.
    program: Option<(u64, u64, u64)>,
    /// The stacks that have been read, by callsite number.
    stacks: HashMap<u32, Arc<[u64]>>,
    bytes: usize,
}

impl Source {
    pub(crate) fn new(path: &Path, ledger: Ledger, stack_bytes: Arc<AtomicUsize>) -> Source {
        Source {
            path: path.to_owned(),
            id: id_of(path),
            command: Mutex::new(ledger.identity().command.as_str().into()),
            ledger: Some(ledger),
            state: Mutex::new(SourceState::Dead),
            seen_image: AtomicU64::new(0),
            remains: OnceLock::new(),
            kept: Mutex::default(),
            stack_bytes,
        }
    }

    pub(crate) fn unreadable(path: &Path, why: &ReadError) -> Source {
        Source {
            path: path.to_owned(),
            id: id_of(path),
            ledger: None,
            state: Mutex::new(SourceState::Unreadable(why.to_string())),
            command: Mutex::new("".into()),
            seen_image: AtomicU64::new(0),
            remains: OnceLock::new(),
            kept: Mutex::default(),
            stack_bytes: Arc::default(),
        }
    }

    /// Path of the ledger.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that stays the same for as long as the ledger has its path.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.ledger.as_ref().map(Ledger::identity)
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.ledger.is_some()
    }

    /// Number of the process. An unreadable source has the one in the file's name, or 0.
    pub fn pid(&self) -> i32 {
        match self.identity() {
            Some(identity) => identity.pid as i32,
            None => {
                let name = self.path.file_name().unwrap_or_default().to_string_lossy();
                name.split('-').next().and_then(|pid| pid.parse().ok()).unwrap_or(0)
            }
        }
    }

    /// The heap is that of the calling process. A ledger that does not say when its process started never is.
    pub fn is_own(&self) -> bool {
        let is_own = |identity: &Identity| identity.pid == std::process::id() && identity.start_ticks != 0;
        self.identity().is_some_and(is_own) && self.state() == SourceState::Alive
    }

    /// Number of the process's parent when recording began, or 0.
    pub fn parent_pid(&self) -> i32 {
        self.identity().map_or(0, |identity| identity.parent_pid as i32)
    }

    /// The command line with blanks between its words: the present one while the process lives, which it may have changed to
    /// a title, then the last that was seen.
    pub fn command(&self) -> Arc<str> {
        Arc::clone(&self.command.lock())
    }

    pub(crate) fn set_command(&self, command: &str) {
        let mut known = self.command.lock();
        if **known != *command {
            *known = command.into();
        }
    }

    /// Path of the executable.
    pub fn program(&self) -> &str {
        self.identity().map_or("", |identity| &identity.program)
    }

    /// Time at which recording began, in nanoseconds since 1970.
    pub fn created_at(&self) -> u64 {
        self.identity().map_or(0, |identity| identity.created_at)
    }

    /// Time at which recording began.
    pub fn started_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.created_at())
    }

    /// The state, as the registry last saw it.
    pub fn state(&self) -> SourceState {
        self.state.lock().clone()
    }

    pub(crate) fn seen_image(&self) -> &AtomicU64 {
        &self.seen_image
    }

    pub(crate) fn set_state(&self, state: SourceState) {
        *self.state.lock() = state;
    }

    /// Some process has the ledger mapped.
    pub(crate) fn is_held(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_held)
    }

    /// The amount that was live when the process died. It counts as much if it cannot be read.
    pub(crate) fn remains(&self) -> Remains {
        *self.remains.get_or_init(|| {
            let Some(records) = self.ledger.as_ref().and_then(|ledger| ledger.callsites().ok()) else {
                return Remains::Much;
            };
            let samples = records.iter().fold(0_i64, |sum, record| sum.saturating_add(record.live_count.max(0)));
            let bytes: f64 = records.iter().map(|record| record.weight * record.live_bytes as f64).sum();
            match samples {
                0 => Remains::Nothing,
                _ if samples < LITTLE_SAMPLES && bytes < LITTLE_BYTES => Remains::Little,
                _ => Remains::Much,
            }
        })
    }

    /// The tenant of allocations that set no scope.
    pub fn tenant_id(&self) -> i64 {
        let mut kept = self.kept.lock();
        let labels = self.ledger.as_ref().and_then(|ledger| kept.labels(ledger, 1).ok());
        labels.and_then(|labels| labels.first()).map_or(0, |(label, _)| label.tenant_id)
    }

    /// The intervals that the process samples by, or sampled by when it died.
    pub fn intervals(&self) -> Option<Intervals> {
        self.ledger.as_ref()?.intervals().ok()?
    }

    pub(crate) fn set_sampling(&self, sampling: Sampling) -> io::Result<()> {
        Ledger::set_sampling(&self.path, sampling).map_err(|error| match error {
            ReadError::Io(error) => error,
            other => io::Error::other(other),
        })
    }

    /// Memory that the ledger takes, in bytes.
    pub fn ledger_bytes(&self) -> u64 {
        self.ledger.as_ref().map_or(0, Ledger::used_bytes)
    }

    /// The number of each kind of loss, those that never happened included.
    pub fn losses(&self) -> Vec<LossCount> {
        let losses = self.ledger.as_ref().and_then(|ledger| ledger.losses().ok()).unwrap_or_default();
        let count = |(loss, count): (Loss, u64)| LossCount {
            name: loss.name(),
            count,
            is_unrecorded: loss != Loss::StackTruncated,
        };
        losses.into_iter().map(count).collect()
    }

    /// Allocations that were due for a sample and are not recorded. A sample whose stack was cut is recorded.
    pub fn unrecorded(&self) -> u64 {
        let lost = self.losses().into_iter().filter(|loss| loss.is_unrecorded).map(|loss| loss.count);
        lost.fold(0, u64::saturating_add)
    }

    /// The modules that stacks pass through, as far as they are known now. Errors are those of reading the ledger.
    pub fn modules(&self) -> Result<ModuleMap, ReadError> {
        let mut records = self.ledger.as_ref().map_or(Ok(Vec::new()), Ledger::modules)?;
        // The loader has no name for the program.
        for program in records.iter_mut().filter(|module| module.is_program && module.path.is_empty()) {
            self.program().clone_into(&mut program.path);
        }
        Ok(ModuleMap::new(records))
    }

    /// The callsites of which something is live now, in no particular order. Errors are those of reading the ledger.
    pub fn callsites(&self) -> Result<Vec<Callsite>, ReadError> {
        self.callsites_where(|counters| counters.live_count > 0)
    }

    /// The callsites that are wanted by their counters, which may be some of which nothing is live.
    pub fn callsites_where(&self, is_wanted: impl Fn(&Counters) -> bool) -> Result<Vec<Callsite>, ReadError> {
        let Some(ledger) = &self.ledger else {
            return Ok(Vec::new());
        };
        let _span = tracing::info_span!("callsites").entered();
        let mut records = merged(ledger, self.id)?;
        records.retain(|(_, counters)| is_wanted(counters));
        let mut kept = self.kept.lock();
        kept.read_stacks(ledger, &records, &self.stack_bytes)?;
        let most = records.iter().map(|(record, _)| record.label).max().map_or(0, |label| label as usize + 1);
        kept.labels(ledger, most)?;
        let started_at = self.started_at();
        Ok(records
            .iter()
            .filter_map(|(record, counters)| kept.callsite(ledger, started_at, record, counters))
            .collect())
    }

    /// The counters of every callsite, those with nothing live included, by `Callsite::callsite_id`.
    pub fn counters(&self) -> Result<Vec<(u64, Counters)>, ReadError> {
        let records = self.ledger.as_ref().map_or(Ok(Vec::new()), |ledger| merged(ledger, self.id))?;
        Ok(records.into_iter().map(|(record, counters)| (record.id.into(), counters)).collect())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stack_bytes.fetch_sub(self.kept.get_mut().bytes, Relaxed);
    }
}

fn id_of(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    // Positive as a signed column.
    hasher.finish() >> 1
}

impl SourceCache {
    /// The labels, read again if there are fewer than `most`.
    fn labels(&mut self, ledger: &Ledger, most: usize) -> Result<&[(LabelRecord, Arc<str>)], ReadError> {
        if self.labels.len() < most {
            let labels = ledger.labels()?.into_iter();
            self.labels = labels.map(|label| (label.clone(), Arc::from(label.text.as_str()))).collect();
        }
        Ok(&self.labels)
    }

    /// Reads the stacks of the records that have none yet.
    fn read_stacks(
        &mut self,
        ledger: &Ledger,
        records: &[(CallsiteRecord, Counters)],
        total: &AtomicUsize,
    ) -> Result<(), ReadError> {
        let records = records.iter().map(|(record, _)| record);
        let mut missing: Vec<_> = records.filter(|record| !self.stacks.contains_key(&record.id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable_by_key(|record| record.stack_at);
        self.find_program(ledger)?;
        let mut first = missing.first().map_or(0, |record| record.stack_at);
        for together in missing.chunk_by(|one, next| {
            let is_near = next.stack_at.saturating_sub(one.stack_at) < NEAR_WORDS && next.stack_at - first < RUN_WORDS;
            first = if is_near { first } else { next.stack_at };
            is_near
        }) {
            self.read_run(ledger, together, total)?;
        }
        Ok(())
    }

    /// Reads the stacks of records that lie near each other, in the order of their places, in one piece.
    fn read_run(&mut self, ledger: &Ledger, records: &[&CallsiteRecord], total: &AtomicUsize) -> Result<(), ReadError> {
        let Some(from) = records.first().map(|record| record.stack_at) else {
            return Ok(());
        };
        let end = records.iter().map(|record| record.stack_at as usize + record.depth as usize).max().unwrap_or(0);
        let words = ledger.words(from, end - from as usize)?;
        for record in records {
            let at = (record.stack_at - from) as usize;
            let stack: Arc<[u64]> =
                words[at..at + record.depth as usize].iter().map(|&address| self.printed(address)).collect();
            let bytes = size_of_val(&*stack) + 16;
            if total.load(Relaxed) + bytes > STACK_CACHE_BYTES {
                continue;
            }
            total.fetch_add(bytes, Relaxed);
            self.bytes += bytes;
            self.stacks.insert(record.id, stack);
        }
        Ok(())
    }

    fn find_program(&mut self, ledger: &Ledger) -> Result<(), ReadError> {
        if self.program.is_none() {
            let program = ledger.modules()?.into_iter().find(|module| module.is_program);
            self.program = program.map(|module| (module.start, module.end, module.load_bias));
        }
        Ok(())
    }

    fn printed(&self, address: u64) -> u64 {
        match self.program {
            Some((start, end, load_bias)) if (start..end).contains(&address) => address.wrapping_sub(load_bias),
            _ => address,
        }
    }

    /// The callsite of a record. `None` if its label does not exist, which only a damaged ledger has.
    fn callsite(
        &self,
        ledger: &Ledger,
        started_at: SystemTime,
        record: &CallsiteRecord,
        counters: &Counters,
    ) -> Option<Callsite> {
        let (label, text) = self.labels.get(record.label as usize)?;
        let stack = match self.stacks.get(&record.id).cloned() {
            Some(stack) => stack,
            None => {
                let words = ledger.words(record.stack_at, record.depth.into()).ok()?;
                words.into_iter().map(|address| self.printed(address)).collect()
            }
        };
        Some(Callsite {
            callsite_id: record.id.into(),
            tenant_id: label.tenant_id,
            ctx_id: label.ctx_id,
            label: text.clone(),
            stack,
            module_generation: record.module_generation,
            first_seen_at: started_at + Duration::from_secs(record.first_seen_seconds.into()),
            counters: *counters,
        })
    }
}
