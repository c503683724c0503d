-- Shows which process holds most.
SELECT pid, state, est_bytes, est_bytes_error, est_count, command
FROM live_by_process
ORDER BY est_bytes DESC
LIMIT 10;
