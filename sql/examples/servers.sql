-- Lists the servers of the cluster, and why one of them does not answer.
SELECT svr_ip, svr_port, status, last_seen_at, version, process_count, why
FROM servers
ORDER BY svr_ip, svr_port;
