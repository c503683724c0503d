-- Lists stacks of which no sample was ever freed: the first place to look for a leak.
SELECT pid, label, sampled_live_count, sampled_live_bytes, back_trace
FROM heapql.callsites
WHERE sampled_live_count = sampled_total_count AND sampled_live_count > 1
ORDER BY sampled_live_bytes DESC
LIMIT 10;
