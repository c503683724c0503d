//! How a ledger begins and how a forked child leaves it: the file, its mappings, its header.
//!
//! It adds no records but the first label. Part of `writer`.

use core::ffi::CStr;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::*;

use super::{LabelId, Writer};
use crate::layout::*;
use crate::sys::{self, Errno};
use crate::{identity, retention};

/// The ledger to create.
pub struct LedgerSettings<'a> {
    /// An existing directory.
    pub dir: &'a CStr,
    /// Size of the file; capped by RLIMIT_FSIZE and by a share of RLIMIT_AS.
    pub bytes: usize,
    /// The sampling at the start.
    pub sampling: Sampling,
    /// Label 0: the label of allocations that set no scope.
    pub default_label: LabelId<'a>,
}

/// An error that leaves the process without a ledger: what was tried, and the kernel's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenError {
    /// The step that failed.
    pub what: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
}

impl Writer {
    /// Creates the file and puts its first page over the static one.
    ///
    /// # Safety
    /// One thread at a time, and only while there is no ledger. Nothing else maps the static page.
    #[inline(never)]
    pub unsafe fn open(&self, settings: &LedgerSettings) -> Result<(), OpenError> {
        let allowed = sys::largest_file().min(sys::share_of_addresses());
        let bytes = settings.bytes.min(MAX_BYTES).min(allowed) & !(LARGEST_PAGE - 1);
        if bytes < MIN_BYTES {
            return Err(OpenError { what: "the ledger would be too small", errno: Errno(libc::EFBIG) });
        }
        let created = sys::clock(libc::CLOCK_REALTIME);
        let path = identity::ledger_path(settings.dir, created)
            .ok_or(OpenError { what: "the path is too long", errno: Errno(libc::ENAMETOOLONG) })?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let fd = sys::open(path.as_c_str(), flags, 0o600).map_err(|errno| OpenError { what: "create", errno })?;
        // SAFETY: this caller's promise.
        let mapped = unsafe { self.map_file(fd, bytes) };
        // Before the descriptor is closed: the mapping holds it from then on.
        sys::hold(fd);
        sys::close(fd);
        if let Err(error) = mapped {
            sys::unlink(path.as_c_str());
            return Err(error);
        }
        self.fill(settings, created, bytes);
        retention::bound(settings.dir, created);
        Ok(())
    }

    /// # Safety
    /// That of [`Writer::open`]; `fd` is a fresh file.
    unsafe fn map_file(&self, fd: i32, bytes: usize) -> Result<(), OpenError> {
        let step = |what| move |errno| OpenError { what, errno };
        sys::truncate(fd, bytes).map_err(step("set the size"))?;
        // The fixed tables are small: giving them memory now means that only growth can meet a full file system.
        sys::allocate(fd, 0, CALLSITES_AT).map_err(step("allocate"))?;
        // SAFETY: a fresh mapping where the kernel picks.
        let base = unsafe { sys::map(None, bytes, Some(fd)) }.map_err(step("map"))?;
        if let Err(errno) = sys::populate(base, HEADER_BYTES)
            && errno == Errno(libc::EINVAL)
        {
            // A kernel before 5.14 cannot say that a page has no memory behind it: give all of it memory now.
            sys::allocate(fd, 0, bytes).map_err(step("allocate"))?;
            self.callsites_ready.store(bytes, Relaxed);
            self.words_ready.store(bytes, Relaxed);
        }
        let page = core::ptr::from_ref(self.page).cast_mut().cast::<u8>();
        // SAFETY: the static is whole pages of its own whatever their size is (`HeaderPage`), all atomics, and the caller
        // says that it is ours. What is mapped behind the header is not used.
        unsafe { sys::map(Some(page), LARGEST_PAGE, Some(fd)) }.map_err(step("map the header"))?;
        self.bytes.store(bytes, Relaxed);
        self.base.store(base, Release);
        Ok(())
    }

    fn fill(&self, settings: &LedgerSettings, created: u64, bytes: usize) {
        let (callsites, words) = capacities(bytes);
        self.callsite_capacity.store(callsites, Relaxed);
        self.word_capacity.store(words, Relaxed);
        let words_at = self.words_at();
        self.callsites_ready.fetch_max(CALLSITES_AT, Relaxed);
        self.words_ready.fetch_max(words_at, Relaxed);
        self.created_ns.store(sys::clock(libc::CLOCK_MONOTONIC_COARSE), Relaxed);

        let header = self.page;
        identity::describe(header, created);
        header.file_bytes.store(bytes as u64, Relaxed);
        header.callsite_capacity.store(callsites as u32, Relaxed);
        header.word_capacity.store(words as u32, Relaxed);
        self.add_label(&settings.default_label);
        header.control.depth.store(settings.sampling.depth as u64, Relaxed);
        self.set_intervals(settings.sampling.intervals);
        header.control.limit.store(LIMIT_START, Release);
        header.ready.store(1, Release);
    }

    /// Forgets the ledger without touching it: it is the parent's. The header page becomes private and zero, so that the
    /// next allocation finds itself due.
    ///
    /// # Safety
    /// In a forked child, by its only thread, outside every other method.
    pub unsafe fn abandon(&self) {
        let base = self.base.swap(null_mut(), AcqRel);
        let page = core::ptr::from_ref(self.page).cast_mut().cast::<u8>();
        // SAFETY: the page is a static of ours; a private zero page is a valid `Header`. If it cannot be had, the page
        // stays the parent's, and only its control words are read.
        let _ = unsafe { sys::map(Some(page), LARGEST_PAGE, None) };
        if !base.is_null() {
            // SAFETY: the mapping is this writer's, and the only thread is here.
            unsafe { sys::unmap(base, self.bytes.load(Relaxed)) };
        }
        // SAFETY: the only thread is here.
        unsafe { self.index.clear() };
        for counter in [&self.callsites, &self.words, &self.modules] {
            counter.store(0, Relaxed);
        }
        self.callsites_ready.store(0, Relaxed);
        self.words_ready.store(0, Relaxed);
        self.lock.reset();
    }
}
