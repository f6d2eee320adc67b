-- The metrics of the fleet. A statement reads only files and events in the ranges of ids that it gets.

-- name: ledger_ends
SELECT (SELECT coalesce(max(id), 0) FROM file_events) AS newest_event,
       (SELECT coalesce(max(id), 0) FROM files) AS newest_file,
       (SELECT max(version_num) FROM alembic_version) AS schema,
       CAST(extract(epoch FROM clock_timestamp()) AS float8) AS now;

-- name: events_in
-- The events in ranges of ids, in groups, and the ids in these ranges that have no visible event. This is
-- one statement, so that everything is read in one snapshot. The file of each event is looked up
-- separately, because for a join the planner might read all files. late: seconds from the discovery of a
-- file to its first load; NULL for backfilled files.
WITH ranges AS (
    SELECT n, low, least(high, (SELECT coalesce(max(id), 0) FROM file_events)) AS high
      FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) WITH ORDINALITY AS r(low, high, n)),
found AS MATERIALIZED (
    SELECT r.n, e.id, e.file_id, e.what, e.stage, e.seconds, e.rows, f.source,
           CASE WHEN e.what = ANY(:failures) THEN coalesce(substring(e.why FROM '^[A-Z][0-9]{3}'), '')
                ELSE '' END AS code,
           CASE WHEN e.what = 'loaded' AND NOT EXISTS (
                     SELECT FROM file_events p
                      WHERE p.file_id = e.file_id AND p.id < e.id
                        AND (p.what IN ('loaded', 'replayed')
                             OR p.what = 'registered' AND p.who LIKE 'backfill@%'))
                THEN greatest(0, CAST(extract(epoch FROM e.at - f.discovered_at) AS float8)) END AS late
      FROM ranges r
      CROSS JOIN LATERAL (SELECT * FROM file_events WHERE id BETWEEN r.low AND r.high OFFSET 0) e
      CROSS JOIN LATERAL (SELECT source, discovered_at FROM files WHERE id = e.file_id LIMIT 1) f),
edges AS (
    SELECT n, low - 1 AS id FROM ranges WHERE low <= high
     UNION ALL SELECT n, id FROM found
     UNION ALL SELECT n, high + 1 FROM ranges WHERE low <= high),
missing AS (
    SELECT low, high
      FROM (SELECT id + 1 AS low, lead(id) OVER (PARTITION BY n ORDER BY id) - 1 AS high FROM edges) m
     WHERE low <= high),
alike AS (
    SELECT source, what, CASE WHEN seconds IS NULL THEN '' ELSE stage END AS stage, code,
           width_bucket(seconds, CAST(:stage_bounds AS float8[])) AS bucket,
           width_bucket(late, CAST(:late_bounds AS float8[])) AS late_bucket,
           count(*) AS events, coalesce(sum(seconds), 0) AS seconds,
           CAST(coalesce(sum(rows), 0) AS bigint) AS rows, coalesce(sum(late), 0) AS late
      FROM found GROUP BY 1, 2, 3, 4, 5, 6)
SELECT (SELECT coalesce(max(high), 0) FROM ranges) AS top,
       CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS oldest,
       CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS newest,
       (SELECT coalesce(json_agg(json_build_array(low, high)), '[]') FROM missing) AS missing,
       (SELECT coalesce(json_agg(json_build_array(source, what, stage, code, bucket, late_bucket, events,
                                                  seconds, rows, late)), '[]') FROM alike) AS groups,
       ARRAY(SELECT DISTINCT file_id / :chunk FROM found) AS chunks;

-- name: files_in
-- The files in chunks of ids, in groups. oldest: since when the unfinished file that has waited longest
-- has waited; a replayed file has waited since its replay.
SELECT c.chunk, f.source, f.state,
       CASE WHEN f.state = 'quarantined'
            THEN coalesce(substring(f.error_code FROM '^[A-Z][0-9]{3}'), '') ELSE '' END AS code,
       count(*) AS files, CAST(sum(f.size) AS bigint) AS bytes,
       CAST(coalesce(sum(f.size) FILTER (WHERE NOT 'landing' = ANY(f.expired)), 0) AS bigint) AS landed,
       CAST(sum(f.rows_read) AS bigint) AS rows_read, CAST(sum(f.rows_loaded) AS bigint) AS rows_loaded,
       CAST(sum(f.rows_rejected) AS bigint) AS rows_rejected,
       CAST(sum(f.rows_duplicate) AS bigint) AS rows_duplicate,
       CAST(sum(f.rows_replaced) AS bigint) AS rows_replaced,
       CAST(extract(epoch FROM max(f.ts_max) FILTER (
           WHERE f.state = 'loaded' AND f.rows_loaded > f.rows_replaced)) AS float8) AS newest_reading,
       CAST(extract(epoch FROM max(f.landed_at)) AS float8) AS newest_file,
       CAST(extract(epoch FROM min(CASE
           WHEN f.state NOT IN ('pending', 'running') THEN NULL
           WHEN f.lane = 'live' THEN f.registered_at
           ELSE greatest(f.registered_at, (SELECT max(e.at) FROM file_events e
                                            WHERE e.file_id = f.id AND e.what = 'replayed')) END))
           AS float8) AS oldest
  FROM unnest(CAST(:chunks AS bigint[])) AS c(chunk)
 CROSS JOIN LATERAL (SELECT * FROM files
                      WHERE id >= c.chunk * :size AND id < (c.chunk + 1) * :size OFFSET 0) f
 GROUP BY 1, 2, 3, 4;

-- name: sizes
-- raw_readings consists of its partitions, or is a hypertable.
WITH RECURSIVE parts AS (
    SELECT CAST(to_regclass('raw_readings') AS oid) AS id
     UNION ALL
    SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON i.inhparent = p.id)
SELECT pg_database_size(current_database()) AS database,
       (SELECT CAST(coalesce(sum(pg_total_relation_size(id)), 0) AS bigint) FROM parts) AS readings,
       to_regclass('raw_readings') IS NOT NULL AND to_regclass('timescaledb_information.hypertables') IS NOT NULL
       AND (SELECT relkind = 'r' FROM pg_class WHERE oid = to_regclass('raw_readings')) AS hypertable;

-- name: hypertable_size
SELECT hypertable_size('raw_readings');
