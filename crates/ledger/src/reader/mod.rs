//! The reading half: one ledger file, taken as untrusted input.
//!
//! It copies what it needs with pread(2) and interprets the copy, so a file that is truncated, overwritten or hostile gives
//! an error or a wrong number, never a crash, and the target is never slowed. It does not know other files (`registry`)
//! and keeps no rows. Called by `registry`.

mod bytes;
mod control;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::layout::*;
use bytes::Bytes;

/// Why a file is not read, in words for `processes.why`.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be opened or read.
    Io(io::Error),
    /// It is being created: try again.
    NotReady,
    /// Written by another version of the recorder.
    Version(u32),
    /// Not a ledger, or a damaged one.
    Invalid(&'static str),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "cannot read the ledger: {error}"),
            ReadError::NotReady => write!(f, "the ledger is still being created"),
            ReadError::Version(found) => {
                write!(f, "the ledger has version {found}, this program reads version {VERSION}: use the same release")
            }
            ReadError::Invalid(what) => write!(f, "not a valid ledger: {what}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

/// The process that wrote the ledger, as it says itself. Fixed for the file's life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// Its parent's, when the ledger was created.
    pub parent_pid: u32,
    /// Its real user.
    pub uid: u32,
    /// Field 22 of /proc/PID/stat, 0 if unknown.
    pub start_ticks: u64,
    /// Nanoseconds since 1970.
    pub created_at: u64,
    /// 32 hexadecimal digits; zeroes if unknown.
    pub boot_id: String,
    /// The path of its executable.
    pub program: String,
    /// Arguments separated by blanks.
    pub command: String,
}

/// A label, as read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelRecord {
    /// OceanBase's tenant.
    pub tenant_id: i64,
    /// OceanBase's memory context.
    pub ctx_id: i64,
    /// The module label, at most 15 bytes.
    pub text: String,
}

/// A module that some stack passes through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleRecord {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// The difference between an address in memory and the same address in the file.
    pub load_bias: u64,
    /// Its path as the dynamic loader has it.
    pub path: String,
    /// Its GNU build id, empty if it has none.
    pub build_id: Vec<u8>,
    /// Whether it is the program itself.
    pub is_program: bool,
    /// Generations between which it was there.
    pub loaded: u32,
    /// The generation in which it was found unloaded.
    pub unloaded: Option<u32>,
}

/// Counters and place of one callsite. The stack is read apart, since it never changes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CallsiteRecord {
    /// Its place in the table.
    pub id: u32,
    /// The number of its label.
    pub label: u16,
    /// How many frames it has.
    pub depth: u8,
    /// Which threads sampled it: the label's series of gaps of one shard are apart from those of another.
    pub shard: u8,
    /// Where its frames stand among the words.
    pub stack_at: u32,
    /// The generation of modules that its addresses belong to.
    pub module_generation: u16,
    /// When it was added, in seconds since the ledger was created.
    pub first_seen_seconds: u32,
    /// How many of its samples are live.
    pub live_count: i64,
    /// The requested bytes of those.
    pub live_bytes: i64,
    /// How many samples were taken.
    pub total_count: i64,
    /// The requested bytes of those.
    pub total_bytes: i64,
    /// How many allocations each sample stands for.
    pub weight: f64,
    /// Over the live objects, the sum of their squared sizes.
    pub live_squares: f64,
}

/// How many callsites are read at a time: 256 KiB.
const CALLSITES_READ: usize = 4096;

/// An open ledger file.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    identity: Identity,
    file_bytes: u64,
    callsite_capacity: usize,
    word_capacity: usize,
}

impl Ledger {
    /// Opens and validates. Never blocks on a fifo, never follows a link.
    pub fn open(path: &Path) -> Result<Ledger, ReadError> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(ReadError::Invalid("not a regular file"));
        }
        let file_bytes = metadata.len();
        if file_bytes == 0 {
            return Err(ReadError::NotReady);
        }
        if !(MIN_BYTES as u64..=MAX_BYTES as u64).contains(&file_bytes) {
            return Err(ReadError::Invalid("its size is out of range"));
        }
        let mut header = Bytes::read(&file, 0, HEADER_BYTES)?;
        if is_ready(&header) {
            // A copy is not of one moment: what stands before `ready` may have been copied before it was stored.
            header = Bytes::read(&file, 0, HEADER_BYTES)?;
        }
        check_header(&header, file_bytes)?;
        let (callsite_capacity, word_capacity) = capacities(file_bytes as usize);
        Ok(Ledger { identity: identity(&header), file, file_bytes, callsite_capacity, word_capacity })
    }

    /// The process that wrote it.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether some process has it mapped: its own, in whatever pid namespace, or a child of that which samples nothing.
    pub fn is_held(&self) -> bool {
        crate::sys::is_locked(self.file.as_raw_fd())
    }

    /// Size of the file, most of it usually a hole.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// How many bytes of memory or disk the file takes.
    pub fn used_bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.blocks() * 512)
    }

    fn header(&self) -> Result<Bytes, ReadError> {
        Bytes::read(&self.file, 0, HEADER_BYTES)
    }

    /// The intervals in force; `None` if the file holds none that a writer could have stored.
    pub fn intervals(&self) -> Result<Option<Intervals>, ReadError> {
        let at = std::mem::offset_of!(Header, control) + std::mem::offset_of!(Control, intervals);
        Ok(Intervals::from_word(self.header()?.u64(at)))
    }

    /// How often each kind of loss happened.
    pub fn losses(&self) -> Result<Vec<(Loss, u64)>, ReadError> {
        let header = self.header()?;
        let at = std::mem::offset_of!(Header, losses);
        Ok(Loss::ALL.iter().map(|&loss| (loss, header.u64(at + loss as usize * 8))).collect())
    }

    /// Per shard, how many series of gaps have led to a sample.
    pub fn series(&self) -> Result<[u32; SHARDS], ReadError> {
        let header = self.header()?;
        let at = std::mem::offset_of!(Header, series);
        Ok(std::array::from_fn(|shard| header.u32(at + shard * 4)))
    }

    /// All labels, by number.
    pub fn labels(&self) -> Result<Vec<LabelRecord>, ReadError> {
        let count = self.header()?.u32(std::mem::offset_of!(Header, label_count)) as usize;
        let count = within(count, LABEL_CAPACITY, "it counts too many labels")?;
        let table = Bytes::read(&self.file, LABELS_AT, count * size_of::<RawLabel>())?;
        Ok((0..count).map(|i| label(&table, i * size_of::<RawLabel>())).collect())
    }

    /// All modules that some stack passes through, those that are unloaded included.
    pub fn modules(&self) -> Result<Vec<ModuleRecord>, ReadError> {
        let count = self.header()?.u32(std::mem::offset_of!(Header, module_count)) as usize;
        let count = within(count, MODULE_CAPACITY, "it counts too many modules")?;
        let table = Bytes::read(&self.file, MODULES_AT, count * size_of::<RawModule>())?;
        (0..count).map(|i| self.module(&table, i * size_of::<RawModule>())).collect()
    }

    fn module(&self, table: &Bytes, at: usize) -> Result<ModuleRecord, ReadError> {
        use std::mem::offset_of;
        let name_at = table.u32(at + offset_of!(RawModule, name_at));
        let name_bytes = table.u16(at + offset_of!(RawModule, name_bytes)) as usize;
        let words = self.words(name_at, name_bytes.div_ceil(8))?;
        let name: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).take(name_bytes).collect();
        let build_id_bytes = (table.u16(at + offset_of!(RawModule, build_id_bytes)) as usize).min(32);
        let unloaded = table.u32(at + offset_of!(RawModule, unloaded));
        Ok(ModuleRecord {
            start: table.u64(at + offset_of!(RawModule, start)),
            end: table.u64(at + offset_of!(RawModule, end)),
            load_bias: table.u64(at + offset_of!(RawModule, load_bias)),
            path: String::from_utf8_lossy(&name).into_owned(),
            build_id: table.slice(at + offset_of!(RawModule, build_id), build_id_bytes).to_vec(),
            is_program: table.u32(at + offset_of!(RawModule, is_program)) != 0,
            loaded: table.u32(at + offset_of!(RawModule, loaded)),
            unloaded: (unloaded != 0).then_some(unloaded),
        })
    }

    /// All callsites, those with nothing live included, as they are now. Read in pieces: a file of holes that counts
    /// millions of them costs no memory.
    pub fn callsites(&self) -> Result<Vec<CallsiteRecord>, ReadError> {
        let count = self.header()?.u32(std::mem::offset_of!(Header, callsite_count)) as usize;
        let count = within(count, self.callsite_capacity, "it counts more callsites than fit")?;
        let mut callsites = Vec::new();
        for first in (0..count).step_by(CALLSITES_READ) {
            let here = CALLSITES_READ.min(count - first);
            let at = CALLSITES_AT + first * size_of::<RawCallsite>();
            let table = Bytes::read(&self.file, at, here * size_of::<RawCallsite>())?;
            callsites.extend((0..here).filter_map(|i| callsite(&table, i, first + i)));
        }
        Ok(callsites)
    }

    /// `count` words from `at`: a stack, or several that stand together.
    pub fn words(&self, at: u32, count: usize) -> Result<Vec<u64>, ReadError> {
        within(at as usize + count, self.word_capacity, "a stack lies outside it")?;
        let table = CALLSITES_AT + self.callsite_capacity * size_of::<RawCallsite>();
        let bytes = Bytes::read(&self.file, table + at as usize * 8, count * 8)?;
        Ok((0..count).map(|i| bytes.u64(i * 8)).collect())
    }

    /// How many words are announced.
    pub fn word_count(&self) -> Result<usize, ReadError> {
        let count = self.header()?.u32(std::mem::offset_of!(Header, word_count)) as usize;
        within(count, self.word_capacity, "it counts more words than fit")
    }

    /// Changes the sampling of the running target, from its next allocation on.
    pub fn set_sampling(path: &Path, sampling: Sampling) -> Result<(), ReadError> {
        Ledger::open(path)?;
        control::set_sampling(path, sampling)
    }
}

fn within(value: usize, most: usize, what: &'static str) -> Result<usize, ReadError> {
    if value > most { Err(ReadError::Invalid(what)) } else { Ok(value) }
}

fn is_ready(header: &Bytes) -> bool {
    header.u32(std::mem::offset_of!(Header, ready)) != 0
}

/// Until it is ready, a zero is a word that has not been stored yet.
fn check_header(header: &Bytes, file_bytes: u64) -> Result<(), ReadError> {
    use std::mem::offset_of;
    let or_not_ready = |is_zero, error| Err(if is_zero && !is_ready(header) { ReadError::NotReady } else { error });
    if header.slice(0, MAGIC.len()) != MAGIC {
        return or_not_ready(header.u64(0) == 0, ReadError::Invalid("it does not begin like one"));
    }
    let byte_order = header.u32(offset_of!(Header, byte_order));
    if byte_order != BYTE_ORDER {
        let error = ReadError::Invalid("it was written on a machine of another byte order");
        return or_not_ready(byte_order == 0, error);
    }
    let version = header.u32(offset_of!(Header, version));
    if version != VERSION {
        return or_not_ready(version == 0, ReadError::Version(version));
    }
    if !is_ready(header) {
        return Err(ReadError::NotReady);
    }
    if header.u64(offset_of!(Header, file_bytes)) != file_bytes {
        return Err(ReadError::Invalid("it is longer or shorter than it says"));
    }
    let said = (header.u32(offset_of!(Header, callsite_capacity)), header.u32(offset_of!(Header, word_capacity)));
    let (callsites, words) = capacities(file_bytes as usize);
    if said != (callsites as u32, words as u32) {
        return Err(ReadError::Invalid("its tables have other sizes than they should"));
    }
    Ok(())
}

fn identity(header: &Bytes) -> Identity {
    use std::mem::offset_of;
    let text = |at: usize, length: usize| {
        let length = (header.u32(length) as usize).min(TEXT_BYTES);
        let text = String::from_utf8_lossy(header.slice(at, length)).into_owned();
        text.trim_end_matches('\0').replace('\0', " ")
    };
    let boot = offset_of!(Header, boot_id);
    Identity {
        pid: header.u32(offset_of!(Header, pid)),
        parent_pid: header.u32(offset_of!(Header, parent_pid)),
        uid: header.u32(offset_of!(Header, uid)),
        start_ticks: header.u64(offset_of!(Header, start_ticks)),
        created_at: header.u64(offset_of!(Header, created_at)),
        boot_id: format!("{:016x}{:016x}", header.u64(boot), header.u64(boot + 8)),
        program: text(offset_of!(Header, program), offset_of!(Header, program_bytes)),
        command: text(offset_of!(Header, command), offset_of!(Header, command_bytes)),
    }
}

fn label(table: &Bytes, at: usize) -> LabelRecord {
    use std::mem::offset_of;
    let text = table.slice(at + offset_of!(RawLabel, text), LABEL_BYTES + 1);
    let length = text.last().map_or(0, |&length| length as usize).min(LABEL_BYTES);
    LabelRecord {
        tenant_id: table.u64(at + offset_of!(RawLabel, tenant_id)) as i64,
        ctx_id: table.u64(at + offset_of!(RawLabel, ctx_id)) as i64,
        text: String::from_utf8_lossy(&text[..length]).into_owned(),
    }
}

/// The `i`-th of a piece of the table.
fn callsite(table: &Bytes, i: usize, id: usize) -> Option<CallsiteRecord> {
    use std::mem::offset_of;
    let at = i * size_of::<RawCallsite>();
    let total_count = table.u64(at + offset_of!(RawCallsite, total_count));
    let total_bytes = table.u64(at + offset_of!(RawCallsite, total_bytes));
    let live_count = total_count.wrapping_sub(table.u64(at + offset_of!(RawCallsite, freed_count))) as i64;
    let live_bytes = total_bytes.wrapping_sub(table.u64(at + offset_of!(RawCallsite, freed_bytes))) as i64;
    let usual = table.u64(at + offset_of!(RawCallsite, usual_bytes)) as f64;
    let squares = table.u64(at + offset_of!(RawCallsite, squares)) as f64 * 256.0;
    let weight = table.u16(at + offset_of!(RawCallsite, weight));
    let record = CallsiteRecord {
        id: id as u32,
        label: table.u16(at + offset_of!(RawCallsite, label)),
        depth: table.u8(at + offset_of!(RawCallsite, depth)),
        shard: table.u8(at + offset_of!(RawCallsite, shard)),
        stack_at: table.u32(at + offset_of!(RawCallsite, stack_at)),
        module_generation: table.u16(at + offset_of!(RawCallsite, module_generation)),
        first_seen_seconds: table.u32(at + offset_of!(RawCallsite, first_seen)),
        live_count,
        live_bytes,
        total_count: total_count as i64,
        total_bytes: total_bytes as i64,
        weight: f64::from(weight) / f64::from(CERTAIN),
        // From the sum of (bytes - usual) squared.
        live_squares: (squares + usual * (2.0 * live_bytes as f64 - usual * live_count as f64)).max(0.0),
    };
    (weight != 0 && record.depth as usize <= MAX_DEPTH).then_some(record)
}
