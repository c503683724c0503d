-- What is live by function: allocated by the function itself, and with everything that it called; without the server's own heap.
-- A function without a name is one only in one build of its file, and code in no file only in one process.
-- column function varchar(4096): name of the function, or module+offset
-- column module varchar(4096): file that its code lies in
-- column state varchar(16): alive or dead: the processes that hold it
-- column kind varchar(16): whose code it is: allocator, runtime, library or application
-- column process_count bigint: how many processes have it on a stack
-- column server_count bigint: on how many servers these are
-- column est_bytes bigint: estimate of the live bytes that it allocated itself (through allocators)
-- column est_count bigint: estimate of how many objects these are
-- column est_cum_bytes bigint: estimate of the live bytes allocated while it ran, by itself and by what it called
-- column est_cum_count bigint: estimate of how many objects these are
SELECT function, module, state, min(kind) AS kind,
       count(DISTINCT concat(svr_ip, ' ', svr_port, ' ', pid)) AS process_count,
       count(DISTINCT concat(svr_ip, ' ', svr_port)) AS server_count,
       sum(CASE WHEN is_self THEN est_bytes ELSE 0 END) AS est_bytes,
       sum(CASE WHEN is_self THEN est_count ELSE 0 END) AS est_count,
       sum(CASE WHEN is_repeat THEN 0 ELSE est_bytes END) AS est_cum_bytes,
       sum(CASE WHEN is_repeat THEN 0 ELSE est_count END) AS est_cum_count
FROM heapql.frames
WHERE NOT is_server
GROUP BY function, module, state,
         CASE WHEN module = '' THEN concat(svr_ip, ' ', svr_port, ' ', pid)
              WHEN function LIKE '%+0x%' THEN coalesce(nullif(build_id, ''), concat(svr_ip, ' ', svr_port))
         END
