//! The few system calls the writing half makes, and what else both it and the sampler ask the kernel. Called by `writer`,
//! `index`, `identity` and `lock`; [`read_file`] by `sampler` too.

use core::ffi::CStr;

pub use crate::kernel::Errno;
use crate::kernel::call;

const HERE: usize = libc::AT_FDCWD as usize;

pub(crate) fn open(path: &CStr, flags: i32, mode: u32) -> Result<i32, Errno> {
    // SAFETY: `path` is a C string that lives through the call.
    let fd = unsafe { call(libc::SYS_openat, [HERE, path.as_ptr() as usize, flags as usize, mode as usize]) }?;
    Ok(fd as i32)
}

pub(crate) fn close(fd: i32) {
    // SAFETY: no memory is involved; `fd` was opened by this module's caller.
    let _ = unsafe { call(libc::SYS_close, [fd as usize]) };
}

pub(crate) fn unlink(path: &CStr) {
    // SAFETY: `path` is a C string that lives through the call.
    let _ = unsafe { call(libc::SYS_unlinkat, [HERE, path.as_ptr() as usize, 0]) };
}

pub(crate) fn unlink_in(dir: i32, name: &CStr) {
    // SAFETY: `name` is a C string that lives through the call.
    let _ = unsafe { call(libc::SYS_unlinkat, [dir as usize, name.as_ptr() as usize, 0]) };
}

/// Locks a file that was opened for writing. Not for this descriptor: as long as its open file description is there, which
/// a mapping keeps when the descriptor is closed (fcntl(2), open file description locks).
pub(crate) fn hold(fd: i32) {
    let mut lock = whole_file();
    // SAFETY: the kernel reads `lock`. Without locks the ledger is one that nobody holds.
    let _ = unsafe { call(libc::SYS_fcntl, [fd as usize, F_OFD_SETLK, (&raw mut lock) as usize]) };
}

/// Whether some process has a file mapped that it has [`hold`]. One that cannot be asked is.
pub(crate) fn is_held(dir: i32, name: &CStr) -> bool {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW;
    // SAFETY: `name` is a C string that lives through the call.
    let fd = unsafe { call(libc::SYS_openat, [dir as usize, name.as_ptr() as usize, flags as usize, 0]) };
    fd.is_ok_and(|fd| {
        let is_held = is_locked(fd as i32);
        close(fd as i32);
        is_held
    })
}

/// As [`is_held`], of an open file.
pub(crate) fn is_locked(fd: i32) -> bool {
    let mut lock = whole_file();
    // SAFETY: the kernel reads and fills `lock`.
    let asked = unsafe { call(libc::SYS_fcntl, [fd as usize, F_OFD_GETLK, (&raw mut lock) as usize]) };
    asked.is_err() || lock.l_type != libc::F_UNLCK as libc::c_short
}

const F_OFD_GETLK: usize = 36;
const F_OFD_SETLK: usize = 37;

fn whole_file() -> libc::flock {
    // SAFETY: zeroes are valid, and with F_WRLCK say the whole file.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock
}

/// About how many entries a directory has, if it tells: one of tmpfs counts 20 bytes for each, two of its own included.
/// Small ones need not be of tmpfs: with 20 bytes per entry no directory has more.
pub(crate) fn entries(dir: &CStr, few: u64) -> Option<u64> {
    let entries = (status(HERE, dir)?.st_size as u64 / 20).saturating_sub(2);
    (entries <= few || is_in_memory(dir)).then_some(entries)
}

fn is_in_memory(dir: &CStr) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    let mut system = core::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: `dir` is a C string, and the kernel fills `system`.
    let done = unsafe { call(libc::SYS_statfs, [dir.as_ptr() as usize, system.as_mut_ptr() as usize]) };
    // SAFETY: all zeroes is a valid `statfs`.
    done.is_ok() && unsafe { system.assume_init() }.f_type as u64 == TMPFS
}

/// How many KiB of memory or disk a file takes; 0 if there is no such file.
pub(crate) fn used_kib(dir: i32, name: &CStr) -> u32 {
    status(dir as usize, name).map_or(0, |status| u32::try_from(status.st_blocks / 2).unwrap_or(u32::MAX))
}

fn status(dir: usize, name: &CStr) -> Option<libc::stat> {
    status_at(dir, name, libc::AT_SYMLINK_NOFOLLOW)
}

/// The answer of fstatat(2) about `name` below the descriptor `dir`; `None` for any error. `flags` are the call's `AT_*`.
pub fn status_at(dir: usize, name: &CStr, flags: i32) -> Option<libc::stat> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::zeroed();
    let arguments = [dir, name.as_ptr() as usize, status.as_mut_ptr() as usize, flags as usize];
    // SAFETY: `name` is a C string, and the kernel fills `status`.
    unsafe { call(libc::SYS_newfstatat, arguments) }.ok()?;
    // SAFETY: all zeroes is a valid `stat`.
    Some(unsafe { status.assume_init() })
}

/// Whether there is a process of this number in this pid namespace.
pub(crate) fn is_there(pid: u32) -> bool {
    // SAFETY: signal 0 is none, and no memory is involved.
    let asked = unsafe { call(libc::SYS_kill, [pid as usize, 0]) };
    asked != Err(Errno(libc::ESRCH))
}

/// The next entries of a directory: how many bytes of `into` they take, 0 at its end.
pub(crate) fn list(dir: i32, into: &mut [u64]) -> usize {
    // SAFETY: the kernel writes at most so many bytes there.
    unsafe { call(libc::SYS_getdents64, [dir as usize, into.as_mut_ptr() as usize, size_of_val(into)]) }.unwrap_or(0)
}

/// The names in the first `bytes` of what [`list`] has filled (getdents64(2), linux_dirent64).
pub(crate) fn names(listed: &[u64], bytes: usize) -> impl Iterator<Item = &CStr> {
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    // SAFETY: initialised memory, as bytes, within its bounds.
    let listed = unsafe { core::slice::from_raw_parts(listed.as_ptr().cast::<u8>(), bytes.min(size_of_val(listed))) };
    let mut at = 0;
    core::iter::from_fn(move || {
        let entry = listed.get(at..)?;
        let length = u16::from_ne_bytes([*entry.get(LENGTH_AT)?, *entry.get(LENGTH_AT + 1)?]);
        let name = entry.get(NAME_AT..length as usize)?;
        at += length as usize;
        CStr::from_bytes_until_nul(name).ok()
    })
}

pub(crate) fn truncate(fd: i32, bytes: usize) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_ftruncate, [fd as usize, bytes]) }.map(drop)
}

pub(crate) fn allocate(fd: i32, at: usize, bytes: usize) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_fallocate, [fd as usize, 0, at, bytes]) }.map(drop)
}

/// Reads up to `into.len()` bytes of a file that is not worth an error: what cannot be read is empty.
pub fn read_file(path: &CStr, into: &mut [u8]) -> usize {
    let Ok(fd) = open(path, libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK, 0) else {
        return 0;
    };
    let mut got = 0;
    while let Some(rest) = into.get_mut(got..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the kernel writes at most `rest.len()` bytes at `rest`.
        match unsafe { call(libc::SYS_read, [fd as usize, rest.as_mut_ptr() as usize, rest.len()]) } {
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
    // The kernel writes at most `into.len()` bytes at `into`.
    let arguments = [HERE, path.as_ptr() as usize, into.as_mut_ptr() as usize, into.len()];
    // SAFETY: as above.
    unsafe { call(libc::SYS_readlinkat, arguments) }.unwrap_or(0)
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
    let file = file.map_or(usize::MAX, |fd| fd as usize);
    // SAFETY: the caller owns the memory at `at`; elsewhere the kernel picks a free place.
    let got =
        unsafe { call(libc::SYS_mmap, [at as usize, bytes, protection as usize, (kind | place) as usize, file, 0]) };
    got.map(|address| address as *mut u8)
}

/// # Safety
/// Nothing may use the mapping of `bytes` at `at` any more.
pub(crate) unsafe fn unmap(at: *mut u8, bytes: usize) {
    // SAFETY: passed on to the caller.
    let _ = unsafe { call(libc::SYS_munmap, [at as usize, bytes]) };
}

/// Gives a range of a shared mapping its memory now, so that touching it later cannot raise SIGBUS when the file system
/// is full (madvise(2), MADV_POPULATE_WRITE, Linux 5.14).
pub(crate) fn populate(at: *mut u8, bytes: usize) -> Result<(), Errno> {
    const MADV_POPULATE_WRITE: usize = 23;
    // SAFETY: populating changes no contents, and an address that is not mapped is an error.
    unsafe { call(libc::SYS_madvise, [at as usize, bytes, MADV_POPULATE_WRITE]) }.map(drop)
}

/// The largest file this process may write (RLIMIT_FSIZE): beyond it the kernel sends a signal.
pub(crate) fn largest_file() -> usize {
    limit(libc::RLIMIT_FSIZE as usize)
}

/// How many bytes of addresses a ledger may take under `ulimit -v` (RLIMIT_AS): the program needs them more.
pub(crate) fn share_of_addresses() -> usize {
    match limit(libc::RLIMIT_AS as usize) {
        usize::MAX => usize::MAX,
        bytes => bytes / 16,
    }
}

/// The soft limit of this process for the resource `of` (RLIMIT_*); `usize::MAX` if there is none.
pub fn limit(of: usize) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills `limit`; a null pointer means that nothing is set.
    let got = unsafe { call(libc::SYS_prlimit64, [0, of, 0, (&raw mut limit) as usize]) };
    if got.is_ok() { limit.rlim_cur as usize } else { usize::MAX }
}

pub(crate) fn pid() -> u32 {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_getpid, []) }.unwrap_or(0) as u32
}

pub(crate) fn parent_pid() -> u32 {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_getppid, []) }.unwrap_or(0) as u32
}

/// The real user id of this process.
pub fn uid() -> u32 {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_getuid, []) }.unwrap_or(0) as u32
}

/// Nanoseconds of a clock; 0 if it has none.
pub fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable. clock_gettime is async-signal-safe and no cancellation point.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(crate) fn yield_now() {
    // SAFETY: no memory is involved.
    let _ = unsafe { call(libc::SYS_sched_yield, []) };
}
