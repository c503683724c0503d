-- Leaks, the worst first, with the reason: one row for a leak, over all its callsites, processes and servers.
-- members svr_ip, svr_port, pid, callsite_id, label: a condition on these says whose callsites are looked at
-- column svr_ip varchar(46): address of the server where it grows most
-- column svr_port bigint: cluster port of that server; its MySQL port if it has none
-- column rank bigint: 1 is the first suspect: that which grows most, for certain; those of living processes come first
-- column verdict varchar(16): growing
-- column app_frame varchar(4096): the innermost frame of the user's own code, with file and line
-- column why varchar(4096): the reason for the verdict, with the numbers of the process where it grows most
-- column est_bytes bigint: estimate of the live requested bytes
-- column est_bytes_error bigint: standard error of est_bytes
-- column est_growth_per_minute double: estimate of how many bytes a minute it grows by
-- column est_growth_error double: standard error of est_growth_per_minute
-- column est_count_growth_per_minute double: the same in objects
-- column first_seen_at datetime: when the first object was sampled here, UTC
-- column oldest_age_seconds bigint?: some live sample is at least this old
-- column label varchar(16): module label
-- column pid bigint: process where it grows most
-- column state varchar(16): alive or dead: the processes that have it
-- column command varchar(4096): command line of that process
-- column callsite_id bigint: number of the callsite inside that process's ledger; callsites and frames have its stack
-- column process_count bigint: how many processes have it
-- column server_count bigint: on how many servers these are
-- column suspected_at datetime?: since when it is suspected, UTC
-- column confirmed_at datetime?: when its growth was last seen, UTC
-- column stack_id varchar(32): which stack it is, wherever it was loaded; leak_verdicts has the callsites with it
-- column leak_id varchar(32): which leak it is; leak_verdicts has its callsites
-- column leak_level varchar(16): callsite, or what its callsites share: stack (innermost frames), caller (outermost frames), label, process
-- column callsite_count bigint: how many callsites of these processes it has
WITH members AS (
  SELECT *,
         row_number() OVER (
           PARTITION BY leak_id, tenant_id, ctx_id, label, state
           ORDER BY greatest(est_growth_per_minute - est_growth_error, est_growth_per_minute / 10) DESC,
                    est_bytes DESC, svr_ip, svr_port, pid, callsite_id
         ) AS nth
  FROM heapql.leak_verdicts
  WHERE is_suspect
),
leaks AS (
  SELECT max(CASE WHEN nth = 1 THEN svr_ip END) AS svr_ip,
         max(CASE WHEN nth = 1 THEN svr_port END) AS svr_port,
         max(CASE WHEN nth = 1 THEN verdict END) AS verdict,
         max(CASE WHEN nth = 1 THEN app_frame END) AS app_frame,
         max(CASE WHEN nth = 1 THEN why END) AS why,
         sum(est_bytes) AS est_bytes,
         round(sqrt(sum(power(CAST(est_bytes_error AS double), 2)))) AS est_bytes_error,
         round(sum(est_growth_per_minute), 1) AS est_growth_per_minute,
         round(sqrt(sum(power(est_growth_error, 2))), 1) AS est_growth_error,
         round(sum(est_count_growth_per_minute), 1) AS est_count_growth_per_minute,
         min(first_seen_at) AS first_seen_at,
         max(oldest_age_seconds) AS oldest_age_seconds,
         label,
         max(CASE WHEN nth = 1 THEN pid END) AS pid,
         state,
         max(CASE WHEN nth = 1 THEN command END) AS command,
         max(CASE WHEN nth = 1 THEN callsite_id END) AS callsite_id,
         count(DISTINCT concat(svr_ip, ' ', svr_port, ' ', pid, ' ', process_started_at)) AS process_count,
         count(DISTINCT concat(svr_ip, ' ', svr_port)) AS server_count,
         min(suspected_at) AS suspected_at,
         max(confirmed_at) AS confirmed_at,
         max(CASE WHEN nth = 1 THEN stack_id END) AS stack_id,
         leak_id,
         max(CASE WHEN nth = 1 THEN leak_level END) AS leak_level,
         count(*) AS callsite_count
  FROM members
  GROUP BY leak_id, tenant_id, ctx_id, label, state
)
SELECT *,
       row_number() OVER (
         ORDER BY state = 'alive' DESC,
                  greatest(est_growth_per_minute - est_growth_error, est_growth_per_minute / 10) DESC,
                  est_bytes DESC, leak_id
       ) AS rank
FROM leaks
ORDER BY rank
