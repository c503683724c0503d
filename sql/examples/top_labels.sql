-- Shows which label of which tenant holds most.
SELECT tenant_id, ctx_name, mod_name, sum(alloc_count) AS sampled_count, sum(alloc_bytes) AS sampled_bytes
FROM __all_virtual_malloc_sample_info
GROUP BY tenant_id, ctx_name, mod_name
ORDER BY sampled_bytes DESC;
