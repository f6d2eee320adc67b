-- Finished files, and heartbeats of processes.

-- name: replay
-- Requests that a file is loaded again from its landed bytes. If this process traces, the load gets a new
-- trace. Until the load, the rows of a loaded file stay in the database; `previous` contains their counts.
UPDATE files f
   SET state = 'pending', stage = 'validate', attempts = 0, retries = 0, published_at = NULL,
       not_before = NULL, lane = 'backfill', wanted_profile = :profile,
       previous = CASE WHEN b.state = 'loaded' THEN jsonb_build_object(
           'rows_read', rows_read, 'rows_loaded', rows_loaded, 'rows_rejected', rows_rejected,
           'rows_duplicate', rows_duplicate, 'rows_missing', rows_missing,
           'finished_at', finished_at) END,
       finished_at = NULL, rows_read = 0, rows_loaded = 0, rows_rejected = 0, rows_duplicate = 0,
       rows_missing = 0, error_code = NULL, error_detail = NULL, error_place = NULL,
       trace_id = coalesce(CAST(:trace_id AS bytea), f.trace_id)
  FROM (SELECT id, state, trace_id FROM files WHERE id = :id FOR UPDATE) b
 WHERE f.id = b.id AND (b.state IN ('loaded', 'quarantined', 'undone')
                        OR :also_superseded AND b.state = 'superseded')
   AND NOT 'landing' = ANY(f.expired)
RETURNING f.id, b.state AS state_before, b.trace_id AS former_trace;

-- name: place_of
SELECT source, coalesce(name, key) AS known_as, sha256 FROM files WHERE id = :id;

-- name: undo
-- Also works for a file that waits for a replay. The file then gets the counts of its existing rows
-- again.
UPDATE files f
   SET state = 'undone', finished_at = now(), tidy = false, rows_replaced = 0, stage = 'load',
       rows_read = coalesce((f.previous->>'rows_read')::bigint, f.rows_read),
       rows_loaded = coalesce((f.previous->>'rows_loaded')::bigint, f.rows_loaded),
       rows_rejected = coalesce((f.previous->>'rows_rejected')::bigint, f.rows_rejected),
       rows_duplicate = coalesce((f.previous->>'rows_duplicate')::bigint, f.rows_duplicate),
       rows_missing = coalesce((f.previous->>'rows_missing')::bigint, f.rows_missing),
       previous = NULL
  FROM (SELECT id, state FROM files WHERE id = :id FOR UPDATE) b
 WHERE f.id = b.id AND (b.state = 'loaded' OR b.state = 'pending' AND f.previous IS NOT NULL)
RETURNING f.id, f.source, f.key, f.identity, f.ts_min, f.ts_max, b.state AS state_before;

-- name: sharers
-- Loaded files that may have readings which were not inserted because the file :id already had them: their
-- dedupe keys contain the same file name, and they have duplicates. Their time spans must overlap with
-- :low to :high. For a part of a growing file, all other parts are returned, whatever their time spans,
-- because a duplicate may be outside the time span of its part. For files that version 0.1.0 has loaded,
-- the ledger does not record the file name in the dedupe keys.
SELECT id FROM files
 WHERE source = :source AND id <> :id AND state = 'loaded' AND rows_duplicate > 0
   AND (ts_min <= :high AND ts_max >= :low
        OR id IN (SELECT o.file_id FROM growths g JOIN growths o USING (root) WHERE g.file_id = :id))
   AND (CAST(:identity AS text) IS NULL OR identity = :identity
        OR identity IS NULL AND :identity = :source || '/')
   AND NOT id = ANY(CAST(:along AS bigint[]))
 ORDER BY id;

-- name: untidy
-- The next files that may have garbage. Their rows are locked, which prevents a replay during the
-- collection. A file that is not loaded is examined as soon as it is finished, and again after :again
-- seconds, when every worker that had claimed it must have stopped writing. rewritten: whether to return
-- files of which silver may have to be rewritten, or all other files.
SELECT * FROM files
 WHERE NOT tidy AND id > :after AND state IN ('loaded', 'quarantined', 'superseded', 'undone')
   AND (state = 'loaded' OR collected_for IS DISTINCT FROM finished_at
        OR finished_at < now() - make_interval(secs => :again))
   AND (state = 'loaded' AND rows_replaced > 0
        AND NOT expired && CAST('{silver,rows}' AS text[])) = :rewritten
 ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED;

-- name: tidied
UPDATE files
   SET tidy = state = 'loaded' OR finished_at < now() - make_interval(secs => :again),
       collected_for = finished_at
 WHERE id = ANY(CAST(:ids AS bigint[]));

-- name: collect_again
UPDATE files SET tidy = false, collected_for = NULL WHERE id = :id;

-- name: lock_landing
SELECT pg_advisory_xact_lock(hashtextextended('sensorflow.landing', 0));

-- name: unneeded_landing
-- The landed objects that no row of the ledger needs. The index of contents begins with the source, and is
-- searched once for each source: a scan of the table would take long, and registrations wait for this.
WITH RECURSIVE sources AS (
    (SELECT source FROM files ORDER BY source LIMIT 1)
     UNION ALL
    SELECT (SELECT f.source FROM files f WHERE f.source > s.source ORDER BY f.source LIMIT 1)
      FROM sources s WHERE s.source IS NOT NULL)
SELECT landed.name
  FROM unnest(CAST(:names AS text[]), CAST(:contents AS bytea[])) AS landed(name, sha256)
 WHERE NOT EXISTS (
    SELECT FROM sources s, LATERAL (
        SELECT FROM files f
         WHERE f.source = s.source AND f.sha256 = landed.sha256 AND f.landing = landed.name
           AND NOT 'landing' = ANY(f.expired)
         LIMIT 1) AS needed);

-- name: expire_layer
-- The landed bytes of an unfinished or quarantined file are never expired, because they are the last copy.
-- The first parts of a growing file are not expired either, because later parts are read with the header
-- that the first parts contain.
UPDATE files SET expired = array_append(expired, :layer), tidy = false
 WHERE id IN (SELECT id FROM files
               WHERE source = :source AND state IN ('loaded', 'superseded', 'undone')
                 AND finished_at < now() - make_interval(secs => :age)
                 AND NOT :layer = ANY(expired)
                 AND NOT (:layer = 'landing' AND EXISTS (
                     SELECT 1 FROM growths g WHERE g.file_id = files.id AND g.byte_offset < :head))
               ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING id, stage;

-- name: expire_rows
-- Expires all rows of a file when its newest reading is old enough.
UPDATE files SET expired = array_append(expired, :layer)
 WHERE id IN (SELECT id FROM files
               WHERE source = :source AND state = 'loaded'
                 AND ts_max < now() - make_interval(secs => :age)
                 AND NOT :layer = ANY(expired)
               ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING id, stage, ts_min, ts_max;

-- name: beat
-- Records that a loop of a process is alive, and removes the heartbeats of processes that have ended
-- without removing their own.
WITH old AS (DELETE FROM heartbeats WHERE beat_at < now() - make_interval(secs => :forgotten))
INSERT INTO heartbeats AS h (process, role, host, pid, settings, state)
VALUES (:process, :role, :host, :pid, :settings, CAST(:state AS jsonb))
ON CONFLICT (process, role) DO UPDATE
   SET settings = excluded.settings, state = excluded.state, beat_at = now();

-- name: end_beats
DELETE FROM heartbeats WHERE process = :process;
