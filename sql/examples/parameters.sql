-- Lists the sampling parameters, hidden ones included.
SELECT svr_ip, svr_port, name, value, default_value, info
FROM gv$ob_parameters
WHERE name LIKE '%malloc_sample_interval'
ORDER BY name;
