-- The work of the fleet: what waits, what it costs, and how well the database serves it.

-- name: open_work
-- Unfinished files that can be processed now, in two parts to use two indexes. At most :limit files of each
-- part are examined: beyond this number, the fleet has its maximum size in any case. Nothing is done for
-- files that wait because their source is paused.
SELECT source, size >= :large_bytes AS large, stage, count(*) AS files,
       CAST(sum(size) AS bigint) AS bytes,
       CAST(extract(epoch FROM now() - min(registered_at)) AS float8) AS age
  FROM (SELECT * FROM (SELECT source, size, stage, registered_at, not_before FROM files
                        WHERE state = 'pending' AND published_at IS NULL
                          AND source NOT IN (SELECT c.source FROM source_controls c
                                              WHERE c.mode = 'paused')
                        LIMIT :limit) waiting
         UNION ALL
        SELECT * FROM (SELECT source, size, stage, registered_at, not_before FROM files
                        WHERE state IN ('pending', 'running') AND published_at IS NOT NULL
                        LIMIT :limit) in_flight) open
 WHERE not_before IS NULL OR not_before <= now()
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: rates
-- The work of each source's files according to the newest :events events, and the number of files of the
-- source that were registered or replayed recently. seconds: the period in which they were counted, at
-- least one second.
WITH newest AS MATERIALIZED (
    SELECT file_id, what, at, seconds FROM file_events ORDER BY id DESC LIMIT :events),
done AS (
    SELECT f.source, count(*) FILTER (WHERE e.what = 'loaded') AS files,
           coalesce(sum(f.size) FILTER (WHERE e.what = 'loaded'), 0) AS bytes,
           sum(e.seconds) AS work
      FROM newest e JOIN files f ON f.id = e.file_id
     WHERE e.seconds IS NOT NULL GROUP BY f.source),
come AS (
    SELECT f.source, count(*) AS files, sum(f.size) AS bytes
      FROM newest e JOIN files f ON f.id = e.file_id
     WHERE e.what IN ('registered', 'replayed') AND e.at > clock_timestamp() - make_interval(secs => :period)
     GROUP BY f.source)
SELECT source, coalesce(d.files, 0) AS files, CAST(coalesce(d.bytes, 0) AS bigint) AS bytes,
       CAST(coalesce(d.work, 0) AS float8) AS work, coalesce(c.files, 0) AS new_files,
       CAST(coalesce(c.bytes, 0) AS bigint) AS new_bytes,
       (SELECT CAST(greatest(1, least(:period, extract(epoch FROM clock_timestamp() - min(at)))) AS float8)
          FROM newest) AS seconds
  FROM done d FULL JOIN come c USING (source);

-- name: blocked
-- Share of this database's active sensorflow sessions that wait for a lock or a data file. Sessions that wait
-- for their client or for the log are not counted, because several sessions share one flush of the log.
SELECT CAST(coalesce(avg(CASE WHEN wait_event_type IN ('Lock', 'BufferPin')
                               OR wait_event_type = 'LWLock' AND wait_event NOT LIKE 'WAL%'
                               OR wait_event_type = 'IO' AND wait_event LIKE 'DataFile%'
                              THEN 1 ELSE 0 END), 0) AS float8)
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE 'sensorflow%' AND state = 'active'
   AND pid <> pg_backend_pid();
