//! `libc`, but for what would make runs of a model differ: mappings come out of the model's arena, the file of a ledger and
//! its directory are there only in memory, time stands still, and a wait lets other threads go on.
//!
//! Not for the product: the crates of this workspace name it `libc`. Calls that are not named here go to the kernel.

#![allow(non_upper_case_globals)]

pub use libc::*;

use std::cell::Cell;

use checked_core::{memory, model};

/// The descriptor of the ledger that is being created.
const LEDGER: usize = 1 << 20;
/// One page: the part of the file that is mapped over a static as well.
pub const HEADER_BYTES: usize = 4096;

thread_local! {
    /// Where the ledger's header page and its whole file were mapped.
    static HEADER: Cell<usize> = const { Cell::new(0) };
    static FILE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    /// The file's place has been chosen, for the next time that it is mapped.
    static ANNOUNCED: Cell<bool> = const { Cell::new(false) };
}

/// A system call, or what the model has instead: its result or the kernel's error.
///
/// # Safety
/// That of the call.
pub unsafe fn call(number: c_long, arguments: [usize; 6]) -> Result<usize, c_int> {
    let [a, b, c, d, e, f] = arguments;
    match number {
        SYS_mmap => map(a, b, d, e),
        SYS_munmap | SYS_mprotect | SYS_ftruncate | SYS_fallocate | SYS_unlinkat => Ok(0),
        SYS_madvise => {
            match c as i32 {
                MADV_DONTNEED if model::is_running() => model::clear(a, b),
                // SAFETY: passed on as it came: zeroes pages of the arena.
                MADV_DONTNEED => drop(unsafe { libc::syscall(number, a, b, c) }),
                _ => {}
            }
            Ok(0)
        }
        SYS_sched_yield => {
            model::step_aside();
            Ok(0)
        }
        SYS_close if a == LEDGER => Ok(0),
        SYS_openat if c & O_CREAT as usize != 0 => Ok(LEDGER),
        SYS_mkdirat => Ok(0),
        SYS_newfstatat => {
            // SAFETY: the caller passes room for one; all zeroes are valid.
            let stat = unsafe { &mut *core::ptr::with_exposed_provenance_mut::<stat>(c) };
            stat.st_mode = S_IFDIR | 0o700;
            // SAFETY: no memory is involved.
            stat.st_uid = unsafe { geteuid() };
            Ok(0)
        }
        // /proc: what it says is not the same each time.
        SYS_openat | SYS_readlinkat => Err(ENOENT),
        SYS_prlimit64 => {
            // Of everything: it makes the pool's range 64 MiB.
            let limit = rlimit { rlim_cur: 512 << 20, rlim_max: 512 << 20 };
            // SAFETY: the caller passes room for one.
            unsafe { core::ptr::with_exposed_provenance_mut::<rlimit>(d).write(limit) };
            Ok(0)
        }
        // Pages are not moved: the product copies.
        SYS_mremap => Err(ENOSYS),
        _ => {
            // SAFETY: passed on as it came.
            let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
            // SAFETY: points to this thread's errno.
            if result < 0 { Err(unsafe { *__errno_location() }) } else { Ok(result as usize) }
        }
    }
}

/// Memory of the model's own at addresses that the product chooses. It is new each time, as a place that is free would be.
fn map_there(at: usize, bytes: usize) -> Result<usize, c_int> {
    let (access, kind) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED);
    // SAFETY: the product chooses addresses at which nothing lies but what was mapped here in the runs before.
    let got = unsafe { libc::mmap(core::ptr::with_exposed_provenance_mut(at), bytes, access, kind, -1, 0) };
    assert_eq!(got as usize, at);
    model::clear(at, bytes);
    Ok(at)
}

fn map(at: usize, bytes: usize, kind: usize, file: usize) -> Result<usize, c_int> {
    if kind & MAP_FIXED_NOREPLACE as usize != 0 {
        return map_there(at, bytes);
    }
    if at != 0 {
        HEADER.set(at);
        return Ok(at);
    }
    if file != LEDGER {
        return Ok(memory::map(bytes));
    }
    if !ANNOUNCED.take() {
        FILE.set((memory::map(bytes), bytes));
    }
    Ok(FILE.get().0)
}

/// The ledger's header page and its file, with its length.
pub fn ledger() -> (usize, usize, usize) {
    let (file, bytes) = FILE.get();
    (HEADER.get(), file, bytes)
}

/// Only the ledger's header is mapped so.
///
/// # Safety
/// Harmless.
pub unsafe fn mmap(_: *mut c_void, _: size_t, _: c_int, _: c_int, _: c_int, _: off_t) -> *mut c_void {
    core::ptr::with_exposed_provenance_mut(HEADER.get())
}

/// # Safety
/// Harmless.
pub unsafe fn munmap(_: *mut c_void, _: size_t) -> c_int {
    0
}

/// # Safety
/// `now` can be written.
pub unsafe fn clock_gettime(_: clockid_t, now: *mut timespec) -> c_int {
    // SAFETY: this function's condition.
    unsafe { now.write(timespec { tv_sec: 1_000_000_000, tv_nsec: 1 }) };
    0
}

/// A ledger of so many bytes that is being created: its header will be mapped over `header`, its tables come next in the
/// arena.
pub fn announce(header: usize, bytes: usize) {
    HEADER.set(header);
    FILE.set((memory::map(bytes), bytes));
    ANNOUNCED.set(true);
}
