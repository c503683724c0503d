//! Real ledgers, written by the writing half as the sampler would.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use heapql_ledger::layout::HeaderPage;
use heapql_ledger::{CERTAIN, CallsiteKey, LabelId, LedgerSettings, ModuleEntry, Sampling, Writer};

pub(super) const GLIBC: LabelId<'static> = LabelId { tenant_id: 500, ctx_id: 22, text: b"glibc_malloc" };

pub(super) struct Recorded {
    writer: Writer,
    page: &'static HeaderPage,
}

impl Recorded {
    /// A ledger of this process; several of them are several sources.
    pub(super) fn new(folder: &Path, bytes: usize) -> Recorded {
        let page: &'static HeaderPage = Box::leak(Box::new(HeaderPage::zeroed()));
        let writer = Writer::new(page);
        let dir = CString::new(folder.as_os_str().as_bytes()).expect("no NUL");
        let settings = LedgerSettings { dir: &dir, bytes, sampling: Sampling::DEFAULT, default_label: GLIBC };
        // SAFETY: the writer is ours alone, it is opened once, and the page is leaked and not mapped by
        // anything else.
        unsafe { writer.open(&settings) }.expect("a ledger");
        // Without a start time each ledger stands for a process of its own, though all have this one's pid.
        page.start_ticks.store(0, Ordering::Relaxed);
        // The program, whose small addresses the tests use as frames.
        let program = ModuleEntry { start: 0, end: 1 << 32, load_bias: 0, name: b"", build_id: b"", is_program: true };
        assert!(writer.add_module(&program));
        Recorded { writer, page }
    }

    /// A library of 64 KiB at `base`.
    pub(super) fn load(&self, base: u64, name: &[u8], build_id: &[u8]) {
        let module =
            ModuleEntry { start: base, end: base + 0x10000, load_bias: base, name, build_id, is_program: false };
        assert!(self.writer.add_module(&module));
    }

    /// `count` live objects of `bytes` each at a stack; returns the callsite.
    pub(super) fn live(&self, label: &LabelId<'_>, frames: &[usize], count: u64, bytes: u64) -> u32 {
        let label = self.writer.label(label).expect("a label");
        let id = self.writer.add(&CallsiteKey { label, shard: 0, weight: CERTAIN, frames }, bytes).expect("a callsite");
        (0..count).for_each(|_| self.writer.count(id, bytes));
        id
    }

    /// As if recording had begun so long ago. For a ledger that no reader has opened yet.
    pub(super) fn aged(self, age: Duration) -> Recorded {
        self.page.created_at.fetch_sub(age.as_nanos() as u64, Ordering::Relaxed);
        self
    }

    pub(super) fn count(&self, id: u32, bytes: u64) {
        self.writer.count(id, bytes);
    }

    pub(super) fn free(&self, id: u32, bytes: u64) {
        self.writer.uncount(id, bytes);
    }
}
