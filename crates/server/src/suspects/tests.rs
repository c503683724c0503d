//! Records of suspects that are kept, bounded and read again.

use super::*;

/// No process has these numbers: they are beyond the kernel's limit.
const PIDS: i32 = 5_000_000;

fn record(pid: i32, callsite_id: u64) -> SuspectRecord {
    SuspectRecord {
        pid: PIDS + pid,
        process_created_at_ns: 1_700_000_000_000_000_000 + pid.cast_unsigned() as u64,
        command: "server --all".into(),
        program: "/usr/bin/server".into(),
        build_id: "abcd".into(),
        leak_id: callsite_id,
        leak_level: "callsite".into(),
        callsite_id,
        tenant_id: 500,
        label: "glibc_malloc".into(),
        app_frame: "leak at a.c:3".into(),
        folded_stack: "main;leak".into(),
        suspected_at_us: 1_700_000_100_000_000,
        confirmed_at_us: 1_700_000_200_000_000,
        cleared_at_us: None,
        cleared_why: None,
        has_ended: false,
        why: "1.0 +-0.1 MiB more per minute".into(),
        est_bytes: 1e6 + 0.25,
        est_bytes_error: 1e5,
        growth: (1048576.0, 1e5),
        growth_count: (100.0, 10.0),
    }
}

fn kept(folder: &std::path::Path) -> Suspects {
    Suspects::open(Some(folder.join("suspects")))
}

#[test]
fn records_outlive_the_server_and_their_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let suspects = kept(folder.path());
    assert!(suspects.records().is_empty());
    suspects.state.lock().add(vec![record(7, 1), record(7, 2), record(9, 1)]);
    suspects.write(SystemTime::now());
    let again = kept(folder.path());
    assert_eq!(again.records(), suspects.records());
    // Until a look finds no such process they are suspected as before.
    assert!(again.standing(record(9, 1).process(), 1).is_some());
    again.look(&History::default(), &[], || unreachable!("no new suspect"), SystemTime::now());
    assert!(again.standing(record(9, 1).process(), 1).is_none());
    let third = kept(folder.path());
    assert!(third.records().iter().all(|record| record.has_ended) && third.records().len() == 3);
}

#[test]
fn a_damaged_or_foreign_file_costs_its_own_rows_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let suspects = kept(folder.path());
    suspects.state.lock().add(vec![record(7, 1), record(9, 1)]);
    suspects.write(SystemTime::now());
    let path = |record: &SuspectRecord| {
        folder.path().join(format!("suspects/{}-{}.json", record.pid, record.process_created_at_ns))
    };
    std::fs::write(path(&record(7, 1)), b"[{").expect("written");
    std::fs::copy(path(&record(9, 1)), folder.path().join("suspects/1-1.json")).expect("copied");
    let again = kept(folder.path());
    assert_eq!(again.records(), [record(9, 1)]);
    assert_eq!(again.files.as_ref().map(Files::failed), Some(2));
}

#[test]
fn a_fifo_does_not_hold_up_the_start_and_what_killed_writers_left_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("suspects");
    std::fs::create_dir(&place).expect("created");
    let made = std::process::Command::new("mkfifo").arg(place.join("1-1.json")).status().expect("mkfifo runs");
    assert!(made.success());
    let (old, fresh) = (place.join(".7-1.json.1-0.new"), place.join(".7-1.json.1-1.new"));
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::create(&old).and_then(|file| file.set_modified(long_ago)).expect("written");
    std::fs::write(&fresh, "").expect("written");
    let suspects = kept(folder.path());
    assert!(suspects.records().is_empty() && !old.exists() && fresh.exists());
    assert_eq!(suspects.files.as_ref().map(Files::failed), Some(1));
}

#[test]
fn growth_that_a_statement_sees_before_the_server_is_watched_first() {
    let suspects = Suspects::open(None);
    let growing = record(7, 1).suspicion().seen().expect("it was seen").judgement.clone();
    let said = || suspects.revise(record(7, 1).process(), 1, growing.clone());
    // The history that a server is started with stands for itself.
    assert!(said().is_suspect);
    suspects.look(&History::default(), &[], || unreachable!("no new suspect"), SystemTime::now());
    assert!(!said().is_suspect && said().why.starts_with("seen once"));
}

#[test]
fn the_oldest_go_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let suspects = kept(folder.path());
    let pids = 1..=MAX_PROCESSES as i32 + 3;
    suspects.state.lock().add(pids.map(|pid| record(pid, 1)).collect());
    suspects.state.lock().add((0..100).map(|callsite| record(200, callsite)).collect());
    suspects.write(SystemTime::now());
    let records = suspects.records();
    assert_eq!(records.len(), MAX_PROCESSES - 1 + MAX_RECORDS);
    assert!(records.iter().all(|record| record.pid > PIDS + 3));
    assert_eq!(kept(folder.path()).records().len(), records.len());
    assert_eq!(suspects.state.lock().dropped, 3 + 37);
}
