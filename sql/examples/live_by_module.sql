-- Shows how much each library, and the program itself, holds.
SELECT module, est_bytes, est_count, callsite_count
FROM live_by_module
WHERE state = 'alive'
ORDER BY est_bytes DESC;
