//! The one thing a reader writes: the control words of a running target.
//!
//! Through a mapping, not pwrite(2), because the target compares its counters with `limit` at every allocation and must
//! never see half of it. Called by `Ledger::set_sampling`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::Release;

use super::ReadError;
use crate::layout::*;

pub(super) fn set_sampling(path: &Path, sampling: Sampling) -> Result<(), ReadError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = File::options().read(true).write(true).custom_flags(flags).open(path)?;
    if file.metadata()?.len() < MIN_BYTES as u64 {
        return Err(ReadError::Invalid("it has been truncated"));
    }
    // SAFETY: a fresh shared mapping of the first page of a file that was just seen to be long enough. Should its owner
    // truncate it within these few instructions, the store below would end this process; nobody else may write the file.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            HEADER_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: page-aligned, HEADER_BYTES long, all atomics, valid for any contents.
    let control = unsafe { &(*page.cast::<Header>()).control };
    control.depth.store(sampling.depth as u64, Release);
    control.set_intervals(sampling.intervals);
    // SAFETY: mapped above, and `control` is not used any more.
    unsafe { libc::munmap(page, HEADER_BYTES) };
    Ok(())
}
