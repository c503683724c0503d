-- Functions of live processes by what they hold, as pprof's top prints them; the largest first with ORDER BY est_bytes DESC; without the server's own heap.
-- column est_bytes bigint: estimate of the live bytes that the function allocated itself (pprof's flat)
-- column est_percent double: est_bytes of all live bytes, in percent
-- column sum_percent double: est_percent of this function and of all that hold more
-- column est_cum_bytes bigint: estimate of the live bytes allocated while it ran, by itself and by what it called (pprof's cum)
-- column est_cum_percent double: est_cum_bytes of all live bytes, in percent
-- column function varchar(4096): name of the function, or module+offset
-- column module varchar(4096): file that its code lies in
-- column process_count bigint: how many processes have it on a stack
-- column server_count bigint: on how many servers these are
SELECT est_bytes,
       round(100.0 * est_bytes / all_bytes, 2) AS est_percent,
       round(100.0 * sum(est_bytes) OVER (ORDER BY est_bytes DESC, function, module) / all_bytes, 2) AS sum_percent,
       est_cum_bytes,
       round(100.0 * est_cum_bytes / all_bytes, 2) AS est_cum_percent,
       function, module, process_count, server_count
FROM (
  SELECT function, module, process_count, server_count, est_bytes, est_cum_bytes, greatest(sum(est_bytes) OVER (), 1) AS all_bytes
  FROM heapql.live_by_function
  WHERE state = 'alive'
) sized
