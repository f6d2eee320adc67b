-- Queries of `status`, `doctor` and `origin`.

-- name: lasting
-- Infrastructure errors with which the same file has been nacked for more than :longer seconds, or at all if
-- its landed object is lost. The last nack must be at most :recent seconds old, or the file must be waiting
-- for its next attempt; otherwise nobody retries the file. since: time of the first nack. detail, todo: error
-- text and remedy of the file that has waited longest. details: the different error texts of all files.
-- workers: the processes that have nacked the files last.
SELECT code, lost, count(*) AS files, min(since) AS since, (array_agg(id ORDER BY since, id))[1] AS file_id,
       (array_agg(detail ORDER BY since, id))[1] AS detail, array_agg(DISTINCT detail) AS details,
       (array_agg(todo ORDER BY since, id))[1] AS todo, array_agg(DISTINCT worker) AS workers
  FROM (SELECT f.id, f.error_code AS code, f.error_detail AS detail, f.error_place ->> 'do' AS todo,
               f.error_place ->> 'lost' IS NOT NULL AS lost, f.not_before, given_back.*
          FROM files f, LATERAL
               (SELECT min(e.at) AS since, max(e.at) AS latest, (array_agg(e.who ORDER BY e.id DESC))[1] AS worker
                  FROM file_events e
                 WHERE e.file_id = f.id AND e.what = 'will be tried again'
                   AND e.why LIKE f.error_code || ':%'
                   AND e.id > coalesce((SELECT max(d.id) FROM file_events d
                                         WHERE d.file_id = f.id
                                           AND d.to_state IN ('loaded', 'quarantined', 'undone')), 0)
               ) AS given_back
         WHERE f.state IN ('pending', 'running') AND f.retries > 0 AND f.error_code LIKE 'I5%'
         ORDER BY f.id LIMIT 1000) AS waiting
 WHERE (since < now() - make_interval(secs => :longer) OR lost)
   AND (latest > now() - make_interval(secs => :recent) OR not_before > now())
 GROUP BY code, lost ORDER BY since;

-- name: failing_hosts
-- The hosts whose workers have failed at least :least times with the error :code since they last finished a
-- file, according to the newest :events events of the last :period seconds. Files whose landed object is lost
-- do not count. why: the newest error text. others_work: whether a worker has finished a file since the first
-- of these failures.
WITH newest AS MATERIALIZED (
    SELECT file_id, at, why, regexp_replace(who, ':[0-9]+$', '') AS host, what = 'will be tried again' AS failed
      FROM (SELECT file_id, what, at, who, why FROM file_events ORDER BY id DESC LIMIT :events) e
     WHERE at > clock_timestamp() - make_interval(secs => :period)
       AND (what IN ('stage done', 'loaded', 'unpacked', 'quarantined')
            OR what = 'will be tried again' AND why LIKE CAST(:code AS text) || ':%')),
worked AS (SELECT host, max(at) AS at FROM newest WHERE NOT failed GROUP BY host)
SELECT n.host, count(*) AS failures, count(DISTINCT n.file_id) AS files, min(n.at) AS since, max(n.at) AS latest,
       (array_agg(n.why ORDER BY n.at DESC))[1] AS why,
       coalesce((SELECT max(at) FROM worked) > min(n.at), false) AS others_work
  FROM newest n JOIN files f ON f.id = n.file_id LEFT JOIN worked w USING (host)
 WHERE n.failed AND (w.at IS NULL OR n.at > w.at) AND f.error_place ->> 'lost' IS NULL
 GROUP BY n.host HAVING count(*) >= :least ORDER BY since;

-- name: old_sessions
-- Sessions of sensorflow that hold locks in a transaction older than :older_than seconds. For the columns,
-- see `inspect.Session`. A role without the necessary privilege does not see the state of other users'
-- sessions.
WITH known AS (
    SELECT hashtextextended(name, 0) AS key, name
      FROM unnest(ARRAY['sensorflow.landing', 'sensorflow.indexes', 'sensorflow.partitions']) AS name
     UNION ALL
    SELECT hashtextextended('sensorflow.register:' || source, 0), 'registration of source ' || source
      FROM (SELECT DISTINCT source FROM intake_leases) s),
held AS (
    SELECT l.pid, CASE WHEN l.locktype = 'advisory' THEN coalesce(k.name, 'files being loaded')
                       ELSE CAST(CAST(l.relation AS regclass) AS text) || ' ' || l.mode END AS lock
      FROM pg_locks l LEFT JOIN known k
        ON l.locktype = 'advisory'
       AND (CAST(l.classid AS bigint) << 32 | CAST(l.objid AS bigint)) = k.key
     WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (l.locktype = 'advisory' OR l.locktype = 'relation' AND l.mode <> 'AccessShareLock'
            AND CAST(l.relation AS regclass) IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p'))))
SELECT a.pid, a.application_name AS name, host(a.client_addr) AS client, a.state,
       CAST(extract(epoch FROM clock_timestamp() - a.xact_start) AS float8) AS age,
       CAST(extract(epoch FROM clock_timestamp() - a.state_change) AS float8) AS silent,
       array_agg(DISTINCT held.lock ORDER BY held.lock) AS locks,
       (SELECT count(*) FROM pg_stat_activity b
         WHERE b.wait_event_type = 'Lock' AND a.pid = ANY(pg_blocking_pids(b.pid))) AS waiting,
       coalesce((SELECT NOT (f.state = 'running' AND f.lease_until >= clock_timestamp()) FROM files f
                  WHERE a.application_name = 'sensorflow load ' || f.id), false) AS outdated
  FROM pg_stat_activity a JOIN held ON held.pid = a.pid
 WHERE a.datname = current_database() AND a.application_name LIKE 'sensorflow%'
   AND a.pid <> pg_backend_pid()
   AND a.xact_start < clock_timestamp() - make_interval(secs => :older_than)
 GROUP BY a.pid, a.application_name, a.client_addr, a.state, a.xact_start, a.state_change
 ORDER BY a.xact_start;

-- name: survivors
-- Names of which an older version still has readings although a newer version is loaded. Growing files are
-- excluded.
WITH newest AS (
    SELECT source, coalesce(name, key) AS name, max(version) AS version FROM files
     WHERE version > 1 AND state = 'loaded'
       AND NOT EXISTS (SELECT 1 FROM growths g WHERE g.file_id = files.id)
     GROUP BY 1, 2),
older AS (
    SELECT f.source, f.key_text, max(f.version) AS version,
           sum(f.rows_loaded - f.rows_replaced) AS rows, min(f.ts_min) AS low, max(f.ts_max) AS high
      FROM newest n JOIN files f ON f.source = n.source AND coalesce(f.name, f.key) = n.name
           AND f.version < n.version
     WHERE f.state = 'loaded' AND f.rows_loaded > f.rows_replaced
     GROUP BY f.source, f.key_text)
SELECT *, count(*) OVER () AS names, sum(rows) OVER () AS total FROM older
 ORDER BY rows DESC LIMIT :most;

-- name: remarks
SELECT id, source, key_text, version, remarks, count(*) OVER () AS files
  FROM files
 WHERE remarks IS NOT NULL AND finished_at > now() - make_interval(days => :days)
 ORDER BY finished_at DESC LIMIT :most;

-- name: readings_at
-- PostgreSQL finds the partition and the index entry by the time. line_base: number of lines of a growing
-- file before this part; otherwise 0.
SELECT r.file_id, r.line_no, r.ts, r.value, r.unit, r.quality, coalesce(g.line_base, 0) AS line_base,
       g.file_id IS NOT NULL AS growth
  FROM raw_readings r LEFT JOIN growths g ON g.file_id = r.file_id
 WHERE r.ts = :ts AND r.sensor_id = :sensor AND r.reading_type = :kind
 ORDER BY r.file_id, r.line_no;

-- name: readings_near
-- For each sensor and type, the time of the reading that is nearest to :ts, at most :seconds seconds
-- before or after it.
SELECT DISTINCT ON (sensor_id, reading_type) sensor_id AS sensor, reading_type AS kind, ts
  FROM raw_readings
 WHERE ts BETWEEN CAST(:ts AS timestamptz) - make_interval(secs => :seconds)
              AND CAST(:ts AS timestamptz) + make_interval(secs => :seconds)
 ORDER BY sensor_id, reading_type, abs(extract(epoch FROM ts - CAST(:ts AS timestamptz))) LIMIT 1000;

-- name: arrived
-- The bytes of each source's files that were registered in the last :period seconds, according to the newest
-- :events events. seconds: the period that these events cover, at least a minute.
WITH newest AS MATERIALIZED (
    SELECT file_id, what, at FROM file_events ORDER BY id DESC LIMIT :events)
SELECT f.source, CAST(sum(f.size) AS bigint) AS bytes,
       (SELECT CAST(greatest(60, least(:period, extract(epoch FROM clock_timestamp() - min(at)))) AS float8)
          FROM newest) AS seconds
  FROM newest e JOIN files f ON f.id = e.file_id
 WHERE e.what = 'registered' AND e.at > clock_timestamp() - make_interval(secs => :period)
 GROUP BY f.source;

-- name: holders
SELECT 'intake of ' || source AS name, owner, until <= now() AS ended FROM intake_leases
 UNION ALL
SELECT name, owner, until <= now() FROM leases;

-- name: backlog
-- The query has two parts, so that two indexes are used. age: for a replayed file, the time since its
-- replay.
SELECT first.source, first.files, first.key_text,
       CAST(extract(epoch FROM now() - greatest(first.registered_at, e.at)) AS float8) AS age
  FROM (SELECT DISTINCT ON (source) source, count(*) OVER (PARTITION BY source) AS files, key_text,
               registered_at, id
          FROM (SELECT source, key_text, registered_at, id FROM files
                 WHERE state = 'pending' AND published_at IS NULL
                UNION ALL
                SELECT source, key_text, registered_at, id FROM files
                 WHERE state IN ('pending', 'running') AND published_at IS NOT NULL) open
         ORDER BY source, id) first
  LEFT JOIN LATERAL (SELECT max(at) AS at FROM file_events
                      WHERE file_id = first.id AND what = 'replayed') e ON true
 ORDER BY first.source;

-- name: quarantined_lately
SELECT DISTINCT ON (source) source, count(*) OVER (PARTITION BY source) AS files, key_text, error_code
  FROM files
 WHERE state = 'quarantined' AND finished_at > now() - interval '1 day'
 ORDER BY source, finished_at DESC;
