-- OceanBase's example lists the ten stacks that hold most, of hooked C allocations: the first look at a suspected leak.
SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' ORDER BY alloc_bytes DESC limit 10;
