//! Ledgers of three servers, written by the ledger crate's writer: some stacks are on all of them, some on one only.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use heapql_ledger::layout::HeaderPage;
use heapql_ledger::{CERTAIN, CallsiteKey, LabelId, LedgerSettings, ModuleEntry, Sampling, Writer};

const LABELS: [LabelId<'static>; 4] = [
    LabelId { tenant_id: 500, ctx_id: 22, text: b"glibc_malloc" },
    LabelId { tenant_id: 500, ctx_id: 0, text: b"cache" },
    LabelId { tenant_id: 1001, ctx_id: 5, text: b"plan" },
    // The label of stacks that no other server has.
    LabelId { tenant_id: 500, ctx_id: 22, text: b"own" },
];

/// Two processes with forty stacks each.
pub(super) fn write(folder: &Path, server: usize) {
    for process in 0..2 {
        let page: &'static HeaderPage = Box::leak(Box::new(HeaderPage::zeroed()));
        let writer = Writer::new(page);
        let dir = CString::new(folder.as_os_str().as_bytes()).expect("no NUL");
        let settings =
            LedgerSettings { dir: &dir, bytes: 1 << 20, sampling: Sampling::DEFAULT, default_label: LABELS[0] };
        // SAFETY: the writer is ours alone, it is opened once, and the page is leaked and not mapped by anything else.
        unsafe { writer.open(&settings) }.expect("a ledger");
        // Without a start time each ledger stands for a process of its own, though all have this one's pid.
        page.start_ticks.store(0, Ordering::Relaxed);
        let program = ModuleEntry { start: 0, end: 1 << 32, load_bias: 0, name: b"", build_id: b"", is_program: true };
        assert!(writer.add_module(&program));
        for stack in 0..40_usize {
            // Every fourth is on this server only; the others are on all of them, with other counts.
            let is_own = stack % 4 == 0;
            let own = if is_own { 0x10000 * (server + 1) } else { 0 };
            let frames: Vec<usize> = (1..=stack % 20 + 1).map(|frame| 0x1000 + own + stack * 64 + frame).collect();
            let label = writer.label(&LABELS[if is_own { 3 } else { stack % 3 }]).expect("a label");
            let bytes = 16 + 8 * (stack as u64 % 7);
            let id =
                writer.add(&CallsiteKey { label, shard: 0, weight: CERTAIN, frames: &frames }, bytes).expect("room");
            (0..1 + (stack * 7 + server * 3 + process) % 11).for_each(|_| writer.count(id, bytes));
        }
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("ledgers") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
}
