-- Audit: queries that read from one snapshot, and repairs after it.

-- name: audit_snapshot
SELECT pg_export_snapshot() AS name, now() AS taken_at;

-- name: audit_files
-- All columns that an audit compares with the disk and the readings. moved_at: time of the last state
-- change of an unfinished file.
SELECT f.id, f.source, f.key, f.key_text, f.version, f.sha256, f.md5, f.size, f.landing, f.sensor_type,
       f.state, f.stage, f.lane, coalesce(f.lease_token, 0) AS token, f.landed_at, f.finished_at,
       f.lease_until, f.not_before, f.published_at, f.rows_read, f.rows_loaded, f.rows_rejected,
       f.rows_duplicate, f.rows_missing, f.rows_replaced, f.checksum,
       CAST(f.previous->>'rows_loaded' AS bigint) - f.rows_replaced AS previous,
       f.quarantined_to, f.profile, f.profile_hash, f.code_version, f.identity, f.expired, f.tidy, f.members,
       g.root, g.follows, g.byte_offset, g.line_base, c.ts_max AS chain_ts_max,
       c.rows_read - CASE WHEN f.state = 'loaded' THEN f.rows_read ELSE 0 END AS chain_read,
       c.rows_rejected - CASE WHEN f.state = 'loaded' THEN f.rows_rejected ELSE 0 END
           AS chain_rejected,
       CASE WHEN f.state IN ('pending', 'running') THEN
            (SELECT e.at FROM file_events e WHERE e.file_id = f.id ORDER BY e.id DESC LIMIT 1)
       END AS moved_at
  FROM files f LEFT JOIN growths g ON g.file_id = f.id LEFT JOIN growing_files c ON c.root = g.root
 WHERE CAST(:ids AS bigint[]) IS NULL OR f.id = ANY(CAST(:ids AS bigint[]))
 ORDER BY f.id;

-- name: audit_rows
SELECT file_id, count(*) AS found FROM raw_readings GROUP BY file_id;

-- name: audit_histories
-- Files whose events differ from the hash chain, files that have events but no hash, and hashes without a
-- file. A file that was registered before hashing began (see row 0) has no hash until its next event.
SELECT coalesce(h.file_id, f.id) AS file_id, h.events AS expected, c.events AS found
  FROM (SELECT * FROM file_histories WHERE file_id <> 0) h FULL JOIN files f ON f.id = h.file_id
  LEFT JOIN file_histories old ON old.file_id = 0
  LEFT JOIN LATERAL history_chain(h.file_id, h.after, h.base, 9223372036854775807) c
       ON h.file_id IS NOT NULL
 WHERE h.file_id IS NULL
       AND (f.id > coalesce(old.events, 0)
            OR EXISTS (SELECT FROM file_events e
                        WHERE e.file_id = f.id AND e.id > coalesce(old.after, 0)))
    OR f.id IS NULL OR c.events <> h.events OR c.head <> h.head
 ORDER BY 1;

-- name: audit_history_digest
SELECT coalesce(sum(events) FILTER (WHERE file_id <> 0), 0) AS events,
       encode(sha256(coalesce(string_agg(int8send(file_id) || head, '' ORDER BY file_id), '')), 'hex')
           AS digest
  FROM file_histories;

-- name: audit_held
-- The file that has the row with each key. The time selects the partition and the index.
SELECT r.file_id
  FROM unnest(CAST(:ts AS timestamptz[]), CAST(:keys AS uuid[])) WITH ORDINALITY AS k(ts, key, place)
  LEFT JOIN raw_readings r ON r.ts = k.ts AND r.dedupe_key = k.key
 ORDER BY k.place;

-- name: audit_sharing
SELECT (SELECT count(*) FROM raw_readings r
         WHERE r.ts = k.ts AND r.sensor_id = k.sensor AND r.reading_type = k.kind) AS found
  FROM unnest(CAST(:ts AS timestamptz[]), CAST(:sensors AS text[]), CAST(:kinds AS text[]))
       WITH ORDINALITY AS k(ts, sensor, kind, place)
 ORDER BY k.place;

-- name: audit_sharing_deferred
-- Like audit_sharing, for the case that no index contains the time. One scan of a month is used for all
-- keys.
SELECT count(r.ts) AS found
  FROM unnest(CAST(:ts AS timestamptz[]), CAST(:sensors AS text[]), CAST(:kinds AS text[]))
       WITH ORDINALITY AS k(ts, sensor, kind, place)
  LEFT JOIN raw_readings r ON r.ts = k.ts AND r.sensor_id = k.sensor AND r.reading_type = k.kind
        AND r.ts BETWEEN (SELECT min(t) FROM unnest(CAST(:ts AS timestamptz[])) t)
                     AND (SELECT max(t) FROM unnest(CAST(:ts AS timestamptz[])) t)
 GROUP BY k.place ORDER BY k.place;

-- name: audit_unknown
-- Those of the given states of files in a drop folder that were never registered.
SELECT k.key, k.fingerprint
  FROM unnest(CAST(:keys AS bytea[]), CAST(:fingerprints AS text[])) AS k(key, fingerprint)
 WHERE NOT EXISTS (SELECT 1 FROM arrivals a WHERE a.source = :source AND a.key = k.key
                      AND (a.fingerprint = k.fingerprint
                           OR (starts_with(k.fingerprint, '*:*:')
                               AND a.fingerprint LIKE '%' || substr(k.fingerprint, 4))));

-- name: audit_hold
-- Blocks replays, loads and other repairs of the file until the transaction ends. Until then, the session
-- may be idle for ten minutes.
SELECT set_config('idle_in_transaction_session_timeout', '10min', true) FROM files WHERE id = :id FOR NO KEY UPDATE;

-- name: audit_remove_rows
WITH gone AS (
    DELETE FROM raw_readings WHERE file_id = :id RETURNING ts),
recorded AS (
    INSERT INTO readings_touched (source, low, high)
    SELECT '', min(ts), max(ts) FROM gone GROUP BY date_trunc('month', ts, 'UTC'))
SELECT count(*) AS removed FROM gone;
