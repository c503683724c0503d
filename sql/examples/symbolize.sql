-- Shows the first row of OceanBase's example with names instead of addresses.
SELECT alloc_count, alloc_bytes, symbolize(back_trace) AS stack
FROM __all_virtual_malloc_sample_info
ORDER BY alloc_bytes DESC
LIMIT 1;
