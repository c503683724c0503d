-- What each module label holds, as OceanBase users look it up first; hold and used are the same estimate of live bytes.
-- column tenant_id bigint: tenant of the samples
-- column svr_ip varchar(46): address of the server
-- column svr_port bigint: its cluster port; its MySQL port if it has none
-- column ctx_id bigint: memory context
-- column label varchar(256): module label
-- column ctx_name varchar(256): name of ctx_id
-- column mod_type varchar(256): user
-- column mod_id bigint: 0
-- column mod_name varchar(256): module label
-- column zone varchar(256): zone of the server
-- column hold bigint: estimate of the live bytes
-- column used bigint: estimate of the live bytes
-- column count bigint: estimate of the live objects
-- column alloc_count bigint: estimate of all objects ever allocated at stacks that hold some
-- column free_count bigint: estimate of those that were freed
SELECT tenant_id, svr_ip, svr_port, ctx_id, label, ctx_name,
       'user' AS mod_type, 0 AS mod_id, label AS mod_name, 'zone1' AS zone,
       sum(est_bytes) AS hold,
       sum(est_bytes) AS used,
       sum(est_count) AS count,
       sum(est_total_count) AS alloc_count,
       greatest(sum(est_total_count) - sum(est_count), 0) AS free_count
FROM heapql.callsites
WHERE state = 'alive'
GROUP BY tenant_id, svr_ip, svr_port, ctx_id, label, ctx_name
