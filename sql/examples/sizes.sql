-- Shows how large the objects of each stack are on average: many small ones, or a few large ones.
SELECT mod_name, alloc_count, alloc_bytes, alloc_bytes / alloc_count AS average_bytes, back_trace
FROM __all_virtual_malloc_sample_info
ORDER BY alloc_count DESC
LIMIT 10;
