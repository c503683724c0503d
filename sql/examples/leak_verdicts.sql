-- Shows the verdicts on the callsites that hold most, suspects or not.
SELECT verdict, app_frame, why, est_bytes, pid, callsite_id
FROM leak_verdicts
ORDER BY est_bytes DESC
LIMIT 10;
