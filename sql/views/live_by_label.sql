-- What is live by module label, of every tenant and context; without the server's own heap.
-- column tenant_id bigint: tenant of the samples
-- column ctx_name varchar(256): memory context
-- column label varchar(16): module label
-- column state varchar(16): alive or dead: the processes that hold it
-- column process_count bigint: how many processes hold some
-- column server_count bigint: on how many servers these are
-- column callsite_count bigint: how many stacks hold some
-- column est_count bigint: estimate of all live objects, sampled or not
-- column est_bytes bigint: estimate of their requested bytes
-- column est_bytes_error bigint: an upper bound of the standard error of est_bytes
-- column sampled_live_count bigint: live sampled objects
SELECT tenant_id, ctx_name, label, state,
       count(DISTINCT concat(svr_ip, ' ', svr_port, ' ', pid)) AS process_count,
       count(DISTINCT concat(svr_ip, ' ', svr_port)) AS server_count,
       count(*) AS callsite_count,
       sum(est_count) AS est_count,
       sum(est_bytes) AS est_bytes,
       sqrt(sum(power(est_bytes_error, 2))) AS est_bytes_error,
       sum(sampled_live_count) AS sampled_live_count
FROM heapql.callsites
WHERE NOT is_server
GROUP BY tenant_id, ctx_name, label, state
