-- Shows which part of a program holds most, for programs that set label scopes.
SELECT label, ctx_name, est_bytes, est_bytes_error, est_count, process_count
FROM live_by_label
ORDER BY est_bytes DESC;
