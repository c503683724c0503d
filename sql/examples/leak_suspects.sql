-- Lists leaks, the worst first, with the reason, and with the number of processes and servers that have them.
SELECT rank, verdict, app_frame, why, est_bytes, est_growth_per_minute, est_growth_error, oldest_age_seconds,
       process_count, server_count, svr_ip, svr_port, pid
FROM leak_suspects
LIMIT 10;
