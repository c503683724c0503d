-- Functions of live processes by what they hold, as pprof's top prints them; the largest first with ORDER BY flat_bytes DESC; without the server's own heap.
-- column flat_bytes bigint: estimate of the live bytes that the function allocated itself
-- column flat_percent double: flat_bytes of all live bytes, in percent
-- column sum_percent double: flat_percent of this function and of all that hold more
-- column cum_bytes bigint: estimate of the live bytes allocated while it ran
-- column cum_percent double: cum_bytes of all live bytes, in percent
-- column function varchar(4096): name of the function, or module+offset
-- column module varchar(4096): file that its code lies in
-- column process_count bigint: how many processes have it on a stack
-- column server_count bigint: on how many servers these are
SELECT self_bytes AS flat_bytes,
       round(100.0 * self_bytes / all_bytes, 2) AS flat_percent,
       round(100.0 * sum(self_bytes) OVER (ORDER BY self_bytes DESC, function, module) / all_bytes, 2) AS sum_percent,
       total_bytes AS cum_bytes,
       round(100.0 * total_bytes / all_bytes, 2) AS cum_percent,
       function, module, process_count, server_count
FROM (
  SELECT function, module, process_count, server_count, self_bytes, total_bytes, greatest(sum(self_bytes) OVER (), 1) AS all_bytes
  FROM heapql.live_by_function
  WHERE state = 'alive'
) sized
