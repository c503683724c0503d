//! The history on disk: one Parquet file for each snapshot, with the callsites that changed since the one before.
//!
//! A file is written whole and renamed, so that a server that is killed loses no more than the snapshot it was writing.
//! Any reader of Parquet understands the files; `load` reads them back. Only `history` calls it.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type};
use heapql_registry::durable_file::{self, TEMPORARY_EXTENSION};
use heapql_registry::{CallsiteChange, FileChanges, Point, ProcessKey, Snapshot, Usage};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

const EXTENSION: &str = "parquet";
/// Keys of a file's metadata.
const NUMBER: &str = "heapql.snapshot";
const AT: &str = "heapql.at_nanoseconds";
const MARK: &str = "heapql.mark";

pub(super) struct Files {
    folder: PathBuf,
    failed: AtomicU64,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Files {
        Files { folder, failed: AtomicU64::new(0) }
    }

    fn path(&self, number: u32) -> PathBuf {
        // Ten digits, so that names sort as numbers do.
        self.folder.join(format!("{number:010}.{EXTENSION}"))
    }

    /// Writes before it removes: what has moved from one snapshot to another is on disk twice rather than never.
    pub(super) fn apply(&self, pending: FileChanges) {
        for (snapshot, changes) in pending.write {
            if let Err(error) = self.write(&snapshot, &changes) {
                self.fail(&self.path(snapshot.number), &error);
            }
        }
        for number in pending.remove {
            // One that was never written is as good as removed.
            let _ = fs::remove_file(self.path(number));
        }
    }

    fn fail(&self, path: &Path, error: &ParquetError) {
        self.failed.fetch_add(1, Relaxed);
        tracing::warn!(path = %path.display(), %error, "a file of the history cannot be used");
    }

    fn write(&self, snapshot: &Snapshot, changes: &[CallsiteChange]) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(metadata(snapshot)))
            .build();
        let batch = batch(changes)?;
        let encode = |file: &mut fs::File| -> Result<()> {
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
            writer.write(&batch)?;
            writer.close()?;
            Ok(())
        };
        durable_file::replace(&self.path(snapshot.number), 0o600, |file| encode(file).map_err(io::Error::other))?;
        Ok(())
    }

    /// Everything that can be read, the oldest first.
    pub(super) fn load(&self) -> Vec<(Snapshot, Vec<CallsiteChange>)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let (mut paths, others): (Vec<_>, Vec<_>) =
            entries.partition(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        // A server that was killed may have left incomplete files.
        for left in others.iter().filter(|path| path.extension().is_some_and(|end| end == TEMPORARY_EXTENSION)) {
            let _ = fs::remove_file(left);
        }
        paths.sort();
        let read = |path: &PathBuf| read(path).inspect_err(|error| self.fail(path, error)).ok();
        let mut loaded: Vec<_> = paths.iter().filter_map(read).collect();
        loaded.sort_by_key(|(snapshot, _)| snapshot.number);
        loaded.dedup_by_key(|(snapshot, _)| snapshot.number);
        loaded
    }

    pub(super) fn usage(&self) -> Vec<Usage> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let bytes: u64 = entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
        let row = |name, value: u64, unit, description| Usage { name, value: value as i64, unit, description };
        vec![
            row("history_disk_bytes", bytes, "bytes", "snapshots under --data-dir; as many as in memory"),
            row(
                "history_failed_files",
                self.failed.load(Relaxed),
                "count",
                "snapshots that could not be written or read",
            ),
        ]
    }
}

fn metadata(snapshot: &Snapshot) -> Vec<KeyValue> {
    let at = snapshot.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut pairs = vec![
        KeyValue::new(NUMBER.to_owned(), snapshot.number.to_string()),
        KeyValue::new(AT.to_owned(), at.to_string()),
    ];
    pairs.extend(snapshot.mark.as_deref().map(|mark| KeyValue::new(MARK.to_owned(), mark.to_owned())));
    pairs
}

fn batch(changes: &[CallsiteChange]) -> Result<RecordBatch> {
    let int32 = |get: fn(&CallsiteChange) -> i32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(changes.iter().map(get)))
    };
    let int64 = |get: fn(&CallsiteChange) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(changes.iter().map(get)))
    };
    let float = |get: fn(&Point) -> f32| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(changes.iter().map(|change| get(&change.point))))
    };
    let double = |get: fn(&Point) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(changes.iter().map(|change| get(&change.point))))
    };
    Ok(RecordBatch::try_from_iter([
        ("pid", int32(|change| change.process.pid)),
        ("process_created_at_nanoseconds", int64(|change| change.process.created_at.cast_signed())),
        ("callsite_id", int64(|change| change.callsite_id.cast_signed())),
        ("sampled_live_count", int64(|change| change.point.live_count.into())),
        ("sampled_total_count", int64(|change| change.point.total_count.into())),
        ("est_count", float(|point| point.est_count)),
        ("est_bytes", double(|point| point.est_bytes)),
        ("est_count_variance", float(|point| point.count_variance)),
        ("est_bytes_variance", float(|point| point.bytes_variance)),
        ("est_total_count", double(|point| point.est_total_count)),
    ])?)
}

fn read(path: &Path) -> Result<(Snapshot, Vec<CallsiteChange>)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path)?)?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
    let snapshot = || {
        let nanos = value(AT)?.parse().ok()?;
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))?;
        Some(Snapshot { number: value(NUMBER)?.parse().ok()?, at, mark: value(MARK).map(Arc::from) })
    };
    let foreign = || ParquetError::General("it is no snapshot".to_owned());
    let snapshot = snapshot().ok_or_else(foreign)?;
    let mut changes = Vec::new();
    for batch in builder.build()? {
        changes.extend(rows(&batch?, snapshot.number).ok_or_else(foreign)?);
    }
    Ok((snapshot, changes))
}

/// None for a batch with other columns.
fn rows(batch: &RecordBatch, number: u32) -> Option<Vec<CallsiteChange>> {
    let int64 = |name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let float = |name| batch.column_by_name(name)?.as_primitive_opt::<Float32Type>();
    let double = |name| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
    let pid = batch.column_by_name("pid")?.as_primitive_opt::<Int32Type>()?;
    let (created_at, id) = (int64("process_created_at_nanoseconds")?, int64("callsite_id")?);
    let (live, total) = (int64("sampled_live_count")?, int64("sampled_total_count")?);
    let (est_count, est_bytes) = (float("est_count")?, double("est_bytes")?);
    let (count_variance, bytes_variance) = (float("est_count_variance")?, float("est_bytes_variance")?);
    let est_total_count = double("est_total_count")?;
    let count = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    let row = |row| CallsiteChange {
        process: ProcessKey { pid: pid.value(row), created_at: created_at.value(row).cast_unsigned() },
        callsite_id: id.value(row).cast_unsigned(),
        point: Point {
            snapshot: number,
            live_count: count(live.value(row)),
            total_count: count(total.value(row)),
            est_count: est_count.value(row),
            est_bytes: est_bytes.value(row),
            count_variance: count_variance.value(row),
            bytes_variance: bytes_variance.value(row),
            est_total_count: est_total_count.value(row),
        },
    };
    Some((0..batch.num_rows()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(number: u32, mark: Option<&str>) -> (Snapshot, Vec<CallsiteChange>) {
        let at = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789 + u64::from(number));
        let point = Point {
            snapshot: number,
            live_count: 3,
            total_count: 7,
            est_count: 408.5,
            est_bytes: 1e12 + 1.0,
            count_variance: 2.5,
            bytes_variance: 1e20,
            est_total_count: 952.25,
        };
        let process = ProcessKey { pid: 42, created_at: u64::MAX - 5 };
        (Snapshot { number, at, mark: mark.map(Arc::from) }, vec![CallsiteChange { process, callsite_id: 9, point }; 3])
    }

    #[test]
    fn what_was_written_is_read_again_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::new(folder.path().join("history"));
        assert!(files.load().is_empty(), "of a folder that is not there");
        let all = vec![snapshot(2, None), snapshot(10, Some("before 'it'")), snapshot(300, None)];
        files.apply(FileChanges { write: all.iter().rev().cloned().collect(), remove: Vec::new() });
        assert_eq!(files.load(), all);
        files.apply(FileChanges { write: Vec::new(), remove: vec![10, 77] });
        assert_eq!(files.load().len(), 2);
    }

    #[test]
    fn a_damaged_file_costs_its_own_rows_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::new(folder.path().to_owned());
        let all = vec![snapshot(1, None), snapshot(2, None), snapshot(3, None)];
        files.apply(FileChanges { write: all.clone(), remove: Vec::new() });
        let bytes = fs::read(files.path(2)).expect("a file");
        for damaged in [&bytes[..bytes.len() / 2], b"PAR1", b""] {
            fs::write(files.path(2), damaged).expect("written");
            assert_eq!(files.load(), [all[0].clone(), all[2].clone()]);
        }
        assert_eq!(files.failed.load(Relaxed), 3);
    }
}
