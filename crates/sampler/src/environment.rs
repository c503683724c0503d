//! The environment's settings of recording: HEAPQL_DIR, _MIN, _MAX, _TENANT_ID, _CTX_ID, _LABEL, _LEDGER_BYTES,
//! _CHILDREN.
//!
//! A value that cannot be used is a line on stderr and its default. Read once per ledger, without allocating. Called by
//! `recorder`.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};

use heapql_ledger::kernel::call;
use heapql_ledger::{
    DEFAULT_BYTES, DEFAULT_DEPTH, Intervals, LABEL_BYTES, LabelId, MAX_BYTES, MAX_DEPTH, MIN_BYTES, MIN_DEPTH,
    PathBuffer, Sampling, TryLock, parse_decimal, read_file, status_at,
};

use crate::text::{Line, log};

/// The path of a directory: the room that a small stack has for one.
pub(crate) type Path = PathBuffer<480>;

/// The label of allocations that set no scope, unless the environment names another.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// OceanBase's tenant.
    pub tenant_id: u64,
    /// OceanBase's memory context.
    pub ctx_id: u64,
    /// The text, at most 15 bytes.
    pub label: &'static str,
}

pub(crate) struct Environment {
    pub(crate) bytes: usize,
    pub(crate) sampling: Sampling,
    tenant_id: u64,
    ctx_id: u64,
    label: &'static [u8],
}

unsafe extern "C" {
    static environ: *const *const c_char;
    static program_invocation_name: *const c_char;
}

/// False before the C library has been started, as in `.preinit_array` and what ld.so runs while it relocates: it knows
/// neither environment nor name of the program then. A program that has cleared its environment still has a name.
pub(crate) fn is_there() -> bool {
    // SAFETY: glibc's variables, of which the second always points to a C string.
    unsafe { !environ.is_null() || *program_invocation_name != 0 }
}

fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: getenv takes no lock in glibc and its result is a C string of the environment, which a program that
    // changes its environment while other threads read it has broken for itself already.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: as above, checked for null.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes()).filter(|value| !value.is_empty())
}

/// A number within bounds, or `default` and a word about it.
#[inline(never)]
fn number_variable(name: &CStr, least: u64, most: u64, default: u64) -> u64 {
    let Some(value) = variable(name) else {
        return default;
    };
    match parse_decimal(value).filter(|number| (least..=most).contains(number)) {
        Some(number) => number,
        None => {
            let line = Line::new().text(name.to_bytes()).text(b": '").text(value).text(b"' is not a whole number in ");
            log(line.number(least).text(b"..").number(most).text(b"; using ").number(default));
            default
        }
    }
}

impl Environment {
    /// The settings, and the directory, which is put into an empty path. `None` if there is no directory to write to;
    /// that has been said.
    ///
    /// What it calls is not inlined: lines and buffers take turns on the stack, which may be a coroutine's.
    #[inline(never)]
    pub(crate) fn read(defaults: &Defaults, dir: &mut Path) -> Option<Environment> {
        if !directory(dir) {
            return None;
        }
        let most = i64::MAX as u64;
        let number = |name, least: usize, most: usize, default: usize| {
            number_variable(name, least as u64, most as u64, default as u64) as usize
        };
        let bytes = number(c"HEAPQL_LEDGER_BYTES", MIN_BYTES, MAX_BYTES, DEFAULT_BYTES);
        // A program that records itself by its own choice is not the one that the other variables speak of.
        if let Some(choice) = chosen(None) {
            let Defaults { tenant_id, ctx_id, label } = *defaults;
            let shared = shared_sampling(dir);
            let sampling = Sampling { intervals: choice.unwrap_or_else(|| intervals(shared.intervals)), ..shared };
            return Some(Environment { bytes, sampling, tenant_id, ctx_id, label: label.as_bytes() });
        }
        let shared = shared_sampling(dir);
        Some(Environment {
            bytes,
            sampling: Sampling { intervals: intervals(shared.intervals), ..shared },
            tenant_id: number_variable(c"HEAPQL_TENANT_ID", 1, most, defaults.tenant_id),
            ctx_id: number_variable(c"HEAPQL_CTX_ID", 0, most, defaults.ctx_id),
            label: label(defaults),
        })
    }

    pub(crate) fn default_label(&self) -> LabelId<'_> {
        LabelId { tenant_id: self.tenant_id, ctx_id: self.ctx_id, text: self.label }
    }
}

/// Whether what this process exec's is to be recorded: HEAPQL_CHILDREN, 1 unless it says 0.
pub fn records_children() -> bool {
    number_variable(c"HEAPQL_CHILDREN", 0, 1, 1) == 1
}

#[inline(never)]
fn label(defaults: &Defaults) -> &'static [u8] {
    let label = variable(c"HEAPQL_LABEL").unwrap_or(defaults.label.as_bytes());
    if label.len() > LABEL_BYTES {
        log(Line::new().text(b"HEAPQL_LABEL: '").text(label).text(b"' is longer than 15 bytes and is cut"));
    }
    label
}

/// The process's own variables, else those that are shared.
#[inline(never)]
fn intervals(shared: Intervals) -> Intervals {
    let bound = |name, default: u32| {
        number_variable(name, Intervals::LEAST.into(), Intervals::MOST.into(), default.into()) as u32
    };
    let (min, max) = (bound(c"HEAPQL_MIN", shared.min), bound(c"HEAPQL_MAX", shared.max));
    Intervals::new(min, max).unwrap_or_else(|| {
        say_swapped(min, max, shared);
        shared
    })
}

#[cold]
#[inline(never)]
fn say_swapped(min: u32, max: u32, used: Intervals) {
    let line = Line::new().text(b"HEAPQL_MIN ").number(min.into()).text(b" is above HEAPQL_MAX ");
    let line = line.number(max.into()).text(b"; using ").number(used.min.into());
    log(line.text(b"..").number(used.max.into()));
}

/// The contents of the file "intervals", which a server writes: least and most interval, and the depth of stacks; else the defaults.
#[inline(never)]
fn shared_sampling(dir: &mut Path) -> Sampling {
    let mut text = [0; 64];
    let length = dir.bytes().len();
    let read = dir.push(b"/intervals").map_or(0, |()| read_file(dir.as_c_str(), &mut text));
    dir.cut(length);
    let text = text.get(..read).unwrap_or_default();
    let mut numbers = text.split(|byte| byte.is_ascii_whitespace()).filter_map(parse_decimal);
    let mut next = || numbers.next().and_then(|number| u32::try_from(number).ok());
    let intervals = next().zip(next()).and_then(|(min, max)| Intervals::new(min, max));
    let depth = next().map(|depth| depth as usize).filter(|depth| (MIN_DEPTH..=MAX_DEPTH).contains(depth));
    Sampling { intervals: intervals.unwrap_or(Intervals::DEFAULT), depth: depth.unwrap_or(DEFAULT_DEPTH) }
}

/// The settings that the program itself has chosen.
#[derive(Clone, Copy)]
struct Choice {
    dir: Path,
    intervals: Option<Intervals>,
}

/// The lock is held by whoever reads or writes it, which both happen once.
static CHOICE: ChoiceCell = ChoiceCell(TryLock::new(), UnsafeCell::new(None));

struct ChoiceCell(TryLock, UnsafeCell<Option<Choice>>);

// SAFETY: the cell is touched with the lock held only.
unsafe impl Sync for ChoiceCell {}

/// A directory and intervals that come before the environment's.
pub(crate) fn choose(dir: &[u8], intervals: Option<Intervals>) {
    let mut path = Path::EMPTY;
    if let (Some(_held), Some(())) = (CHOICE.0.lock(), path.push(dir)) {
        // SAFETY: the lock is held.
        unsafe { *CHOICE.1.get() = Some(Choice { dir: path, intervals }) };
    }
}

/// The intervals chosen with a directory, which is put into an empty path.
fn chosen(dir: Option<&mut Path>) -> Option<Option<Intervals>> {
    let _held = CHOICE.0.lock()?;
    // SAFETY: the lock is held.
    let choice = unsafe { &*CHOICE.1.get() }.as_ref()?;
    if let Some(dir) = dir {
        *dir = choice.dir;
    }
    Some(choice.intervals)
}

/// The program's choice, else HEAPQL_DIR, else `$XDG_RUNTIME_DIR/heapql`, else a directory in /dev/shm that is named after
/// the user and is ours. False if it cannot be used; that has been said.
#[inline(never)]
fn directory(path: &mut Path) -> bool {
    let named = if chosen(Some(path)).is_some() {
        Some(())
    } else if let Some(dir) = variable(c"HEAPQL_DIR") {
        path.push(dir)
    } else if let Some(dir) = variable(c"XDG_RUNTIME_DIR") {
        path.push(dir).and_then(|()| path.push(b"/heapql"))
    } else {
        path.push(b"/dev/shm/heapql-").and_then(|()| path.push_number(heapql_ledger::uid().into()))
    };
    if named.is_none() {
        log(Line::new().text(b"not recording: the name of the directory for ledgers is too long"));
        return false;
    }
    let made = if path.bytes().first() == Some(&b'/') {
        make_own_directory(path)
    } else {
        // The program may change its directory, and its children would each write somewhere else.
        Err(&b"it is not an absolute path"[..])
    };
    if let Err(why) = made {
        log(Line::new().text(b"not recording: '").text(path.bytes()).text(b"': ").text(why));
        return false;
    }
    true
}

/// Creates the directory, readable by its owner only, and checks that it is one and that nobody else can have put
/// something there.
pub(crate) fn make_own_directory(path: &Path) -> Result<(), &'static [u8]> {
    const HERE: usize = libc::AT_FDCWD as usize;
    let name = path.as_c_str();
    // SAFETY: `name` is a C string; an error (it exists) is seen below.
    let _ = unsafe { call(libc::SYS_mkdirat, [HERE, name.as_ptr() as usize, 0o700]) };
    let stat =
        status_at(HERE, name, libc::AT_SYMLINK_NOFOLLOW).ok_or(&b"it does not exist and cannot be created"[..])?;
    // SAFETY: no memory is involved.
    let user = unsafe { call(libc::SYS_geteuid, []) }.unwrap_or(usize::MAX);
    if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Err(b"it is not a directory");
    }
    if stat.st_uid as usize != user && user != 0 {
        return Err(b"it belongs to another user");
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(b"others may write to it");
    }
    Ok(())
}
