//! A real ledger, written by the writing half and read by the reading half.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use heapql_ledger::layout::HeaderPage;
use heapql_ledger::{
    CERTAIN, CallsiteKey, Intervals, LabelId, Ledger, LedgerSettings, Loss, MIN_BYTES, ModuleEntry, ReadError,
    Sampling, Writer,
};

struct Target {
    dir: tempfile::TempDir,
    writer: &'static Writer,
}

const LABEL: LabelId = LabelId { tenant_id: 500, ctx_id: 22, text: b"glibc_malloc" };

fn open(writer: &Writer, dir: &Path, bytes: usize) {
    let dir = CString::new(dir.as_os_str().as_bytes()).expect("no zero byte");
    let settings = LedgerSettings { dir: &dir, bytes, sampling: Sampling::DEFAULT, default_label: LABEL };
    // SAFETY: each test has its own writer and page, and opens it once at a time.
    unsafe { writer.open(&settings) }.expect("a ledger");
}

impl Target {
    fn new(bytes: usize) -> Target {
        let dir = tempfile::tempdir().expect("a directory");
        let page: &'static HeaderPage = Box::leak(Box::new(HeaderPage::zeroed()));
        let writer = Box::leak(Box::new(Writer::new(page)));
        open(writer, dir.path(), bytes);
        Target { dir, writer }
    }

    fn paths(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).expect("readable");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.paths()[0]).expect("valid")
    }

    fn callsite(&self, label: u16, frames: &[usize]) -> Result<u32, Loss> {
        let key = CallsiteKey { label, shard: 0, weight: CERTAIN, frames };
        self.writer.find(&key).map_or_else(|| self.writer.add(&key, 100), Ok)
    }
}

#[test]
fn what_was_written_is_read() {
    let target = Target::new(1 << 20);
    let first = target.callsite(0, &[10, 20, 30]).expect("room");
    let second = target.callsite(0, &[10, 20]).expect("room");
    assert_ne!(first, second);
    assert_eq!(target.callsite(0, &[10, 20, 30]), Ok(first), "the same stack is the same callsite");
    for _ in 0..3 {
        target.writer.count(first, 100);
    }
    target.writer.uncount(first, 100);
    target.writer.count(second, 7);

    let ledger = target.ledger();
    let identity = ledger.identity();
    assert_eq!(identity.pid, std::process::id());
    assert!(identity.start_ticks > 0 && identity.boot_id.len() == 32);
    assert_eq!(Path::new(&identity.program), std::env::current_exe().expect("known"));
    let callsites = ledger.callsites().expect("readable");
    assert_eq!(callsites.len(), 2);
    let record = callsites[first as usize];
    assert_eq!((record.live_count, record.live_bytes), (2, 200));
    assert_eq!((record.total_count, record.total_bytes), (3, 300));
    assert_eq!(ledger.words(record.stack_at, record.depth.into()).expect("readable"), [10, 20, 30]);
    let label = &ledger.labels().expect("readable")[record.label as usize];
    assert_eq!((label.tenant_id, label.ctx_id, label.text.as_str()), (500, 22, "glibc_malloc"));
}

#[test]
fn labels_and_shards_share_a_stack_but_no_counters() {
    let target = Target::new(1 << 20);
    let other = target.writer.label(&LabelId { tenant_id: 1001, ctx_id: 0, text: b"a_label_too_long" }).expect("room");
    assert_eq!(target.writer.label(&LABEL), Some(0));
    let frames = [1, 2, 3];
    for (label, shard) in [(0, 0), (other, 0), (0, 1)] {
        target.writer.add(&CallsiteKey { label, shard, weight: CERTAIN, frames: &frames }, 1).expect("room");
    }
    let ledger = target.ledger();
    let callsites = ledger.callsites().expect("readable");
    assert_eq!(callsites.len(), 3);
    assert!(callsites.iter().all(|callsite| callsite.stack_at == callsites[0].stack_at));
    assert_eq!(ledger.labels().expect("readable")[other as usize].text, "a_label_too_lon", "cut at 15 bytes");
}

#[test]
fn modules_keep_their_names_and_generations() {
    let target = Target::new(1 << 20);
    let module = |start, name, is_program| ModuleEntry {
        start,
        end: start + 0x1000,
        load_bias: start,
        name,
        build_id: &[0xab; 20],
        is_program,
    };
    assert!(target.writer.add_module(&module(0x1000, b"", true)));
    assert!(target.writer.add_module(&module(0x9000, b"/usr/lib/libx.so.1", false)));
    let before = target.callsite(0, &[0x9010]).expect("room");
    target.writer.next_module_generation();
    target.writer.close_modules(|start, _| start == 0x1000);
    let after = target.callsite(0, &[0x9010]).expect("room");
    assert_ne!(before, after, "the same address may be other code now");
    let modules = target.ledger().modules().expect("readable");
    assert!(modules[0].is_program && modules[0].unloaded.is_none());
    assert_eq!(modules[1].path, "/usr/lib/libx.so.1");
    assert_eq!((modules[1].build_id.as_slice(), modules[1].unloaded), ([0xab; 20].as_slice(), Some(1)));
}

#[test]
fn a_full_ledger_says_so_and_keeps_what_it_has() {
    let target = Target::new(MIN_BYTES);
    let mut added = 0;
    let full = (0..).find_map(|i| match target.callsite(0, &[i; 20]) {
        Ok(_) => {
            added += 1;
            None
        }
        Err(loss) => Some(loss),
    });
    assert_eq!(full, Some(Loss::LedgerFull));
    target.writer.lose(Loss::LedgerFull);
    let ledger = target.ledger();
    assert_eq!(ledger.callsites().expect("readable").len(), added);
    assert!(added > 500, "{added}");
    assert_eq!(ledger.losses().expect("readable")[Loss::LedgerFull as usize], (Loss::LedgerFull, 1));
    assert!(ledger.used_bytes() <= MIN_BYTES as u64 + 4096);
}

#[test]
fn only_what_is_used_takes_memory() {
    let target = Target::new(32 << 20);
    target.callsite(0, &[1]).expect("room");
    let ledger = target.ledger();
    assert_eq!(ledger.file_bytes(), 32 << 20);
    assert!(ledger.used_bytes() < 256 << 10, "{}", ledger.used_bytes());
}

#[test]
fn new_intervals_reach_the_writer_and_move_the_limit() {
    let target = Target::new(1 << 20);
    let control = &target.writer.header().control;
    let limit = || control.limit.load(std::sync::atomic::Ordering::Acquire);
    let before = limit();
    let intervals = Intervals::new(1, 1).expect("valid");
    Ledger::set_sampling(&target.paths()[0], Sampling { intervals, ..Sampling::DEFAULT }).expect("writable");
    assert!(limit() < before);
    assert_eq!(control.intervals.load(std::sync::atomic::Ordering::Acquire), intervals.to_word());
    assert_eq!(target.ledger().intervals().expect("readable"), Some(intervals));
}

#[test]
fn an_abandoned_ledger_is_left_alone_and_another_begins() {
    let target = Target::new(1 << 20);
    let callsite = target.callsite(0, &[1, 2]).expect("room");
    target.writer.count(callsite, 5);
    // SAFETY: no other thread uses this writer.
    unsafe { target.writer.abandon() };
    target.writer.uncount(callsite, 5);
    assert!(!target.writer.is_open());
    assert_eq!(target.ledger().callsites().expect("readable")[0].live_count, 1);
    open(target.writer, target.dir.path(), 1 << 20);
    target.callsite(0, &[7]).expect("room");
    assert_eq!(target.paths().len(), 2);
}

#[test]
fn threads_that_meet_at_a_new_stack_make_one_callsite() {
    let target = Target::new(4 << 20);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for stack in 0..500_usize {
                    let callsite = target.callsite(0, &[stack, 1, 2]).expect("room");
                    target.writer.count(callsite, 3);
                }
            });
        }
    });
    let callsites = target.ledger().callsites().expect("readable");
    assert_eq!(callsites.len(), 500);
    assert!(callsites.iter().all(|callsite| (callsite.live_count, callsite.live_bytes) == (8, 24)));
}

#[test]
fn what_is_no_ledger_says_why() {
    let target = Target::new(1 << 20);
    let path = &target.paths()[0];
    let whole = std::fs::read(path).expect("readable");
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        let other = target.dir.path().join("other");
        std::fs::write(&other, bytes).expect("writable");
        Ledger::open(&other).expect_err("invalid")
    };
    assert!(matches!(with(&|bytes| bytes.clear()), ReadError::NotReady));
    assert!(matches!(with(&|bytes| bytes[..4096].fill(0)), ReadError::NotReady));
    assert!(matches!(with(&|bytes| bytes[8] = 9), ReadError::Version(9)));
    assert!(matches!(with(&|bytes| bytes[0] = b'X'), ReadError::Invalid(_)));
    assert!(matches!(with(&|bytes| bytes.truncate(bytes.len() / 2)), ReadError::Invalid(_)));
    assert!(matches!(with(&|bytes| bytes.truncate(4000)), ReadError::Invalid(_)));
    assert!(matches!(Ledger::open(target.dir.path()), Err(ReadError::Invalid(_))));
    assert!(matches!(Ledger::open(&target.dir.path().join("none")), Err(ReadError::Io(_))));
}

#[test]
fn a_label_is_fifteen_bytes_of_whole_characters() {
    let target = Target::new(1 << 20);
    let cases: [(&[u8], &str); 9] = [
        (b"", ""),
        (b"exactly fifteen", "exactly fifteen"),
        (b"exactly sixteen!", "exactly sixteen"),
        (b"ends\0here", "ends"),
        ("fourteen bytes\u{fc}".as_bytes(), "fourteen bytes"),
        ("thirteen b...\u{fc}".as_bytes(), "thirteen b...\u{fc}"),
        ("twelve bytes\u{1f980}".as_bytes(), "twelve bytes"),
        (b"\xff", "\u{fffd}"),
        // No character begins there: cut as it is.
        (
            &[0x80; 17],
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        ),
    ];
    for (nth, (text, _)) in cases.iter().enumerate() {
        let id = LabelId { tenant_id: 1001 + nth as u64, ctx_id: 0, text };
        assert_eq!(target.writer.label(&id), Some(nth as u16 + 1));
        assert_eq!(target.writer.label(&id), Some(nth as u16 + 1), "the same again");
    }
    let labels = target.ledger().labels().expect("labels");
    let texts: Vec<_> = labels.iter().skip(1).map(|label| label.text.as_str()).collect();
    assert_eq!(texts, cases.map(|(_, label)| label));
}
