-- Lists the modules that hold most, as an OceanBase user begins.
SELECT tenant_id, svr_ip, svr_port, ctx_name, mod_name, hold, used, count
FROM __all_virtual_memory_info
ORDER BY hold DESC;
