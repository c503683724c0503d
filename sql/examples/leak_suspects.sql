-- What leaks, the worst first, and why it is believed to.
SELECT rank, verdict, app_frame, why, est_live_bytes, est_growth_per_minute, est_growth_error, oldest_age_seconds, pid
FROM leak_suspects
LIMIT 10;
