-- What is live by the file whose code allocated it: the program, or a shared library; without the server's own heap.
-- column module varchar(4096): file of the innermost frame that is not an allocator's
-- column state varchar(16): alive or dead: the processes that hold it
-- column process_count bigint: how many processes hold some
-- column server_count bigint: on how many servers these are
-- column callsite_count bigint: how many stacks hold some
-- column est_count bigint: estimate of all live objects, sampled or not
-- column est_bytes bigint: estimate of their requested bytes
SELECT module, state,
       count(DISTINCT concat(svr_ip, ' ', svr_port, ' ', pid)) AS process_count,
       count(DISTINCT concat(svr_ip, ' ', svr_port)) AS server_count,
       count(*) AS callsite_count,
       sum(est_count) AS est_count,
       sum(est_bytes) AS est_bytes
FROM heapql.frames
WHERE is_self AND NOT is_server
GROUP BY module, state
