//! Captures in C and C++ code of many sorts, frame by frame the same as what libgcc's unwinder finds.
//!
//! Needs a C and a C++ compiler, as the build does. Each test builds `programs/*` with its own flags.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_void};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;

use heapql_unwind::{End, Lookup, Reason, Registers, StackBounds, StackCache, capture, module_of, modules_changed};

const ROOM: usize = 512;

type Probe = extern "C-unwind" fn();
type Run = unsafe extern "C-unwind" fn(*const c_char, Probe) -> c_int;

#[derive(Default)]
struct Seen {
    probes: usize,
    outermost: usize,
    deepest: usize,
    wrong: Vec<String>,
}

thread_local! {
    static BOUNDS: Cell<StackBounds> = const { Cell::new(StackBounds::UNKNOWN) };
    static MEMO: RefCell<StackCache<4>> = const { RefCell::new(StackCache::EMPTY) };
}
static SEEN: std::sync::Mutex<Seen> =
    std::sync::Mutex::new(Seen { probes: 0, outermost: 0, deepest: 0, wrong: Vec::new() });
/// One test at a time: what is seen is one for the process, as signal handlers are.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

extern "C-unwind" fn probe() {
    let mut ours = [0; ROOM];
    let mut theirs = Vec::with_capacity(ROOM);
    let start = Registers::here();
    let mut bounds = BOUNDS.get();
    let walk = capture(start, &mut bounds, &mut ours);
    // SAFETY: nothing is symbolised.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            theirs.push(frame.ip() as usize);
            theirs.len() < ROOM
        });
    }
    // The innermost frames are this function, at different places in it.
    let ours = &ours[1..walk.depth.max(1)];
    let theirs = theirs.split(|pc| Some(pc) == ours.first()).skip(1).collect::<Vec<_>>();
    let theirs: Vec<usize> = theirs.join(&ours[0]).into_iter().filter(|pc| *pc != 0).collect();
    let mut seen = SEEN.lock().unwrap();
    seen.probes += 1;
    seen.deepest = seen.deepest.max(walk.depth);
    // glibc's first function of a coroutine says nothing of its caller.
    let ended = matches!(walk.end, End::Outermost | End::Truncated(Reason::NoInformation));
    seen.outermost += usize::from(walk.end == End::Outermost);
    if !ended || ours[1..] != theirs {
        seen.wrong.push(format!("{:?}\n  ours   {:x?}\n  theirs {theirs:x?}", walk.end, &ours[1..]));
    }
    if let Err(wrong) = remembers(start, &mut bounds, ours) {
        seen.wrong.push(wrong);
    }
    BOUNDS.set(bounds);
}

/// A second and a third capture with a cache: the same frames, and known unless there is a reason.
fn remembers(start: Registers, bounds: &mut StackBounds, expected: &[usize]) -> Result<(), String> {
    MEMO.with_borrow_mut(|cache| {
        cache.forget();
        let mut frames = [0; ROOM];
        let Lookup::New(walk) = cache.capture(start, &(0..0), bounds, &mut frames) else {
            return Err("known before it was named".to_owned());
        };
        if &frames[1..walk.depth] != expected {
            return Err(format!("a cache captured {:x?}", &frames[1..walk.depth]));
        }
        cache.name(NonZeroU64::MIN);
        match cache.capture(start, &(0..0), bounds, &mut frames[..300]) {
            Lookup::New(again) if again.depth == walk.depth.min(300) => Ok(()),
            other => Err(format!("with other room: {other:?}")),
        }
    })
}

fn build(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
    let is_cplusplus = source.extension().is_some_and(|ending| ending == "cc");
    let (variable, ordinary) = if is_cplusplus { ("CXX", "c++") } else { ("CC", "cc") };
    // Another one is for another machine, on which these tests then run.
    let compiler = std::env::var(variable).unwrap_or_else(|_| ordinary.to_owned());
    let status = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-pthread", "-w", "-o"])
        .arg(&library)
        .args(flags)
        .arg(source)
        .status();
    assert!(status.expect("a C compiler").success(), "{compiler} {flags:?}");
    library
}

struct Library(*mut c_void);

impl Library {
    fn open(path: &Path) -> Library {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: a library of this test.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null());
        modules_changed();
        Library(handle)
    }

    fn function(&self) -> Run {
        // SAFETY: the handle is open, and `run` has that type in all programs.
        unsafe { std::mem::transmute(libc::dlsym(self.0, c"run".as_ptr())) }
    }

    fn run(&self, what: &str) -> Seen {
        let run = self.function();
        *SEEN.lock().unwrap() = Seen::default();
        let what = CString::new(what).unwrap();
        // SAFETY: as above.
        let result = unsafe { run(what.as_ptr(), probe) };
        assert_ne!(result, -1_000_000, "{what:?}");
        std::mem::take(&mut *SEEN.lock().unwrap())
    }

    fn close(self) {
        // SAFETY: nothing of it is in use.
        unsafe { libc::dlclose(self.0) };
        modules_changed();
    }
}

const FRAMES: [(&str, usize, usize); 12] = [
    // what, probes, and how many frames the deepest has at least beyond the test's own
    ("saved registers", 2, 3),
    ("large frames", 2, 5),
    ("alloca and VLA", 4, 4),
    ("realigned frames", 4, 4),
    ("recursion", 5, 200),
    ("through libc", 1, 4),
    ("signal handler", 4, 8),
    ("interrupted", 4, 7),
    ("frame by rbx", 3, 6),
    ("alternate stack", 2, 9),
    ("thread", 3, 8),
    ("coroutine", 3, 8),
];

fn agrees_with_libgcc(name: &str, flags: &[&str]) {
    agrees_with_libgcc_in(&build(name, "frames.c", flags), flags);
}

fn agrees_with_libgcc_in(path: &Path, flags: &[&str]) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let library = Library::open(path);
    for (what, probes, depth) in FRAMES {
        for round in ["uncached", "cached"] {
            let seen = library.run(what);
            assert!(seen.wrong.is_empty(), "{what}, {round}, {flags:?}: {}", seen.wrong.join("\n"));
            let expected = if what == "through libc" && round == "cached" { 0 } else { probes };
            assert_eq!(seen.probes, expected, "{what}, {round}, {flags:?}");
            assert_eq!(seen.outermost, if what == "coroutine" { 0 } else { expected }, "{what}, {round}, {flags:?}");
            assert!(seen.deepest >= depth || expected == 0, "{what}: {}", seen.deepest);
        }
    }
    library.close();
}

#[test]
fn optimised_code_without_frame_pointers() {
    agrees_with_libgcc("o2", &["-O2", "-fomit-frame-pointer"]);
}

#[test]
fn code_optimised_for_size() {
    agrees_with_libgcc("os", &["-Os", "-fomit-frame-pointer"]);
}

#[test]
fn code_with_frame_pointers() {
    agrees_with_libgcc("fp", &["-O2", "-fno-omit-frame-pointer"]);
}

#[test]
fn unoptimised_code() {
    agrees_with_libgcc("o0", &["-O0"]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn code_that_realigns_its_stack_and_uses_avx() {
    agrees_with_libgcc("realign", &["-O2", "-mstackrealign", "-mavx", "-fomit-frame-pointer"]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn code_that_pushes_arguments_and_checks_its_stack() {
    let flags = [
        "-O2",
        "-mno-accumulate-outgoing-args",
        "-fstack-protector-all",
        "-fcf-protection",
        "-fstack-clash-protection",
    ];
    agrees_with_libgcc("push", &flags);
}

#[test]
#[cfg(target_arch = "aarch64")]
fn code_that_signs_its_return_addresses() {
    agrees_with_libgcc("signed", &["-O2", "-mbranch-protection=standard"]);
    agrees_with_libgcc("signed_leaves", &["-O2", "-mbranch-protection=pac-ret+leaf", "-fomit-frame-pointer"]);
}

#[test]
#[cfg(target_arch = "aarch64")]
fn code_that_checks_its_stack() {
    agrees_with_libgcc("checked", &["-O2", "-fstack-protector-all", "-fstack-clash-protection"]);
    agrees_with_libgcc("pcs", &["-O3", "-fno-omit-frame-pointer", "-mgeneral-regs-only", "-fno-shrink-wrap"]);
}

#[test]
fn lazily_bound_calls() {
    agrees_with_libgcc("lazy", &["-O1", "-Wl,-z,lazy", "-Wl,--hash-style=gnu"]);
}

/// As BOLT and patchelf leave them, rustc's own libraries among others.
#[test]
fn program_headers_at_the_end_of_the_file() {
    let path = build("moved", "frames.c", &["-O2", "-fomit-frame-pointer", "-DPADDING=0x2000000"]);
    let mut file = std::fs::read(&path).unwrap();
    let field = |file: &[u8], at: usize, length: usize| {
        file[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (offset, size, count) = (field(&file, 32, 8), field(&file, 54, 2), field(&file, 56, 2));
    let headers = file[offset..offset + size * count].to_vec();
    file[offset..offset + size * count].fill(0);
    file.resize(file.len().next_multiple_of(4096), 0);
    let end = file.len() as u64;
    file[32..40].copy_from_slice(&end.to_le_bytes());
    file.extend(headers);
    std::fs::write(&path, file).unwrap();
    agrees_with_libgcc_in(&path, &["moved"]);
}

#[test]
fn cplusplus_destructors_and_handlers_of_exceptions() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let library = Library::open(&build("exceptions", "exceptions.cc", &["-O2"]));
    for _ in 0..2 {
        let seen = library.run("");
        assert!(seen.wrong.is_empty(), "{}", seen.wrong.join("\n"));
        assert!(seen.probes == 6 + 3 + 3 && seen.deepest > 10, "{} {}", seen.probes, seen.deepest);
    }
    library.close();
}

/// libgcc's unwinder stops at code without call frame information; its frame pointer leads further.
#[test]
fn code_without_information_is_passed_through() {
    static FOUND: std::sync::Mutex<Vec<(End, Vec<usize>)>> = std::sync::Mutex::new(Vec::new());
    extern "C-unwind" fn note() {
        let mut frames = [0; ROOM];
        let walk = capture(Registers::here(), &mut { StackBounds::UNKNOWN }, &mut frames);
        FOUND.lock().unwrap().push((walk.end, frames[..walk.depth].to_vec()));
    }
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for flags in [["-O2", "-fno-omit-frame-pointer"], ["-O0", "-fno-omit-frame-pointer"]] {
        let library = Library::open(&build("unknown", "frames.c", &flags));
        // SAFETY: `run` has this type.
        unsafe { library.function()(c"unknown code".as_ptr(), note) };
        let found = std::mem::take(&mut *FOUND.lock().unwrap());
        let [(end, direct), (through_end, through)] = &found[..] else { panic!("{found:x?}") };
        assert_eq!((end, through_end), (&End::Outermost, &End::Outermost), "{found:x?}");
        assert!(direct.len() > 4 && direct[2..] == through[3..], "{found:x?}");
        library.close();
    }
}

/// The second differs from the first in nothing but the size of a frame.
#[test]
fn another_library_at_the_same_address() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let paths = ["-DLARGE=100000", "-DLARGE=200000"].map(|size| build(size, "frames.c", &["-O2", size]));
    let mut starts = Vec::new();
    for path in paths.iter().cycle().take(6) {
        let library = Library::open(path);
        let seen = library.run("large frames");
        assert!(seen.probes == 2 && seen.wrong.is_empty(), "{}", seen.wrong.join("\n"));
        starts.push(module_of(library.function() as usize).map(|module| module.start));
        library.close();
    }
    assert!(starts.iter().all(|start| *start == starts[0]), "{starts:?}");
}
