-- Shows what the kernel counts beside what is live: the difference is fragmentation, stacks, code and other mappings.
SELECT pid, rss_bytes, pss_bytes, est_bytes, est_bytes_error, ledger_bytes, why
FROM process_memory
ORDER BY rss_bytes DESC;
