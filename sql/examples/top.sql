-- Lists functions as pprof's top prints them.
SELECT * FROM top ORDER BY est_bytes DESC, est_cum_bytes DESC LIMIT 10;
