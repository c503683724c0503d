-- Shows what the profiler itself costs, and what it lost.
SELECT name, pid, value, unit, description FROM heapql.self_usage WHERE value > 0 ORDER BY name;
