-- What is live at each stack of each process, and the user's own function that it belongs to.
-- column svr_ip varchar(46): address of the server that holds the row
-- column svr_port bigint: cluster port of the server; its MySQL port if it has none
-- column pid bigint: process that allocated
-- column state varchar(16): alive or dead
-- column callsite_id bigint: number of the callsite inside its process's ledger
-- column label varchar(16): module label
-- column app_frame varchar(4096): the innermost frame of the user's own code, with file and line
-- column est_count bigint: estimate of all live objects, sampled or not
-- column est_count_error bigint: standard error of est_count
-- column est_bytes bigint: estimate of their requested bytes
-- column est_bytes_error bigint: standard error of est_bytes
-- column sampled_live_count bigint: live sampled objects
-- column first_seen_at datetime: when the first object was sampled here, UTC
-- column stack varchar(65535): every frame, innermost first, one a line
SELECT svr_ip, svr_port, pid, state, callsite_id, label, app_frame,
       est_count, est_count_error, est_bytes, est_bytes_error, sampled_live_count, first_seen_at, stack
FROM heapql.callsites
