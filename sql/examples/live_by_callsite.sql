-- Lists the stacks that hold most, each under the name of the user's own function.
SELECT app_frame, est_bytes, est_bytes_error, est_count, pid, callsite_id
FROM live_by_callsite
ORDER BY est_bytes DESC
LIMIT 10;
