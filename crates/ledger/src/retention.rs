//! Bounds what dead processes leave behind where no server does: a process that starts removes the oldest.
//!
//! It runs once per ledger, inside the target: no allocation, a bounded number of entries and of removals, nothing followed
//! that a file says. Whose ledger a file is stands in its name; that nobody uses it any more is known by its lock, which a
//! process holds through its mapping alone, and so until it ends, however it ends, in whatever pid namespace it runs. Two
//! processes that do this at once remove the same files, which does no harm. What a server keeps is `registry`'s.
//! Called by `writer`.

use core::ffi::CStr;

use crate::decimal::parse_decimal;
use crate::identity;
use crate::sys;

/// How much is kept of dead processes: as much as a server keeps.
pub(crate) const KEPT_FILES: usize = 256;
pub(crate) const KEPT_BYTES: u64 = 512 << 20;
/// How many ledgers are looked at, and how many removed, by one process. Where there are more, others will do the rest.
const MOST_FILES: usize = 4096;
const MOST_REMOVED: usize = 128;
/// And how many of the oldest are asked whether somebody holds them.
const MOST_ASKED: usize = 512;
/// How many more files there may be until a process looks: from half of it on some do, at all of it every one.
const MORE_FILES: u64 = 64;
/// A directory that does not say how full it is gets looked at by one process of so many, as does one that is not full, for
/// the bytes that are in it.
const ONE_OF: u64 = 16;
const ONE_OF_NOT_FULL: u64 = 64;
/// How many bytes of directory entries are read at a time.
const LISTED_BYTES: usize = 32 << 10;

/// A dead process's ledger.
#[derive(Clone, Copy, Default)]
struct DeadLedger {
    created: u64,
    pid: u32,
    /// Up to 4 TiB.
    kib: u32,
}

/// The memory that one look at a directory needs.
struct Scratch {
    listed: [u64; LISTED_BYTES / 8],
    dead: [DeadLedger; MOST_FILES],
}

/// Removes what lies beyond the bounds in a directory where this process has just created a ledger. Mostly it only looks
/// how many files there are.
pub(crate) fn bound(dir: &CStr, created: u64) {
    let chance = (created ^ u64::from(sys::pid())).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let is_due = match sys::entries(dir, KEPT_FILES as u64) {
        Some(entries) => {
            let beyond = entries.saturating_sub(KEPT_FILES as u64 + MORE_FILES / 2);
            chance % (MORE_FILES / 2) < beyond || chance.is_multiple_of(ONE_OF_NOT_FULL)
        }
        None => chance.is_multiple_of(ONE_OF),
    };
    if is_due {
        look(dir);
    }
}

#[cold]
#[inline(never)]
fn look(dir: &CStr) {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let Ok(fd) = sys::open(dir, flags, 0) else {
        return;
    };
    // SAFETY: a fresh mapping where the kernel picks.
    if let Ok(room) = unsafe { sys::map(None, size_of::<Scratch>(), None) } {
        // SAFETY: mapped above, aligned to a page, of zeroes, which are valid, and nobody else's.
        let Scratch { listed, dead } = unsafe { &mut *room.cast::<Scratch>() };
        let found = find(fd, listed, dead);
        remove(fd, dead.get_mut(..found).unwrap_or_default());
        // SAFETY: what borrowed it has ended.
        unsafe { sys::unmap(room, size_of::<Scratch>()) };
    }
    sys::close(fd);
}

/// The ledgers of processes that are not there, as far as this pid namespace shows.
fn find(fd: i32, listed: &mut [u64], dead: &mut [DeadLedger]) -> usize {
    let (mut found, mut seen) = (0, 0);
    while seen < MOST_FILES {
        let bytes = sys::list(fd, listed);
        if bytes == 0 {
            break;
        }
        for name in sys::names(listed, bytes) {
            seen += 1;
            let Some((pid, created)) = ledger_of(name.to_bytes()) else {
                continue;
            };
            if let Some(place) = dead.get_mut(found)
                && !sys::is_there(pid)
            {
                let kib = sys::used_kib(fd, name);
                *place = DeadLedger { created, pid, kib };
                found += 1;
            }
        }
    }
    found
}

/// The oldest, one after the other, until the rest fits into both bounds: mostly they are few.
fn remove(fd: i32, dead: &mut [DeadLedger]) {
    let (mut files, mut kib) = (dead.len(), dead.iter().map(|ledger| u64::from(ledger.kib)).sum::<u64>());
    let mut removed = 0;
    for _ in 0..MOST_ASKED {
        if removed == MOST_REMOVED || (files <= KEPT_FILES && kib <= KEPT_BYTES >> 10) {
            break;
        }
        let Some(oldest) = dead.iter_mut().min_by_key(|ledger| ledger.created) else {
            break;
        };
        let path = identity::ledger_name(oldest.pid, oldest.created);
        if !sys::is_held(fd, path.as_c_str()) {
            sys::unlink_in(fd, path.as_c_str());
            removed += 1;
        }
        files -= 1;
        kib -= u64::from(oldest.kib);
        *oldest = DeadLedger { created: u64::MAX, ..DeadLedger::default() };
    }
}

/// Pid and time of creation in the name of a ledger.
fn ledger_of(name: &[u8]) -> Option<(u32, u64)> {
    let mut parts = name.strip_suffix(b".heapql")?.splitn(2, |&byte| byte == b'-');
    let pid = parse_decimal(parts.next()?)?;
    Some((u32::try_from(pid).ok().filter(|&pid| pid != 0 && pid <= i32::MAX as u32)?, parse_decimal(parts.next()?)?))
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::*;

    /// No process has a number beyond this.
    const NOBODY: u32 = 1 << 23;

    fn put(dir: &Path, name: &str) -> std::fs::File {
        std::fs::File::create(dir.join(name)).expect("a file")
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("readable");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("ours")).collect();
        names.sort();
        names
    }

    fn look_at(dir: &Path) {
        look(&CString::new(dir.as_os_str().as_bytes()).expect("no zero byte"));
    }

    #[test]
    fn the_oldest_of_the_dead_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut kept: Vec<String> =
            (0..KEPT_FILES as u32).map(|nth| format!("{}-{}.heapql", NOBODY + nth, 2_000 + nth)).collect();
        // Alive; under a name that is no ledger's; held, as it is by a process of another pid namespace.
        kept.extend([format!("{}-1.heapql", std::process::id()), "1-1.heapql".to_owned()]);
        kept.extend(
            ["intervals", "9999999-1", "-1.heapql", "9999999-.heapql", "9999999-1.heapql.heapql"].map(str::to_owned),
        );
        kept.extend(["99999999999-1.heapql", "0-1.heapql", "9999999-99999999999999999999.heapql"].map(str::to_owned));
        kept.iter().for_each(|name| drop(put(dir.path(), name)));
        let held = put(dir.path(), &format!("{NOBODY}-5.heapql"));
        sys::hold(held.as_raw_fd());
        for nth in 0..200 {
            put(dir.path(), &format!("{NOBODY}-{}.heapql", 10 + nth));
        }
        look_at(dir.path());
        assert_eq!(names(dir.path()).len(), kept.len() + 1 + 200 - MOST_REMOVED, "a bounded number at once");
        look_at(dir.path());
        kept.push(format!("{NOBODY}-5.heapql"));
        kept.sort();
        assert_eq!(names(dir.path()), kept);
        drop(held);
        look_at(dir.path());
        kept.retain(|name| *name != format!("{NOBODY}-5.heapql"));
        assert_eq!(names(dir.path()), kept, "nobody holds it any more");
    }

    #[test]
    fn what_they_take_is_bounded_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut dead: Vec<DeadLedger> =
            (1..=10).map(|nth| DeadLedger { created: nth, pid: NOBODY, kib: 100 << 10 }).collect();
        for nth in 1..=10 {
            put(dir.path(), &format!("{NOBODY}-{nth}.heapql"));
        }
        let opened = std::fs::File::open(dir.path()).expect("a directory");
        remove(opened.as_raw_fd(), &mut dead);
        let mut newest: Vec<_> = (6..=10).map(|nth| format!("{NOBODY}-{nth}.heapql")).collect();
        newest.sort();
        assert_eq!(names(dir.path()), newest, "five of 100 MiB are 500");
    }

    #[test]
    fn a_directory_of_any_size_takes_bounded_work() {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
        for nth in 0..6_000 {
            put(dir.path(), &format!("{NOBODY}-{nth}.heapql"));
        }
        let path = CString::new(dir.path().as_os_str().as_bytes()).expect("no zero byte");
        assert_eq!(sys::entries(&path, 0), Some(6_000), "what is sure to be looked at");
        bound(&path, 1);
        assert_eq!(names(dir.path()).len(), 6_000 - MOST_REMOVED);
        (0..500).for_each(|created| bound(&path, created));
        let left = names(dir.path()).len();
        assert!((KEPT_FILES..KEPT_FILES + MORE_FILES as usize).contains(&left), "{left}");
    }
}
