-- What each module label of each tenant holds, with OceanBase's names; HOLD and USED are the same estimate of live bytes.
-- column tenant_id bigint: tenant of the samples
-- column svr_ip varchar(46): address of the server
-- column svr_port bigint: its cluster port; its MySQL port if it has none
-- column ctx_name varchar(128): memory context
-- column mod_name varchar(128): module label
-- column count bigint: estimate of the live objects
-- column hold bigint: estimate of the live bytes
-- column used bigint: estimate of the live bytes
SELECT tenant_id, svr_ip, svr_port, ctx_name, mod_name, count, hold, used
FROM oceanbase.__all_virtual_memory_info
