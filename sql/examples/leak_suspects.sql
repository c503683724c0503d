-- What leaks, the worst first, and why it is believed to; in how many processes, on how many servers.
SELECT rank, verdict, app_frame, why, est_live_bytes, est_growth_per_minute, est_growth_error, oldest_age_seconds,
       process_count, server_count, svr_ip, svr_port, pid
FROM leak_suspects
LIMIT 10;
