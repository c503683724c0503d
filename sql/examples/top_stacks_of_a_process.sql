-- Lists the stacks of each process that hold most, with all their frames.
SELECT p.pid, p.program, c.label, c.sampled_live_count, c.sampled_live_bytes, c.back_trace
FROM heapql.callsites c JOIN heapql.processes p ON c.pid = p.pid
ORDER BY c.sampled_live_bytes DESC
LIMIT 10;
