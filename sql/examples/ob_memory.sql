-- Lists the modules that hold most under the names of OceanBase's documented view.
SELECT tenant_id, ctx_name, mod_name, count, hold, used FROM gv$ob_memory ORDER BY hold DESC;
