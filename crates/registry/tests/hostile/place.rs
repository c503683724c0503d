//! A real ledger, a place to put what was made of it, and all that can be asked of a source: shared by `hostile.rs` and the
//! fuzz target of that name (`fuzz/targets/ledger.rs`), which break it in their own ways.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use heapql_ledger::layout::{self, HeaderPage};
use heapql_ledger::{
    CERTAIN, CallsiteKey, Intervals, LABEL_BYTES, LabelId, LedgerSettings, MAX_DEPTH, MIN_BYTES, ModuleEntry, Sampling,
    Writer,
};
use heapql_registry::{Registry, RegistrySettings, Source, SourceState};

/// Live callsites of [`REAL`].
pub(crate) const CALLSITES: usize = 20;

/// A real ledger of this process: two labels, a program, twenty callsites of which each holds as many objects of 100 bytes
/// as its number.
pub(crate) static REAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    static PAGE: HeaderPage = HeaderPage::zeroed();
    let writer = Writer::new(&PAGE);
    let path = CString::new(dir.path().as_os_str().as_bytes()).expect("no zero byte");
    let settings = LedgerSettings {
        dir: &path,
        bytes: MIN_BYTES,
        sampling: Sampling::DEFAULT,
        default_label: LabelId { tenant_id: 500, ctx_id: 22, text: b"glibc_malloc" },
    };
    // SAFETY: this writer and its page are this closure's alone.
    unsafe { writer.open(&settings) }.expect("a ledger");
    fill(&writer);
    fs::read(paths(dir.path()).remove(0)).expect("the ledger can be read")
});

fn fill(writer: &Writer) {
    let other = LabelId { tenant_id: 1005, ctx_id: 3, text: b"other" };
    let label = writer.label(&other).expect("room for a label");
    let program = ModuleEntry {
        start: 0x5000_0000,
        end: 0x5010_0000,
        load_bias: 0x5000_0000,
        name: b"/bin/program",
        build_id: &[7; 20],
        is_program: true,
    };
    assert!(writer.add_module(&program));
    for nth in 0..CALLSITES {
        let frames = [0x5000_1000 + nth, 0x5000_2000, 0x7fff_0000_1000 + nth];
        let key =
            CallsiteKey { label: if nth % 2 == 0 { 0 } else { label }, shard: 0, weight: CERTAIN, frames: &frames };
        let id = writer.add(&key, 100).expect("room for a callsite");
        for _ in 0..=nth {
            writer.count(id, 100);
        }
    }
}

fn paths(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
}

/// A directory with files in it, as a registry sees it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { dir: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file that is old enough to be no ledger in creation.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a file");
        let file = fs::File::options().write(true).open(&path).expect("the file");
        file.set_modified(SystemTime::now() - Duration::from_secs(600)).expect("its time can be set");
        path
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::open(RegistrySettings::read_only(self.dir.path().to_owned())).expect("a registry")
    }

    pub(crate) fn sources(&self) -> Vec<Arc<Source>> {
        self.registry().sources()
    }

    pub(crate) fn only(&self) -> Arc<Source> {
        let mut sources = self.sources();
        assert_eq!(sources.len(), 1, "a file is never missing");
        sources.remove(0)
    }
}

/// Asks a source everything. What it answers may be wrong where the file is, and must be possible.
pub(crate) fn assert_sane(source: &Source) {
    let _ = (source.id(), source.pid(), source.parent_pid(), source.started_at(), source.tenant_id());
    let _ = (source.ledger_bytes(), source.losses());
    assert!(source.command().len() <= 4 * layout::TEXT_BYTES);
    assert!(source.program().len() <= 4 * layout::TEXT_BYTES);
    if let Some(Intervals { min, max }) = source.intervals() {
        assert!(1 <= min && min <= max && max <= 10_000);
    }
    if let SourceState::Unreadable(why) = source.state() {
        assert!(!why.is_empty());
    }
    for callsite in source.callsites().unwrap_or_default() {
        assert!(callsite.counters.live_count > 0);
        assert!(callsite.stack.len() <= MAX_DEPTH);
        assert!(callsite.label.chars().count() <= LABEL_BYTES);
    }
}
