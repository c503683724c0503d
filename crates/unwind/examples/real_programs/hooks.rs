//! Functions that real programs call often and from many places. Each forwards to the next library's; now and then the
//! stack of its caller is compared. The stubs are naked, as the sampler's are: captures begin in the caller's frame. Their
//! frame information is right at every instruction: a signal may interrupt them, and libgcc reads whatever it is told to.

use std::arch::naked_asm;
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use heapql_unwind::Registers;

use crate::compare::compare;

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
    /// How many calls are passed over before the next comparison.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static RANDOM: Cell<usize> = const { Cell::new(0x2545_f491_4f6c_dd1d) };
}

/// 0: none.
static ONE_IN: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn compare_one_in(calls: usize) {
    ONE_IN.store(calls, Relaxed);
}

/// While it lives, nothing is compared on this thread.
pub(crate) struct Busy;

impl Busy {
    /// None if there is one, or if the thread is about to end.
    pub(crate) fn enter() -> Option<Busy> {
        (BUSY.try_with(|busy| busy.replace(true)) == Ok(false)).then(|| Busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = BUSY.try_with(|busy| busy.set(false));
    }
}

/// The gap is random, so that no program's rhythm hides some of its stacks.
fn is_due(one_in: usize) -> bool {
    let due = LEFT.try_with(|left| {
        if left.get() > 0 {
            left.set(left.get() - 1);
            return false;
        }
        let mut random = RANDOM.get();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        RANDOM.set(random);
        left.set(random % (2 * one_in - 1));
        true
    });
    due == Ok(true)
}

const NAMES: [&CStr; 9] =
    [c"malloc", c"calloc", c"realloc", c"free", c"memcpy", c"strlen", c"write", c"read", c"dlclose"];
const DLCLOSE: usize = 8;
static NEXT: [AtomicUsize; NAMES.len()] = [const { AtomicUsize::new(0) }; NAMES.len()];

/// Where the call number `which` in [`NAMES`] is to go on.
extern "C" fn called(which: usize, pc: usize, sp: usize, bp: usize) -> usize {
    let one_in = ONE_IN.load(Relaxed);
    if one_in != 0
        && is_due(one_in)
        && let Some(_busy) = Busy::enter()
    {
        // SAFETY: errno is a variable of this thread.
        let saved = unsafe { *libc::__errno_location() };
        compare(Registers { pc, sp, bp });
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = saved };
    }
    next(which)
}

fn next(which: usize) -> usize {
    let known = NEXT[which].load(Relaxed);
    if known != 0 {
        return known;
    }
    // SAFETY: the name is a C string. It allocates only to tell of an error, which there is none.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, NAMES[which].as_ptr()) } as usize;
    assert_ne!(found, 0);
    NEXT[which].store(found, Relaxed);
    found
}

/// Rules of code that is gone must not be used for what is loaded in its place.
#[unsafe(no_mangle)]
extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: the address of a function of that type.
    let close: extern "C" fn(*mut c_void) -> c_int = unsafe { std::mem::transmute(next(DLCLOSE)) };
    let result = close(handle);
    heapql_unwind::modules_changed();
    result
}

macro_rules! stubs {
    ($($name:ident $which:literal),*) => { $(
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        extern "C" fn $name() {
            naked_asm!(
                ".cfi_startproc",
                "push rdi",
                ".cfi_adjust_cfa_offset 8",
                "push rsi",
                ".cfi_adjust_cfa_offset 8",
                "push rdx",
                ".cfi_adjust_cfa_offset 8",
                "push rcx",
                ".cfi_adjust_cfa_offset 8",
                "push r8",
                ".cfi_adjust_cfa_offset 8",
                concat!("mov edi, ", $which),
                "mov rsi, [rsp + 40]",
                "lea rdx, [rsp + 48]",
                "mov rcx, rbp",
                "call {called}",
                "pop r8",
                ".cfi_adjust_cfa_offset -8",
                "pop rcx",
                ".cfi_adjust_cfa_offset -8",
                "pop rdx",
                ".cfi_adjust_cfa_offset -8",
                "pop rsi",
                ".cfi_adjust_cfa_offset -8",
                "pop rdi",
                ".cfi_adjust_cfa_offset -8",
                "jmp rax",
                ".cfi_endproc",
                called = sym called,
            )
        }
    )* };
}

stubs!(malloc "0", calloc "1", realloc "2", free "3", memcpy "4", strlen "5", write "6", read "7");
