-- Lists the functions that hold most, with what they called: start here on a program that you do not know.
SELECT function, self_bytes, total_bytes, total_count, module
FROM live_by_function
WHERE kind = 'application' AND state = 'alive'
ORDER BY total_bytes DESC
LIMIT 10;
