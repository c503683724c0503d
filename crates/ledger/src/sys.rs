//! The few system calls the writing half makes, by number.
//!
//! Not libc's wrappers: several of those are cancellation points, and a thread must not be cancelled inside `malloc`.
//! They change errno; whoever enters the recorder saves it (`sampler::guard`). Called by `writer` and `index`.

use core::ffi::{CStr, c_long};

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

fn check(result: c_long) -> Result<usize, Errno> {
    if result >= 0 {
        return Ok(result as usize);
    }
    // SAFETY: glibc's errno is always a valid thread-local.
    Err(Errno(unsafe { *libc::__errno_location() }))
}

pub(crate) fn open(path: &CStr, flags: i32, mode: u32) -> Result<i32, Errno> {
    // SAFETY: `path` is a C string that lives through the call.
    let fd = check(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, mode) })?;
    Ok(fd as i32)
}

pub(crate) fn close(fd: i32) {
    // SAFETY: no memory is involved; `fd` was opened by this module's caller.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

pub(crate) fn unlink(path: &CStr) {
    // SAFETY: `path` is a C string that lives through the call.
    unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path.as_ptr(), 0) };
}

pub(crate) fn truncate(fd: i32, bytes: usize) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_ftruncate, fd, bytes) }).map(drop)
}

pub(crate) fn allocate(fd: i32, at: usize, bytes: usize) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_fallocate, fd, 0, at, bytes) }).map(drop)
}

/// Reads up to `into.len()` bytes of a file that is not worth an error: what cannot be read is empty.
pub(crate) fn read_file(path: &CStr, into: &mut [u8]) -> usize {
    let Ok(fd) = open(path, libc::O_RDONLY | libc::O_CLOEXEC, 0) else {
        return 0;
    };
    let mut got = 0;
    while let Some(rest) = into.get_mut(got..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the kernel writes at most `rest.len()` bytes at `rest`.
        match check(unsafe { libc::syscall(libc::SYS_read, fd, rest.as_mut_ptr(), rest.len()) }) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(Errno(libc::EINTR)) => {}
            Err(_) => break,
        }
    }
    close(fd);
    got
}

pub(crate) fn read_link(path: &CStr, into: &mut [u8]) -> usize {
    // SAFETY: the kernel writes at most `into.len()` bytes at `into`.
    let got =
        unsafe { libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, path.as_ptr(), into.as_mut_ptr(), into.len()) };
    check(got).unwrap_or(0)
}

/// A new private or shared mapping. `at` is replaced if it is given.
///
/// # Safety
/// Nothing but this caller may use the memory at `at`.
pub(crate) unsafe fn map(at: Option<*mut u8>, bytes: usize, file: Option<i32>) -> Result<*mut u8, Errno> {
    let place = if at.is_some() { libc::MAP_FIXED } else { 0 };
    let kind = if file.is_some() { libc::MAP_SHARED } else { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS };
    let at = at.unwrap_or(core::ptr::null_mut());
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the caller owns the memory at `at`; elsewhere the kernel picks a free place.
    let got = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            at,
            bytes,
            protection,
            kind | place,
            c_long::from(file.unwrap_or(-1)),
            0 as c_long,
        )
    };
    check(got).map(|address| address as *mut u8)
}

/// # Safety
/// Nothing may use the mapping of `bytes` at `at` any more.
pub(crate) unsafe fn unmap(at: *mut u8, bytes: usize) {
    // SAFETY: passed on to the caller.
    unsafe { libc::syscall(libc::SYS_munmap, at, bytes) };
}

/// Gives a range of a shared mapping its memory now, so that touching it later cannot raise SIGBUS when the file system
/// is full (madvise(2), MADV_POPULATE_WRITE, Linux 5.14).
pub(crate) fn populate(at: *mut u8, bytes: usize) -> Result<(), Errno> {
    const MADV_POPULATE_WRITE: c_long = 23;
    // SAFETY: populating changes no contents, and an address that is not mapped is an error.
    check(unsafe { libc::syscall(libc::SYS_madvise, at, bytes, MADV_POPULATE_WRITE) }).map(drop)
}

/// The largest file this process may write (RLIMIT_FSIZE): beyond it the kernel sends a signal.
pub(crate) fn largest_file() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills `limit`; a null pointer means that nothing is set.
    let got = unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_FSIZE, core::ptr::null::<libc::rlimit>(), &raw mut limit)
    };
    if check(got).is_ok() { limit.rlim_cur as usize } else { usize::MAX }
}

pub(crate) fn pid() -> u32 {
    // SAFETY: no memory is involved.
    (unsafe { libc::syscall(libc::SYS_getpid) }) as u32
}

pub(crate) fn parent_pid() -> u32 {
    // SAFETY: no memory is involved.
    (unsafe { libc::syscall(libc::SYS_getppid) }) as u32
}

pub(crate) fn uid() -> u32 {
    // SAFETY: no memory is involved.
    (unsafe { libc::syscall(libc::SYS_getuid) }) as u32
}

/// Nanoseconds of a clock; 0 if it has none.
pub(crate) fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable. clock_gettime is async-signal-safe and no cancellation point.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(crate) fn yield_now() {
    // SAFETY: no memory is involved.
    unsafe { libc::syscall(libc::SYS_sched_yield) };
}
