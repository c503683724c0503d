//! What the comparisons found, and its text. Counting is lock-free; differences are kept by cause, each with an example.
//!
//! Each process appends one line `counts NAME=NUMBER ..` and, for each cause, one line
//! `cause COUNT KIND END at MODULE+0xOFFSET SYMBOL ours PLACE theirs PLACE`.

use std::ffi::{CStr, c_void};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heapql_unwind::{End, Reason};

pub(crate) struct Count(&'static str, AtomicUsize);

impl Count {
    const fn new(name: &'static str) -> Count {
        Count(name, AtomicUsize::new(0))
    }

    pub(crate) fn add(&self, by: usize) {
        self.1.fetch_add(by, Relaxed);
    }

    pub(crate) fn raise(&self, to: usize) {
        self.1.fetch_max(to, Relaxed);
    }
}

pub(crate) static COMPARED: Count = Count::new("compared");
pub(crate) static FRAMES: Count = Count::new("frames");
pub(crate) static DEEPEST: Count = Count::new("deepest");
/// By how they differ from libgcc's: another frame, fewer, or more.
static DIFFERENT: Count = Count::new("different");
static SHORTER: Count = Count::new("shorter");
static LONGER: Count = Count::new("longer");
/// Differences for which there was no room.
static UNLISTED: Count = Count::new("unlisted");
/// Comparisons with libunwind too; of them those where only libgcc differs, only libunwind, only we.
pub(crate) static SECOND: Count = Count::new("second");
pub(crate) static SECOND_SIDES_WITH_US: Count = Count::new("libgcc_alone");
pub(crate) static SECOND_ALONE: Count = Count::new("libunwind_alone");
pub(crate) static ALONE: Count = Count::new("alone");
/// Stacks that a cache knew, and those that it knew wrongly.
pub(crate) static KNOWN: Count = Count::new("known");
pub(crate) static MISREMEMBERED: Count = Count::new("misremembered");
/// How our walks ended.
static ENDS: [Count; 2 + Reason::COUNT] = [
    Count::new("outermost"),
    Count::new("full"),
    Count::new("no_information"),
    Count::new("unsupported"),
    Count::new("stack_pointer"),
    Count::new("return_address"),
    Count::new("other_stack"),
    Count::new("unknown_stack"),
];

static COUNTS: [&Count; 12] = [
    &COMPARED,
    &FRAMES,
    &DEEPEST,
    &DIFFERENT,
    &SHORTER,
    &LONGER,
    &UNLISTED,
    &SECOND,
    &SECOND_SIDES_WITH_US,
    &SECOND_ALONE,
    &ALONE,
    &KNOWN,
];

fn index(end: End) -> usize {
    match end {
        End::Outermost => 0,
        End::Full => 1,
        End::Truncated(reason) => 2 + reason as usize,
    }
}

pub(crate) fn count_end(end: End) {
    ENDS[index(end)].add(1);
}

/// How one stack differs from libgcc's.
#[derive(Clone, Copy)]
pub(crate) struct Difference {
    count: usize,
    kind: &'static Count,
    end: usize,
    /// The last frame that both have: its caller is what they do not agree on. 0 if they have none.
    last: usize,
    /// The next frames; 0 for none.
    ours: usize,
    theirs: usize,
}

impl Difference {
    pub(crate) fn of(ours: &[usize], theirs: &[usize], end: End) -> Difference {
        let common = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let at = |frames: &[usize], index: usize| frames.get(index).copied().unwrap_or(0);
        let kind = match (common == ours.len(), common == theirs.len()) {
            (true, _) => &SHORTER,
            (_, true) => &LONGER,
            _ => &DIFFERENT,
        };
        let last = common.checked_sub(1).map_or(0, |index| ours[index]);
        Difference { count: 1, kind, end: index(end), last, ours: at(ours, common), theirs: at(theirs, common) }
    }

    fn is_like(&self, other: &Difference) -> bool {
        core::ptr::eq(self.kind, other.kind) && (self.end, self.last) == (other.end, other.last)
    }
}

const ROOM: usize = 256;
static DIFFERENCES: Mutex<([Option<Difference>; ROOM], usize)> = Mutex::new(([None; ROOM], 0));

pub(crate) fn differ(difference: Difference) {
    difference.kind.add(1);
    // Who holds it may be the thread that a signal handler interrupted.
    let Ok(mut differences) = DIFFERENCES.try_lock() else {
        UNLISTED.add(1);
        return;
    };
    let (known, count) = &mut *differences;
    match known.iter_mut().flatten().find(|known| known.is_like(&difference)) {
        Some(known) => known.count += 1,
        None if *count < ROOM => {
            known[*count] = Some(difference);
            *count += 1;
        }
        None => UNLISTED.add(1),
    }
}

pub(crate) fn write() {
    let mut text = String::from("counts");
    for Count(name, count) in COUNTS.into_iter().chain([&MISREMEMBERED]).chain(&ENDS) {
        let _ = write!(text, " {name}={}", count.load(Relaxed));
    }
    text.push('\n');
    let differences = DIFFERENCES.lock().map(|differences| differences.0).unwrap_or([None; ROOM]);
    for Difference { count, kind, end, last, ours, theirs } in differences.iter().flatten() {
        let [last, ours, theirs] = [last, ours, theirs].map(|pc| place(*pc));
        let _ = writeln!(text, "cause {count} {} {} at {last} ours {ours} theirs {theirs}", kind.0, ENDS[*end].0);
    }
    append(&text);
}

/// `MODULE+0xOFFSET SYMBOL`, of a return address the call's function.
fn place(pc: usize) -> String {
    if pc == 0 {
        return "none -".to_owned();
    }
    // SAFETY: all fields may be zero, and dladdr fills it.
    let (found, info) = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        (libc::dladdr((pc - 1) as *const c_void, &raw mut info), info)
    };
    if found == 0 {
        return "unmapped -".to_owned();
    }
    let text = |name: *const libc::c_char| {
        // SAFETY: the loader's names are C strings; the module is still loaded.
        let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "?".to_owned())
    };
    let module = text(info.dli_fname);
    let module = module.rsplit('/').next().unwrap_or_default();
    format!("{module}+{:#x} {}", pc - info.dli_fbase as usize, text(info.dli_sname))
}

fn append(text: &str) {
    use std::io::Write;
    let Some(path) = std::env::var_os("HEAPQL_UNWIND_REPORT") else {
        return;
    };
    if let Ok(mut file) = std::fs::File::options().append(true).create(true).open(path) {
        let _ = file.write_all(text.as_bytes());
    }
}
