-- What is live in each process.
-- column svr_ip varchar(46): address of the server that holds the row
-- column svr_port bigint: cluster port of the server; its MySQL port if it has none
-- column pid bigint: process id
-- column state varchar(16): alive or dead
-- column command varchar(4096): command line
-- column callsite_count bigint: how many stacks hold something
-- column est_count bigint: estimate of all live objects, sampled or not
-- column est_count_error bigint: an upper bound of the standard error of est_count
-- column est_bytes bigint: estimate of their requested bytes
-- column est_bytes_error bigint: an upper bound of the standard error of est_bytes
-- column process_started_at datetime: when recording of the process began, UTC
SELECT p.svr_ip, p.svr_port, p.pid, p.state, p.command,
       count(c.callsite_id) AS callsite_count,
       coalesce(sum(c.est_count), 0) AS est_count,
       coalesce(sqrt(sum(power(c.est_count_error, 2))), 0) AS est_count_error,
       coalesce(sum(c.est_bytes), 0) AS est_bytes,
       coalesce(sqrt(sum(power(c.est_bytes_error, 2))), 0) AS est_bytes_error,
       p.process_started_at
FROM heapql.processes p
LEFT JOIN heapql.callsites c
  ON c.svr_ip = p.svr_ip AND c.svr_port = p.svr_port AND c.pid = p.pid AND c.process_started_at = p.process_started_at
WHERE p.state <> 'unreadable'
GROUP BY p.svr_ip, p.svr_port, p.pid, p.state, p.command, p.process_started_at
