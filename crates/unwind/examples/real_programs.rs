//! A preload library for `tests/real_programs.rs`: compares captures from inside `malloc` of real programs with what
//! libgcc finds, and writes the counts to the file named by HEAPQL_UNWIND_REPORT at exit.
//!
//! It is a test's tool, not the sampler's preload: it forwards to glibc and compares one call in HEAPQL_UNWIND_EVERY.

use std::arch::naked_asm;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::fmt::Write;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heapql_unwind::{Memo, Recall, Registers, StackBounds, Walk, capture};

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
}

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BOUNDS: Cell<StackBounds> = const { Cell::new(StackBounds::UNKNOWN) };
    static MEMO: RefCell<(Memo<8>, Named)> = RefCell::new((Memo::EMPTY, Named::new()));
}

/// What was captured under each name that the memo was given.
type Named = HashMap<NonZeroU64, (Walk, Vec<usize>)>;

const MAX_FRAMES: usize = 256;
static EVERY: AtomicUsize = AtomicUsize::new(0);
static ROOM: AtomicUsize = AtomicUsize::new(MAX_FRAMES);

/// One count for each of the words in the report.
const COUNTS: [&str; 7] = ["compared", "frames", "different", "shorter", "longer", "known", "misremembered"];
static COUNTERS: [AtomicUsize; 7] = [const { AtomicUsize::new(0) }; 7];

fn count(name: &str, by: usize) -> usize {
    let index = COUNTS.iter().position(|known| *known == name).expect("a known count");
    COUNTERS[index].fetch_add(by, Relaxed)
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    naked_asm!("mov x1, x30", "mov x2, sp", "mov x3, x29", "b {sample}", sample = sym sample)
}

#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "mov rsi, [rsp]",
        "lea rdx, [rsp + 8]",
        "mov rcx, rbp",
        "jmp {sample}",
        ".cfi_endproc",
        sample = sym sample,
    )
}

extern "C" fn sample(size: usize, pc: usize, sp: usize, bp: usize) -> *mut c_void {
    let due = CALLS.try_with(|calls| calls.replace(calls.get() + 1)).is_ok_and(|calls| {
        let every = EVERY.load(Relaxed);
        every != 0 && calls % every == 0
    });
    if due && BUSY.try_with(|busy| busy.replace(true)) == Ok(false) {
        compare(Registers { pc, sp, bp });
        BUSY.set(false);
    }
    // SAFETY: glibc's malloc.
    unsafe { __libc_malloc(size) }
}

fn compare(registers: Registers) {
    let mut ours = [0; MAX_FRAMES];
    let mut bounds = BOUNDS.get();
    let room = ROOM.load(Relaxed).min(MAX_FRAMES);
    let walk = capture(registers, &mut bounds, &mut ours[..room]);
    BOUNDS.set(bounds);
    let mut theirs = [0; MAX_FRAMES];
    let mut depth = 0;
    // SAFETY: not used by two threads in a way that matters: nothing is symbolised.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let pc = frame.ip() as usize;
            // libgcc ends with a frame of address 0.
            if pc != 0 && (depth > 0 || pc == registers.pc) {
                theirs[depth] = pc;
                depth += 1;
            }
            depth < room
        });
    }
    let theirs = &theirs[..depth];
    let ours = &ours[..walk.depth];
    count("compared", 1);
    count("frames", ours.len());
    remember(registers, &mut bounds, room, ours, walk);
    let common = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let verdict = match (common == ours.len(), common == theirs.len()) {
        (true, true) => return,
        (true, false) => "shorter",
        // Code without call frame information ends their walk, and may not end ours.
        (false, true) => "longer",
        (false, false) => "different",
    };
    if count(verdict, 1) < 3 {
        report(&format!("{verdict} {:?} common {common}\n  ours   {ours:x?}\n  theirs {theirs:x?}\n", walk.end));
    }
}

/// The same capture with a memo has to give the same.
fn remember(registers: Registers, bounds: &mut StackBounds, room: usize, expected: &[usize], walk: Walk) {
    let _ = MEMO.try_with(|memo| {
        let (memo, names) = &mut *memo.borrow_mut();
        let mut frames = [0; MAX_FRAMES];
        let recall = memo.capture(registers, &(0..0), bounds, &mut frames[..room]);
        let (found, frames) = match recall {
            Recall::Known(name) => names[&name].clone(),
            Recall::New(walk) => (walk, frames[..walk.depth].to_vec()),
        };
        if (found != walk || frames != expected) && count("misremembered", 1) < 3 {
            report(&format!("misremembered {recall:?} {walk:?}\n  memo   {frames:x?}\n  plain  {expected:x?}\n"));
        }
        match recall {
            Recall::Known(_) => _ = count("known", 1),
            Recall::New(walk) => {
                let name = NonZeroU64::new(names.len() as u64 + 1).expect("not 0");
                names.insert(name, (walk, frames));
                memo.name(name);
            }
        }
    });
}

fn report(text: &str) {
    use std::io::Write;
    let Some(path) = std::env::var_os("HEAPQL_UNWIND_REPORT") else {
        return;
    };
    if let Ok(mut file) = std::fs::File::options().append(true).create(true).open(path) {
        let _ = file.write_all(text.as_bytes());
    }
}

extern "C" fn start() {
    heapql_unwind::modules_changed();
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    ROOM.store(number("HEAPQL_UNWIND_FRAMES").unwrap_or(MAX_FRAMES), Relaxed);
    BUSY.set(true);
    // SAFETY: an ordinary function, in a library that is never unloaded.
    unsafe { atexit(finish) };
    BUSY.set(false);
    EVERY.store(number("HEAPQL_UNWIND_EVERY").unwrap_or(1), Relaxed);
}

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> c_int;
}

extern "C" fn finish() {
    EVERY.store(0, Relaxed);
    BUSY.set(true);
    let mut text = String::new();
    for (name, counter) in COUNTS.iter().zip(&COUNTERS) {
        let _ = write!(text, "{name}={} ", counter.load(Relaxed));
    }
    report(&(text + "\n"));
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;
