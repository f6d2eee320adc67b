-- Claims: the right to work on a file. A worker acquires a claim, renews it, and ends it with an outcome.

-- name: claim
-- Atomic: exactly one caller wins a file. The lease ends by the database's clock. The files :ids other
-- than :first are claimed only if they were never claimed before, so that a file that crashes a worker can
-- affect the others at most once. If :first is small and was never claimed, pending files of its source are
-- claimed too, up to 1/:share of those that are examined. Only files with a message are claimed in this
-- way. Their messages then find that the files are already claimed. Locked rows are skipped, and the first
-- file is locked before the others, which prevents a deadlock. A file that cannot be claimed is not locked.
-- If no file was claimed, the result is one row with the state of the first file and the text of its last
-- claim event. `before` is materialized, because PostgreSQL would otherwise check only one row of it again
-- after it has waited for locks of several files, and would not claim the others.
WITH message AS (
    SELECT id, state, source, lane, version, stage, size, started_at IS NULL AS fresh FROM files
     WHERE id = ANY(CAST(:ids AS bigint[])) AND stage = ANY(:stages)
       AND (id = :first OR started_at IS NULL)
       AND (state = 'pending' AND (not_before IS NULL OR not_before <= now())
            OR state = 'running' AND lease_until < now())
       AND NOT EXISTS (SELECT 1 FROM growths g JOIN files p ON p.id = g.follows
                        WHERE g.file_id = files.id AND p.state IN ('pending', 'running'))
     ORDER BY id FOR UPDATE),
lead AS MATERIALIZED (
    SELECT id, source, lane, size FROM message
     WHERE id = :first AND fresh AND version = 1 AND stage = 'validate' AND size < :file_bytes
       AND source = ANY(CAST(:sources AS text[]))),
waiting AS MATERIALIZED (
    SELECT id FROM files
     WHERE EXISTS (SELECT FROM lead) AND state = 'pending' AND published_at IS NOT NULL
       AND started_at IS NULL AND version = 1 AND stage = 'validate' AND size < :file_bytes
       AND source = (SELECT source FROM lead) AND lane = (SELECT lane FROM lead)
       AND id <> :first
     ORDER BY published_at, id LIMIT :files * :share),
locked AS (
    SELECT id, size FROM files
     WHERE id IN (SELECT id FROM waiting) AND state = 'pending' AND started_at IS NULL
     ORDER BY published_at, id
     LIMIT (SELECT (count(*) + :share - 1) / :share FROM waiting)
     FOR UPDATE SKIP LOCKED),
before AS MATERIALIZED (
    SELECT id, state, fresh FROM message
     UNION ALL
    SELECT id, 'pending', true
      FROM (SELECT id, sum(size) OVER (ORDER BY id) AS bytes FROM locked) l
     WHERE bytes <= :total_bytes - (SELECT size FROM lead)),
won AS (
    UPDATE files f
       SET state = 'running', lease_token = nextval('lease_tokens'), lease_owner = :owner,
           lease_until = now() + make_interval(secs => :lease), attempts = attempts + 1,
           started_at = coalesce(started_at, now()), not_before = NULL,
           progress_bytes = NULL, progress_rows = NULL,
           published_at = coalesce(published_at, now())
      FROM before b
     WHERE f.id = b.id
    RETURNING f.id, f.lease_token, f.attempts, f.stage, f.source, f.key, f.version, f.sha256, f.md5,
              f.size, f.landing, f.landed_at, f.rows_read, f.rows_loaded, f.rows_rejected,
              f.rows_duplicate, f.rows_missing, f.rows_replaced, f.error_code, f.error_detail, f.error_place,
              f.quarantines, f.retries, f.sensor_type, f.wanted_profile,
              f.members IS NOT NULL AS unpacked,
              f.previous IS NOT NULL AS again, b.fresh, b.state AS state_before,
              coalesce(f.name, f.key) AS name,
              -- the spelling in the first version of the name, which its readings' keys contain
              CASE WHEN f.version > 1 THEN
                   (SELECT v.key FROM files v
                     WHERE v.source = f.source AND v.version = 1
                       AND coalesce(v.name, v.key) = coalesce(f.name, f.key))
              END AS first_key, f.previous, f.trace_id,
              CASE WHEN f.trace_id IS NOT NULL THEN now() END AS claimed_at,
              CASE WHEN f.trace_id IS NOT NULL AND b.state = 'pending'
                   -- a claim may begin while the message is being recorded as sent
                   THEN least(f.published_at, now()) END AS sent_at),
told AS (
    INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why)
    SELECT id, 'claimed', state_before, 'running', stage, attempts, :owner,
           CASE WHEN id <> :first THEN 'together with file ' || :first END
      FROM won ORDER BY id)
SELECT won.*, other.state AS other_state, other.why AS other_why,
       g.root, g.follows, g.byte_offset, g.line_base, c.ts_max AS chain_ts_max,
       c.rows_read - coalesce(CAST(won.previous->>'rows_read' AS bigint), 0) AS chain_read,
       c.rows_rejected - coalesce(CAST(won.previous->>'rows_rejected' AS bigint), 0) AS chain_rejected
  FROM (SELECT) AS one
  LEFT JOIN won ON true
  LEFT JOIN growths g ON g.file_id = won.id
  LEFT JOIN growing_files c ON c.root = g.root
  LEFT JOIN LATERAL (
       SELECT f.state, (SELECT e.why FROM file_events e
                         WHERE e.file_id = f.id AND e.what = 'claimed'
                         ORDER BY e.id DESC LIMIT 1) AS why
         FROM files f WHERE f.id = :first AND won.id IS NULL) other ON true
 ORDER BY won.id;

-- name: renew
UPDATE files SET lease_until = now() + make_interval(secs => :lease),
                 progress_bytes = coalesce(CAST(:bytes AS bigint), progress_bytes),
                 progress_rows = coalesce(CAST(:rows AS bigint), progress_rows)
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: advance
-- Records that a stage is done. :published: whether the message for the next stage counts as already
-- sent.
UPDATE files
   SET state = 'pending', stage = :to, attempts = 0, retries = 0, lease_until = NULL,
       progress_bytes = NULL, progress_rows = NULL,
       published_at = CASE WHEN :published THEN now() END, sent_with = NULL,
       rows_read = :read, rows_rejected = :rejected, rows_duplicate = :duplicate,
       rows_missing = :missing, error_code = NULL, error_detail = NULL, error_place = NULL
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: release
-- Also works if the lease has expired, as long as no other worker has claimed the file. Idempotent. While a file is
-- quarantined, the error for which it is quarantined is kept as the cause of the other one.
UPDATE files
   SET state = 'pending', lease_until = NULL, progress_bytes = NULL, progress_rows = NULL,
       published_at = NULL,
       not_before = now() + make_interval(secs => :delay), retries = retries + 1,
       attempts = :attempt - CASE WHEN :burned THEN 0 ELSE 1 END,
       error_code = :code, error_detail = :detail,
       error_place = CASE
           WHEN stage <> 'quarantine' OR error_code IS NULL THEN CAST(:place AS jsonb)
           ELSE coalesce(CAST(:place AS jsonb), '{}') || jsonb_build_object(
               'cause',
               coalesce(
                   error_place -> 'cause',
                   jsonb_build_object('code', error_code, 'detail', error_detail, 'place', error_place)
               )
           )
       END
 WHERE id = :id AND lease_token = :token AND stage = :stage AND state IN ('running', 'pending');

-- name: condemn
UPDATE files
   SET state = 'pending', stage = 'quarantine', attempts = 0, retries = 0, lease_until = NULL,
       progress_bytes = NULL, progress_rows = NULL,
       published_at = NULL, rows_read = coalesce(CAST(:read AS bigint), rows_read),
       rows_rejected = coalesce(CAST(:rejected AS bigint), rows_rejected),
       rows_duplicate = coalesce(CAST(:duplicate AS bigint), rows_duplicate),
       rows_missing = coalesce(CAST(:missing AS bigint), rows_missing),
       error_code = :code, error_detail = :detail, error_place = CAST(:place AS jsonb)
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: quarantined
UPDATE files
   SET state = 'quarantined', lease_until = NULL, progress_bytes = NULL, progress_rows = NULL,
       quarantined_to = :where,
       quarantines = quarantines + 1, finished_at = now(), tidy = false,
       error_code = coalesce(error_place #>> '{cause,code}', error_code),
       error_detail = coalesce(error_place #>> '{cause,detail}', error_detail),
       error_place = coalesce(nullif(error_place #> '{cause,place}', 'null'), error_place)
 WHERE id = :id AND lease_token = :token AND state = 'running'
RETURNING error_code;

-- name: give_up
-- Ends a replay that has loaded nothing: the file is loaded again, with the counts of its existing rows.
UPDATE files
   SET state = 'loaded', stage = 'load', attempts = 0, retries = 0, lease_until = NULL,
       progress_bytes = NULL, progress_rows = NULL,
       rows_read = (previous->>'rows_read')::bigint,
       rows_loaded = (previous->>'rows_loaded')::bigint,
       rows_rejected = (previous->>'rows_rejected')::bigint,
       rows_duplicate = (previous->>'rows_duplicate')::bigint,
       rows_missing = (previous->>'rows_missing')::bigint,
       finished_at = (previous->>'finished_at')::timestamptz, previous = NULL,
       error_code = :code, error_detail = :detail, error_place = CAST(:place AS jsonb)
 WHERE id = :id AND lease_token = :token AND state = 'running' AND previous IS NOT NULL;

-- name: announced
SELECT what FROM announcements WHERE file_id = :id ORDER BY at DESC;
