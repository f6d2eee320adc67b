-- Queries for display.

-- name: list_files
-- For the arguments, see `listing.FileFilter`; :name is a regular expression.
SELECT * FROM files
 WHERE (CAST(:state AS text) IS NULL OR state = :state)
   AND (CAST(:source AS text) IS NULL OR source = :source)
   AND (CAST(:landed_since AS timestamptz) IS NULL OR landed_at >= :landed_since)
   AND (CAST(:finished_since AS timestamptz) IS NULL OR finished_at >= :finished_since)
   AND (CAST(:code AS text) IS NULL OR error_code = :code)
   AND (NOT :rejected OR rows_rejected > 0)
   AND (CAST(:name AS text) IS NULL OR key_text ~ :name
        OR id IN (SELECT a.file_id FROM arrivals a WHERE a.kind = 'alias' AND a.key_text ~ :name))
   AND (NOT :first_parts_only OR NOT EXISTS (
        SELECT 1 FROM growths g WHERE g.file_id = files.id AND g.follows IS NOT NULL))
 ORDER BY id DESC LIMIT :limit;

-- name: named
-- Looks up a name in four ways: exactly as given; in another spelling; as displayed, if the name is not
-- UTF-8; as an alias, which stands for the file with the same bytes. For each source, returns the files of
-- the first way that finds any.
SELECT * FROM (
    SELECT *, rank() OVER (PARTITION BY source ORDER BY near) AS place
      FROM (SELECT *, CASE coalesce(name, key) WHEN :exact THEN 1 WHEN :canonical THEN 2 ELSE 3 END
                      AS near
              FROM files
             WHERE (coalesce(name, key) IN (:exact, :canonical) OR key_text = :text)
               AND (CAST(:source AS text) IS NULL OR source = :source)
            UNION
            SELECT f.*, 4 FROM files f
             WHERE f.id IN (SELECT a.file_id FROM arrivals a
                             WHERE a.kind = 'alias'
                               AND (coalesce(a.name, a.key) IN (:exact, :canonical)
                                    OR a.key_text = :text)
                               AND (CAST(:source AS text) IS NULL OR a.source = :source))) found
     ) ranked
 WHERE place = 1
 ORDER BY id;

-- name: select_files
SELECT * FROM files
 WHERE state = ANY(:states) AND (CAST(:source AS text) IS NULL OR source = :source)
   AND (CAST(:since AS timestamptz) IS NULL OR landed_at >= :since)
 ORDER BY id;

-- name: arrivals_of
SELECT at, kind, key_text AS name, fingerprint, archive FROM arrivals WHERE file_id = :id ORDER BY id;

-- name: totals
SELECT source, state, count(*) AS files, sum(rows_read) AS rows_read,
       sum(rows_loaded) AS rows_loaded, sum(rows_rejected) AS rows_rejected,
       sum(rows_duplicate) AS rows_duplicate, sum(rows_missing) AS rows_missing,
       sum(rows_replaced) AS rows_replaced
  FROM files GROUP BY source, state ORDER BY source, state;

-- name: activity
-- For the columns see `listing.Activity`. A replayed file has been waiting since its replay, not since its
-- arrival.
WITH known AS (
    SELECT source, max(landed_at) AS landed_at,
           max(ts_max) FILTER (WHERE state = 'loaded' AND rows_loaded > rows_replaced) AS ts_max,
           sum(rows_loaded) FILTER (
               WHERE state = 'loaded' AND finished_at > now() - make_interval(secs => :lately)) AS rows,
           count(*) FILTER (
               WHERE state = 'quarantined' AND finished_at > now() - interval '1 hour') AS quarantined
      FROM files GROUP BY source),
again AS (
    SELECT source, max(at) AS at FROM arrivals GROUP BY source),
open AS (
    SELECT f.source, count(*) AS files, min(greatest(f.registered_at, e.at)) AS since
      FROM files f
      LEFT JOIN LATERAL (SELECT max(at) AS at FROM file_events
                          WHERE file_id = f.id AND what = 'replayed') e ON f.lane = 'backfill'
     WHERE f.state IN ('pending', 'running') GROUP BY f.source)
SELECT known.source, coalesce(open.files, 0) AS waiting,
       CAST(extract(epoch FROM now() - open.since) AS float8) AS oldest,
       greatest(known.landed_at, again.at) AS last_file,
       CAST(extract(epoch FROM now() - greatest(known.landed_at, again.at)) AS float8)
           AS last_file_age,
       known.ts_max AS last_reading,
       CAST(extract(epoch FROM now() - known.ts_max) AS float8) AS last_reading_age,
       CAST(coalesce(known.rows, 0) / CAST(:lately AS float8) AS float8) AS rows_per_second,
       known.quarantined
  FROM known LEFT JOIN again USING (source) LEFT JOIN open USING (source) ORDER BY known.source;

-- name: large_files
-- See `listing.LargeFile`. Progress is recorded whenever a lease is renewed. The time of the renewal is
-- :lease seconds before the end of the lease.
SELECT f.id AS file_id, f.source, f.key_text AS name, f.stage, f.size, f.progress_bytes AS bytes,
       f.progress_rows AS rows, coalesce(f.lease_owner, '') AS worker,
       CAST(greatest(0, extract(epoch FROM r.at - e.at)) AS float8) AS seconds,
       CAST(greatest(0, extract(epoch FROM now() - r.at)) AS float8) AS age
  FROM files f
 CROSS JOIN LATERAL (SELECT f.lease_until - make_interval(secs => :lease) AS at) r
  LEFT JOIN LATERAL (SELECT max(at) AS at FROM file_events
                      WHERE file_id = f.id AND what = 'claimed') e ON true
 WHERE f.state = 'running' AND f.progress_rows IS NOT NULL
 ORDER BY f.id;

-- name: heartbeats
SELECT process, role, host, pid, settings, state, started_at, beat_at,
       CAST(extract(epoch FROM now() - beat_at) AS float8) AS age
  FROM heartbeats ORDER BY role, started_at, process;

-- name: files_of
SELECT * FROM files WHERE id = ANY(CAST(:ids AS bigint[]));
