//! Where everything lies in a ledger file: the header page, the fixed tables and their limits.
//!
//! Not behaviour: the writing half (`writer/`) fills these in, the reading half (`reader/`) checks them. Both take every
//! offset from here. The layout is native-endian and belongs to one machine; `BYTE_ORDER` and `VERSION` say which.
//!
//! ```text
//! 0        4096      20480      69632                                                  file_bytes
//! | header | labels  | modules  | callsites, 64 bytes each | words of 8 bytes: stacks, names |
//! ```

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::*};

/// First eight bytes of every ledger.
pub const MAGIC: [u8; 8] = *b"HEAPQL\x1a\n";
/// Moves with every change of this file; a reader refuses all others.
pub const VERSION: u32 = 4;
/// Reads back as another number on a machine of the other byte order.
pub const BYTE_ORDER: u32 = 0x0102_0304;

/// Bytes of the header, the first page.
pub const HEADER_BYTES: usize = 4096;
/// The most labels of one process.
pub const LABEL_CAPACITY: usize = 512;
/// The most modules that a ledger names.
pub const MODULE_CAPACITY: usize = 512;
/// Threads are spread over this many shards, each with callsites of its own.
pub const SHARDS: usize = 8;
/// Where the labels begin, in bytes from the start of the file.
pub const LABELS_AT: usize = HEADER_BYTES;
/// Where the modules begin, in bytes from the start of the file.
pub const MODULES_AT: usize = LABELS_AT + LABEL_CAPACITY * size_of::<RawLabel>();
/// Where the callsites begin, in bytes from the start of the file.
pub const CALLSITES_AT: usize = MODULES_AT + MODULE_CAPACITY * size_of::<RawModule>();

/// Default size of a ledger file. Sparse: only what is used takes memory.
pub const DEFAULT_BYTES: usize = 32 << 20;
/// Below this there is no room for the fixed tables and a useful number of callsites.
pub const MIN_BYTES: usize = 256 << 10;
/// Above this a reader refuses the file: word offsets are 32 bits wide.
pub const MAX_BYTES: usize = 4 << 30;

/// Least and most frames that may be kept of a stack, and how many are if nobody asks otherwise.
pub const MIN_DEPTH: usize = 16;
/// The most frames that may be kept of a stack.
pub const MAX_DEPTH: usize = 128;
/// How many frames are kept of a stack unless a server asks otherwise.
pub const DEFAULT_DEPTH: usize = 32;
/// OceanBase's bound on a label.
pub const LABEL_BYTES: usize = 15;
/// Path of the executable and the command line, each cut to this.
pub const TEXT_BYTES: usize = 1024;

/// How far one change of the intervals moves [`Control::limit`] down: more than any thread can count in one interval, so
/// that after a change every thread finds itself due.
pub const LIMIT_STEP: u64 = 1 << 36;
/// Where [`Control::limit`] starts.
pub const LIMIT_START: u64 = 1 << 63;
/// The interval of a thread that samples nothing. Shorter than [`LIMIT_STEP`].
pub const NEVER: u64 = LIMIT_STEP / 2;

/// Least and most allocations between two samples of one label on one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intervals {
    /// The least gap, in allocations.
    pub min: u32,
    /// The longest gap, in allocations.
    pub max: u32,
}

impl Intervals {
    /// The least value of either bound.
    pub const LEAST: u32 = 1;
    /// The largest value of either bound; as `min` it means zero mode.
    pub const MOST: u32 = 10_000;
    /// 16..256, OceanBase's normal mode.
    pub const DEFAULT: Intervals = Intervals { min: 16, max: 256 };

    /// `None` unless both lie in 1..=10000 and min <= max.
    pub const fn new(min: u32, max: u32) -> Option<Intervals> {
        if min < Self::LEAST || max > Self::MOST || min > max {
            return None;
        }
        Some(Intervals { min, max })
    }

    /// Records nothing: min is 10000.
    pub const fn is_zero(self) -> bool {
        self.min == Self::MOST
    }

    /// Both bounds in one word: `min` in the upper half.
    pub const fn to_word(self) -> u64 {
        ((self.min as u64) << 32) | self.max as u64
    }

    /// `None` for a word that no writer produced.
    pub const fn from_word(word: u64) -> Option<Intervals> {
        Intervals::new((word >> 32) as u32, word as u32)
    }

    /// The size in bytes from which an allocation has a chance of its own beside its gap: the smallest that is worth at least
    /// two mean gaps, so [`CERTAIN_BYTES`] divided by the largest power of two that is at most half the mean gap. At 16..256
    /// it is 16 KiB. Out of reach in zero mode.
    pub const fn byte_rule(self) -> u64 {
        if self.is_zero() {
            return u64::MAX;
        }
        let half_gap = (self.min + self.max) / 4;
        CERTAIN_BYTES >> if half_gap == 0 { 0 } else { half_gap.ilog2() }
    }

    /// The weight, a power of two, of a sample of `bytes`, which is at least [`Intervals::byte_rule`]: as many times its bytes as
    /// come to less than twice [`CERTAIN_BYTES`]. 1 from there on.
    pub const fn octave_weight(bytes: u64) -> u32 {
        if bytes >= CERTAIN_BYTES { 1 } else { 1 << (CERTAIN_BYTES.ilog2() - bytes.ilog2()) }
    }
}

/// All that can be changed of how a process is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampling {
    /// The gaps between samples.
    pub intervals: Intervals,
    /// How many frames are kept of a stack: [`MIN_DEPTH`] to [`MAX_DEPTH`].
    pub depth: usize,
}

impl Sampling {
    /// The sampling of a process that nobody has asked for another.
    pub const DEFAULT: Sampling = Sampling { intervals: Intervals::DEFAULT, depth: DEFAULT_DEPTH };
}

/// An allocation of at least this size is always sampled, unless in zero mode.
pub const CERTAIN_BYTES: u64 = 1 << 20;

/// The words that a server writes and the target obeys. One cache line of its own, written a few times a day, read at every
/// allocation.
#[repr(C, align(64))]
pub struct Control {
    /// A thread's allocation counter that has reached this is due. A change of the intervals lowers it by [`LIMIT_STEP`],
    /// so that every counter, armed under the old value, is due at once: the target notices at its next allocation, for
    /// the price of one compare with memory that nobody writes.
    pub limit: AtomicU64,
    /// [`Intervals::byte_rule`] of the intervals in force.
    pub byte_rule: AtomicU64,
    /// [`Intervals::to_word`]. Written before `limit` moves.
    pub intervals: AtomicU64,
    /// How many frames are kept of a stack.
    pub depth: AtomicU64,
}

impl Control {
    /// [`DEFAULT_DEPTH`] for a value that no writer stored.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        let depth = self.depth.load(Relaxed) as usize;
        if (MIN_DEPTH..=MAX_DEPTH).contains(&depth) { depth } else { DEFAULT_DEPTH }
    }

    /// Puts intervals in force. Two processes may do so at once: the rule that stays is that of the intervals that stay.
    pub fn set_intervals(&self, intervals: Intervals) {
        let mut word = intervals.to_word();
        self.intervals.store(word, SeqCst);
        // Again only if another has come in between; the bound is for words that no writer stores.
        for _ in 0..16 {
            let byte_rule = Intervals::from_word(word).map_or(u64::MAX, Intervals::byte_rule);
            self.byte_rule.store(byte_rule, SeqCst);
            match self.intervals.load(SeqCst) {
                same if same == word => break,
                other => word = other,
            }
        }
        // Last: a thread that sees the lower limit also sees the intervals above.
        self.limit.fetch_sub(LIMIT_STEP, AcqRel);
    }
}

/// Why an allocation that was due has no sample, or a sample less than it could have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Loss {
    /// The tables for callsites or stacks are full: the ledger has reached HEAPQL_LEDGER_BYTES.
    LedgerFull,
    /// The file system that holds the ledger is full.
    NoSpace,
    /// The sampled pool is exhausted, or could not be reserved.
    PoolFull,
    /// Another thread held what this sample needed for too long.
    Contended,
    /// The allocation happened inside the recorder, such as in a signal handler that interrupted it.
    Reentrant,
    /// More than 512 labels.
    LabelsFull,
    /// The stack could not be followed to its end. The sample exists, with the frames that were found.
    StackTruncated,
}

impl Loss {
    /// All reasons, in the order of their counters.
    pub const ALL: [Loss; 7] = [
        Loss::LedgerFull,
        Loss::NoSpace,
        Loss::PoolFull,
        Loss::Contended,
        Loss::Reentrant,
        Loss::LabelsFull,
        Loss::StackTruncated,
    ];

    /// The reason's name in `self_usage`.
    pub const fn name(self) -> &'static str {
        match self {
            Loss::LedgerFull => "ledger_full",
            Loss::NoSpace => "no_space",
            Loss::PoolFull => "pool_full",
            Loss::Contended => "contended",
            Loss::Reentrant => "reentrant",
            Loss::LabelsFull => "labels_full",
            Loss::StackTruncated => "stack_truncated",
        }
    }
}

/// The first page. Fields above `control` never change once `ready` is set.
#[repr(C, align(4096))]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// [`BYTE_ORDER`].
    pub byte_order: AtomicU32,
    /// Bytes of the file.
    pub file_bytes: AtomicU64,
    /// The process that writes the ledger.
    pub pid: AtomicU32,
    /// Its parent when the ledger was created.
    pub parent_pid: AtomicU32,
    /// Field 22 of /proc/PID/stat: with the pid it names a process for as long as the machine is up. 0 if unknown.
    pub start_ticks: AtomicU64,
    /// Nanoseconds since 1970.
    pub created_at: AtomicU64,
    /// The label of allocations that set no scope.
    pub default_label: AtomicU32,
    /// Its real user.
    pub uid: AtomicU32,
    /// How many callsites fit.
    pub callsite_capacity: AtomicU32,
    /// How many words fit.
    pub word_capacity: AtomicU32,
    /// The id of the machine's current boot: a file that outlives a reboot is a dead process's.
    pub boot_id: [AtomicU64; 2],

    /// The words that a server writes.
    pub control: Control,

    /// Nonzero once everything above holds. Stored with Release after it, loaded with Acquire before it.
    pub ready: AtomicU32,
    /// How many labels are complete.
    pub label_count: AtomicU32,
    /// How many modules are complete.
    pub module_count: AtomicU32,
    /// Rises when a module may have been unloaded.
    pub module_generation: AtomicU32,
    /// How many callsites are complete.
    pub callsite_count: AtomicU32,
    /// How many words are complete.
    pub word_count: AtomicU32,
    /// How often each [`Loss`] happened.
    pub losses: [AtomicU64; 16],
    /// Per shard, how many of its series of gaps (one per thread and label, and again after each change of the intervals)
    /// have led to a sample: that many samples say nothing of the distance to the one before.
    pub series: [AtomicU32; SHARDS],

    /// Bytes of `program`.
    pub program_bytes: AtomicU32,
    /// Bytes of `command`.
    pub command_bytes: AtomicU32,
    /// The path of the executable.
    pub program: [AtomicU64; TEXT_BYTES / 8],
    /// The command line, its arguments ended by zero bytes.
    pub command: [AtomicU64; TEXT_BYTES / 8],
}

impl Header {
    /// As it is before there is a ledger: every allocation is due, since every counter has reached a limit of 0.
    pub const fn zeroed() -> Header {
        // SAFETY: all fields are atomic integers, for which all zeroes is valid.
        unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    }
}

/// A header in memory of its own, over which the first page of the file can be mapped. So it is as large as the pages of
/// any kernel for this machine: those for aarch64 have 4, 16 or 64 KiB.
#[cfg_attr(target_arch = "aarch64", repr(C, align(65536)))]
#[cfg_attr(not(target_arch = "aarch64"), repr(C, align(4096)))]
pub struct HeaderPage(Header);

/// A multiple of the kernel's page size, whichever it is.
pub const LARGEST_PAGE: usize = size_of::<HeaderPage>();

impl HeaderPage {
    /// See [`Header::zeroed`].
    pub const fn zeroed() -> HeaderPage {
        HeaderPage(Header::zeroed())
    }

    /// The header in it.
    pub const fn header(&self) -> &Header {
        &self.0
    }
}

impl core::ops::Deref for HeaderPage {
    type Target = Header;

    #[inline(always)]
    fn deref(&self) -> &Header {
        &self.0
    }
}

/// A label: OceanBase's tenant, memory context and module label. Immutable once counted.
#[repr(C)]
pub struct RawLabel {
    /// OceanBase's tenant.
    pub tenant_id: AtomicU64,
    /// OceanBase's memory context.
    pub ctx_id: AtomicU64,
    /// Text in the first [`LABEL_BYTES`] bytes, its length in the last.
    pub text: [AtomicU64; 2],
}

/// A loaded ELF file that appears in some stack.
#[repr(C)]
pub struct RawModule {
    /// Its first address.
    pub start: AtomicU64,
    /// The address after its last.
    pub end: AtomicU64,
    /// Added to an address of the file gives the address in memory: 0 for a program that is not position independent.
    pub load_bias: AtomicU64,
    /// RawModule generation at which it was seen loaded, and at which it was found gone (0: still there).
    pub loaded: AtomicU32,
    /// The generation in which it was found unloaded; 0 while it is there.
    pub unloaded: AtomicU32,
    /// Where its path stands among the words.
    pub name_at: AtomicU32,
    /// Bytes of its path.
    pub name_bytes: AtomicU16,
    /// Bytes of its build id, at most 32.
    pub build_id_bytes: AtomicU16,
    /// Its GNU build id.
    pub build_id: [AtomicU64; 4],
    /// Nonzero for the program itself.
    pub is_program: AtomicU32,
    /// Nonzero once all of it is stored.
    pub ready: AtomicU32,
    /// Not used.
    pub spare: [AtomicU64; 2],
}

/// How many allocations a sample stands for, in quarters: the inverse of the probability with which it was taken.
pub type Weight = u16;
/// Every allocation is sampled.
pub const CERTAIN: Weight = 4;

/// An interned stack with its label and the weight of its samples, and what is live of it: one cache line.
///
/// What is live is what was counted less what was freed, the latter read first.
#[repr(C, align(64))]
pub struct RawCallsite {
    /// How many of its samples were freed.
    pub freed_count: AtomicU64,
    /// Their requested bytes.
    pub freed_bytes: AtomicU64,
    /// How many samples were taken.
    pub total_count: AtomicU64,
    /// Their requested bytes.
    pub total_bytes: AtomicU64,
    /// Size of the first object, and over what is live the sum of the squared differences from it in units of 256: what
    /// the error of an estimate of bytes takes. It is written for other sizes only.
    pub usual_bytes: AtomicU64,
    /// The sum of squared differences, see `usual_bytes`.
    pub squares: AtomicU64,
    /// Where its frames stand among the words, innermost first.
    pub stack_at: AtomicU32,
    /// The number of its label.
    pub label: AtomicU16,
    /// Stored last, with Release: a callsite without a [`Weight`] is not there yet.
    pub weight: AtomicU16,
    /// Seconds since the ledger was created.
    pub first_seen: AtomicU32,
    /// The generation of modules that its addresses belong to.
    pub module_generation: AtomicU16,
    /// How many frames it has.
    pub depth: AtomicU8,
    /// The shard of the threads that sample it.
    pub shard: AtomicU8,
}

impl RawCallsite {
    /// The amount that an object of `bytes` adds to `squares`.
    #[inline(always)]
    pub const fn square(usual: u64, bytes: u64) -> u64 {
        let difference = bytes.abs_diff(usual);
        if difference > u32::MAX as u64 { u64::MAX >> 16 } else { difference * difference / 256 }
    }
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);
const _: () = assert!(size_of::<RawLabel>() == 32);
const _: () = assert!(size_of::<RawModule>() == 96);
const _: () = assert!(size_of::<RawCallsite>() == 64);
const _: () = assert!(MAX_DEPTH <= u8::MAX as usize);
const _: () = assert!(CALLSITES_AT.is_multiple_of(HEADER_BYTES));
const _: () = assert!(CALLSITES_AT + 4096 < MIN_BYTES);
const _: () = assert!(MIN_BYTES.is_multiple_of(LARGEST_PAGE) && LARGEST_PAGE >= HEADER_BYTES);

/// How many callsites and words fit into a file of `file_bytes`: a stack takes four times its callsite's room.
pub const fn capacities(file_bytes: usize) -> (usize, usize) {
    let room = file_bytes - CALLSITES_AT;
    let callsites = room / 5 / size_of::<RawCallsite>();
    let words = (room - callsites * size_of::<RawCallsite>()) / 8;
    (callsites, words)
}
