-- Lists functions as pprof's top prints them.
SELECT * FROM top ORDER BY flat_bytes DESC, cum_bytes DESC LIMIT 10;
