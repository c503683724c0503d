-- Lists every recorded process, alive, dead or unreadable, and what its ledger holds.
SELECT pid, state, program, min_interval, max_interval, sampled_live_count, sampled_live_bytes, loss_count, why
FROM heapql.processes
ORDER BY sampled_live_bytes DESC;
