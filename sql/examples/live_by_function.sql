-- Lists the functions that hold most, with what they called: start here on a program that you do not know.
SELECT function, est_bytes, est_cum_bytes, est_cum_count, module
FROM live_by_function
WHERE kind = 'application' AND state = 'alive'
ORDER BY est_cum_bytes DESC
LIMIT 10;
