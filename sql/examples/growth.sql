-- Names a moment, then shows what grew since, how the heap has gone, and one callsite's past.
SELECT mark('start');
SELECT pid, label, app_frame, est_bytes_growth, est_bytes_growth_error, est_count_growth, est_growth_per_minute
FROM growth('start')
ORDER BY est_bytes_growth DESC
LIMIT 10;
SELECT snapshot_at, mark, process_count, callsite_count, est_bytes FROM snapshots ORDER BY snapshot_at;
SELECT snapshot_at, pid, callsite_id, est_bytes, est_bytes_error
FROM history
ORDER BY pid, callsite_id, snapshot_at
LIMIT 100;
