-- Every statement of the ledger longer than a line. Read by queries.py into a dict by name.

-- name: lock_source
-- Registrations of one source follow each other, so that versions and aliases are decided once; and
-- no landed object is removed meanwhile. A client that falls silent with the lock (a process that is
-- stopped, a host that is gone) loses its session: others wait for it.
SELECT set_config('idle_in_transaction_session_timeout', '10s', true),
       pg_advisory_xact_lock_shared(hashtextextended('sensorflow.landing', 0)),
       pg_advisory_xact_lock(hashtextextended('sensorflow.register:' || :source, 0));

-- name: intake_lease
-- Who takes files of a source in; vacant: whether :process may take over.
SELECT owner, process, token, until <= now() OR process IN (:process, :ended) AS vacant
  FROM intake_leases WHERE source = :source;

-- name: take_intake
-- One winner: the row count decides. After lock_source: a registration with an older lease is committed by
-- now, or will be refused.
INSERT INTO intake_leases AS l (source, owner, process, token, until)
VALUES (:source, :owner, :process, nextval('lease_tokens'),
        clock_timestamp() + make_interval(secs => :lease))
ON CONFLICT (source) DO UPDATE
   SET owner = excluded.owner, process = excluded.process, token = excluded.token,
       until = excluded.until
 WHERE l.until <= now() OR l.process IN (:process, :ended);

-- name: renew_intake
UPDATE intake_leases SET until = now() + make_interval(secs => :lease)
 WHERE source = :source AND token = :token;

-- name: release_intake
UPDATE intake_leases SET until = now() WHERE source = :source AND token = :token;

-- name: intake_held
-- Whether this lease is the newest of its source; after lock_source it stays so until the commit.
SELECT EXISTS (SELECT 1 FROM intake_leases WHERE source = :source AND token = :token);

-- name: take_lease
-- One winner. No row: somebody else has it. ended: a process that has ended for certain.
INSERT INTO leases AS l (name, owner, process, token, until)
VALUES (:name, :owner, :process, nextval('lease_tokens'),
        clock_timestamp() + make_interval(secs => :lease))
ON CONFLICT (name) DO UPDATE
   SET owner = excluded.owner, process = excluded.process, token = excluded.token,
       until = excluded.until
 WHERE l.until <= clock_timestamp() OR l.process = :ended
RETURNING token;

-- name: lease_holder
SELECT process FROM leases WHERE name = :name;

-- name: renew_lease
UPDATE leases SET until = clock_timestamp() + make_interval(secs => :lease)
 WHERE name = :name AND token = :token;

-- name: release_lease
UPDATE leases SET until = clock_timestamp() WHERE name = :name AND token = :token;

-- name: seen
-- The arrival of this very state of this very file, if it was registered before; with the same bytes,
-- where those are known (two writes within one tick of a coarse clock look alike). A state without
-- device and inode ("*:*:size:mtime:ctime") is known by those of before, which had their numbers.
SELECT a.file_id, f.version
  FROM arrivals a JOIN files f ON f.id = a.file_id
 WHERE a.source = :source AND a.key = :key
   AND (a.fingerprint = :fingerprint
        OR (starts_with(CAST(:fingerprint AS text), '*:*:')
            AND a.fingerprint LIKE '%' || substr(CAST(:fingerprint AS text), 4)))
   AND (CAST(:sha256 AS bytea) IS NULL OR f.sha256 = :sha256)
 ORDER BY a.id DESC LIMIT 1;

-- name: is_name
-- Whether files are known by exactly this name.
SELECT EXISTS (SELECT 1 FROM files WHERE source = :source AND coalesce(name, key) = :name);

-- name: twin
-- A file of the same content that still counts (a part of a growing file never does): under this name only if
-- it is its newest version,
-- under another name only where names do not matter, this one has no content of its own yet and nothing of
-- the file was replaced.
-- A quarantined file is no twin: the same bytes again are another try.
WITH newest AS (
    SELECT id, version, sha256, state FROM files
     WHERE source = :source AND coalesce(name, key) = :name
     ORDER BY version DESC LIMIT 1)
(SELECT id, version FROM newest
  WHERE sha256 = :sha256 AND state IN ('pending', 'running', 'loaded'))
UNION ALL
(SELECT f.id, f.version FROM files f
  WHERE f.source = :source AND f.sha256 = :sha256 AND f.state IN ('pending', 'running', 'loaded')
    AND NOT :name_matters AND f.rows_replaced = 0 AND NOT EXISTS (SELECT 1 FROM newest)
  ORDER BY f.id LIMIT 1);

-- name: spelt_otherwise
-- How the newest version of a name was spelt, where that differs, and the bytes do.
SELECT key FROM (
    SELECT key, sha256 FROM files
     WHERE source = :source AND coalesce(name, key) = :name
     ORDER BY version DESC LIMIT 1) newest
 WHERE key <> :key AND sha256 <> :sha256;

-- name: has_content
-- Whether these bytes were registered under this name, in whatever state they are by now.
SELECT EXISTS (SELECT 1 FROM arrivals a JOIN files f ON f.id = a.file_id
                WHERE a.source = :source AND a.key = :key AND f.sha256 = :sha256);

-- name: add_plain
-- Those of a group of arrivals that are new in name and in content, to the ledger and within the group;
-- what the others are depends on what is there, these among it. Sorted, so that ids follow the order.
WITH given AS (
    SELECT g.*, row_number() OVER (PARTITION BY sha256 ORDER BY place)
              + row_number() OVER (PARTITION BY coalesce(name, key) ORDER BY place) AS nth
      FROM unnest(CAST(:keys AS bytea[]), CAST(:names AS bytea[]), CAST(:key_texts AS text[]),
                  CAST(:sha256s AS bytea[]),
                  CAST(:md5s AS bytea[]), CAST(:sizes AS bigint[]), CAST(:mtime_nss AS bigint[]),
                  CAST(:landings AS text[]), CAST(:sensor_types AS text[]),
                  CAST(:fingerprints AS text[]), CAST(:discovered_ats AS timestamptz[]),
                  CAST(:landed_ats AS timestamptz[]), CAST(:lanes AS text[])) WITH ORDINALITY
           AS g(key, name, key_text, sha256, md5, size, mtime_ns, landing, sensor_type, fingerprint,
                discovered_at, landed_at, lane, place)),
plain AS (
    SELECT * FROM given g
     WHERE nth = 2
       AND (SELECT f.version FROM files f
             WHERE f.source = :source AND coalesce(f.name, f.key) = coalesce(g.name, g.key)
             ORDER BY f.version DESC LIMIT 1) IS NULL
       AND NOT EXISTS (SELECT 1 FROM arrivals a
                        WHERE a.source = :source AND a.key = coalesce(g.name, g.key) AND a.name IS NULL)
       AND NOT EXISTS (SELECT 1 FROM arrivals a
                        WHERE a.source = :source AND a.name = coalesce(g.name, g.key))
       AND NOT EXISTS (SELECT 1 FROM files f WHERE f.source = :source AND f.sha256 = g.sha256)),
added AS (
    INSERT INTO files (source, key, name, key_text, version, sha256, md5, size, mtime_ns, landing,
                       sensor_type, stage, discovered_at, landed_at, lane, on_change)
    SELECT :source, key, name, key_text, 1, sha256, md5, size, mtime_ns, landing, sensor_type,
           'validate', discovered_at, landed_at, lane, :on_change
      FROM plain ORDER BY place
    RETURNING id, key, stage),
told AS (
    INSERT INTO file_events (file_id, what, stage, attempt, who)
    SELECT id, 'registered', stage, 0, :who FROM added ORDER BY id),
arrived AS (
    INSERT INTO arrivals (file_id, source, key, name, key_text, fingerprint, kind)
    SELECT added.id, :source, plain.key, plain.name, plain.key_text, plain.fingerprint, 'new'
      FROM added JOIN plain USING (key) ORDER BY added.id)
SELECT plain.place, added.id FROM added JOIN plain USING (key);

-- name: add_aliases
-- Those of a group of arrivals whose bytes are there under another name (see `twin`), and whose own name is
-- new, to the ledger and within the group. All else of the group may be registered before or after them.
WITH given AS (
    SELECT g.*, count(*) OVER (PARTITION BY coalesce(name, key)) AS named
      FROM unnest(CAST(:keys AS bytea[]), CAST(:names AS bytea[]), CAST(:key_texts AS text[]),
                  CAST(:sha256s AS bytea[]), CAST(:fingerprints AS text[]))
           WITH ORDINALITY AS g(key, name, key_text, sha256, fingerprint, place)),
twins AS (
    SELECT g.*, t.id, t.version FROM given g CROSS JOIN LATERAL (
           SELECT f.id, f.version FROM files f
            WHERE f.source = :source AND f.sha256 = g.sha256
              AND f.state IN ('pending', 'running', 'loaded') AND f.rows_replaced = 0
            ORDER BY f.id LIMIT 1) t
     WHERE g.named = 1
       AND NOT EXISTS (SELECT 1 FROM files f
                        WHERE f.source = :source
                          AND coalesce(f.name, f.key) = coalesce(g.name, g.key))
       AND NOT EXISTS (SELECT 1 FROM arrivals a
                        WHERE a.source = :source AND a.key = coalesce(g.name, g.key) AND a.name IS NULL)
       AND NOT EXISTS (SELECT 1 FROM arrivals a
                        WHERE a.source = :source AND a.name = coalesce(g.name, g.key))),
landed AS (
    UPDATE files SET expired = array_remove(expired, 'landing')
     WHERE id IN (SELECT id FROM twins) AND 'landing' = ANY(expired)),
arrived AS (
    INSERT INTO arrivals (file_id, source, key, name, key_text, fingerprint, kind)
    SELECT id, :source, key, name, key_text, fingerprint, 'alias' FROM twins ORDER BY place)
SELECT place, id, version FROM twins;

-- name: add_file
-- A new version of a name; version 1 when the name is new.
WITH newest AS (
    SELECT id, version FROM files
     WHERE source = :source AND coalesce(name, key) = coalesce(CAST(:name AS bytea), :key)
     ORDER BY version DESC LIMIT 1),
older AS (
    SELECT :refuse AND EXISTS (
           SELECT 1 FROM files
            WHERE source = :source AND coalesce(name, key) = coalesce(CAST(:name AS bytea), :key)
              AND state IN ('pending', 'running', 'loaded')) AS refused)
INSERT INTO files (source, key, name, key_text, version, sha256, md5, size, mtime_ns, landing,
                   sensor_type, stage, discovered_at, landed_at, supersedes, error_code,
                   error_detail, lane, on_change)
SELECT :source, :key, CAST(:name AS bytea), :key_text,
       coalesce((SELECT version FROM newest), 0) + 1, :sha256, :md5, :size, :mtime_ns, :landing,
       :sensor_type, CASE WHEN refused THEN 'quarantine' ELSE 'validate' END,
       :discovered_at, :landed_at,
       (SELECT id FROM newest),
       CASE WHEN refused THEN :refusal_code END, CASE WHEN refused THEN :refusal END, :lane,
       :on_change
  FROM older
RETURNING id, version, stage;

-- name: add_arrival
INSERT INTO arrivals (file_id, source, key, name, key_text, fingerprint, kind)
VALUES (:file_id, :source, :key, :name, :key_text, :fingerprint, :kind);

-- name: landed_again
-- The bytes of a file have come once more: they are there again, until they expire.
UPDATE files SET expired = array_remove(expired, 'landing')
 WHERE id = :id AND 'landing' = ANY(expired);

-- name: add_event
INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why, seconds, rows)
VALUES (:file_id, :what, :from_state, :to_state, :stage, :attempt, :who, :why, :seconds, :rows);

-- name: due
-- What is to be published of one lane: of each source the oldest first, and each source in its turn, by what
-- it has in flight (work: see `ports.work_of`). A file goes
-- while the work in flight, of all, is less than :window and the files fewer than :files; or while the files
-- in flight are fewer than :least, so that no worker waits; or, of a :live lane, while its source has less than
-- its share of both in flight, or nothing: no source keeps another one waiting. Never more than :large
-- files of :large_bytes or more at a time, than :max_in_flight of all, than :room of this lane. The last LIMIT
-- is for the planner: without it the join with files is expected to be a large one, and reads them all.
WITH RECURSIVE flying AS MATERIALIZED (
    SELECT source, lane, size >= :large_bytes AS large,
           1 + least(size, :work_most) / :work_bytes AS work
      FROM files
     WHERE state IN ('pending', 'running') AND published_at IS NOT NULL
     LIMIT :max_in_flight),
waiting AS (
    (SELECT source FROM files
      WHERE state = 'pending' AND published_at IS NULL AND lane = :lane
      ORDER BY source LIMIT 1)
    UNION ALL
    SELECT (SELECT f.source FROM files f
             WHERE f.state = 'pending' AND f.published_at IS NULL AND f.lane = :lane
               AND f.source > w.source
             ORDER BY f.source LIMIT 1)
      FROM waiting w WHERE w.source IS NOT NULL),
sources AS MATERIALIZED (
    SELECT w.source, count(flying.source) AS files, coalesce(sum(flying.work), 0) AS held
      FROM waiting w LEFT JOIN flying USING (source)
     WHERE w.source IS NOT NULL GROUP BY w.source),
now_ AS MATERIALIZED (
    SELECT count(*) AS files, coalesce(sum(work), 0) AS work,
           count(*) FILTER (WHERE lane = :lane) AS of_lane,
           greatest(0, :large - count(*) FILTER (WHERE large)) AS large,
           least(:limit, greatest(:a_turn, :limit / greatest(1, (SELECT count(*) FROM sources)))) AS each,
           (SELECT count(*) FROM (SELECT source FROM sources UNION SELECT source FROM flying) s) AS sources
      FROM flying),
ready AS (
    SELECT found.*,
           s.files + row_number() OVER (PARTITION BY found.source ORDER BY found.id) AS nth,
           s.held - found.work + sum(found.work) OVER (PARTITION BY found.source ORDER BY found.id)
               AS turn
      FROM sources s CROSS JOIN now_ CROSS JOIN LATERAL (
           (SELECT id, source, size, 1 + least(size, :work_most) / :work_bytes AS work, false AS large
              FROM files
             WHERE state = 'pending' AND published_at IS NULL AND lane = :lane
               AND source = s.source AND size < :large_bytes
               AND (not_before IS NULL OR not_before <= now())
               AND NOT EXISTS (SELECT 1 FROM growths g JOIN files p ON p.id = g.follows
                                WHERE p.state IN ('pending', 'running') AND g.file_id = files.id)
             ORDER BY id LIMIT now_.each)
           UNION ALL
           (SELECT id, source, size, 1 + least(size, :work_most) / :work_bytes, true
              FROM (SELECT id, source, size FROM files
                     WHERE state = 'pending' AND published_at IS NULL AND lane = :lane
                       AND source = s.source AND now_.large > 0
                       AND (not_before IS NULL OR not_before <= now())
                       AND NOT EXISTS (
                           SELECT 1 FROM growths g JOIN files p ON p.id = g.follows
                            WHERE p.state IN ('pending', 'running') AND g.file_id = files.id)
                     ORDER BY id LIMIT now_.each) first -- those behind many small ones have time
             WHERE size >= :large_bytes LIMIT now_.large)) found),
placed AS (
    SELECT id, turn, work, nth, row_number() OVER by_turn AS place, sum(work) OVER by_turn AS total
      FROM (SELECT ready.*, row_number() OVER (PARTITION BY large ORDER BY turn, id) AS of_size
              FROM ready) r
     WHERE NOT large OR of_size <= (SELECT now_.large FROM now_)
    WINDOW by_turn AS (ORDER BY turn, id)),
chosen AS (
    SELECT placed.id, turn FROM placed CROSS JOIN now_
     WHERE total <= :window - now_.work AND place <= :files - now_.files
        OR place <= :least - now_.files
        OR :live AND (turn = 0 OR turn + placed.work <= :window / now_.sources
                                  AND nth <= :files / now_.sources)
     ORDER BY turn, placed.id
     LIMIT (SELECT least(:limit, greatest(0, least(:max_in_flight - files, :room - of_lane)))
              FROM now_))
SELECT f.id, f.source, f.key, f.version, f.size, f.md5, f.landing, f.stage, f.landed_at, f.lane,
       coalesce(f.lease_token, 0) AS token
  FROM chosen JOIN files f USING (id) ORDER BY turn, id
 LIMIT :limit;

-- name: pace
-- How much work the fleet has finished lately, a second, while files wait; children: of the workers that
-- are alive, at most.
SELECT CAST(coalesce(sum(1 + least(f.size, :work_most) / :work_bytes) FILTER (WHERE e.finished), 0)
            / greatest(0.5, extract(epoch FROM now() - min(e.at))) AS float8) AS work,
       (SELECT sum(CAST(state->>'most' AS int)) FROM heartbeats
         WHERE role = 'worker' AND beat_at > now() - make_interval(secs => :live)) AS children
  FROM (SELECT file_id, at, from_state = 'running' AND to_state <> 'pending' AS finished
          FROM file_events ORDER BY id DESC LIMIT :events) e
  LEFT JOIN files f ON e.finished AND f.id = e.file_id
 WHERE e.at > now() - make_interval(secs => :seconds)
   -- asked all the time: without a file that waits nothing is looked at
   AND EXISTS (SELECT 1 FROM files WHERE state = 'pending' AND published_at IS NULL);

-- name: unfinished
-- In two parts, as there are two indexes.
SELECT (SELECT count(*) FROM files
         WHERE state = 'pending' AND published_at IS NULL AND lane = :lane)
     + (SELECT count(*) FROM files
         WHERE state IN ('pending', 'running') AND published_at IS NOT NULL AND lane = :lane);

-- name: published
-- After the broker's confirm. A file that was claimed in the meantime, and perhaps given back, has
-- another token: its next message is still to be sent.
-- The rows are locked in their order, as those of a claim are: neither waits for the other in a circle.
WITH sent AS (
    SELECT f.id, s.sent_with
      FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS bigint[]), CAST(:carriers AS bigint[]))
           AS s(id, token, sent_with) JOIN files f USING (id)
     WHERE coalesce(f.lease_token, 0) = s.token AND f.published_at IS NULL AND f.state = 'pending'
     ORDER BY f.id FOR UPDATE OF f),
done AS (
    UPDATE files f SET published_at = now(), sent_with = sent.sent_with
      FROM sent
     WHERE f.id = sent.id AND f.published_at IS NULL AND f.state = 'pending'
    RETURNING f.id, f.stage, f.attempts)
INSERT INTO file_events (file_id, what, stage, attempt, who)
SELECT id, 'published', stage, attempts, :who FROM done;

-- name: claim
-- Atomic: exactly one caller wins a file. The lease runs by the database's clock. Of the files that come
-- with the first, only those that nobody ever held: what ends a worker must not take its neighbours
-- along a second time.
-- A first file that is small and that nobody held takes waiting ones of its source along, a share of
-- them: published ones, for each has a message and a task of its own. Rows that others have locked are
-- passed over, and the first is locked before them, which prevents a deadlock. A file that cannot be
-- claimed is not locked at all. If nothing was claimed, one row has the state of the first, and why it
-- was claimed last.
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
before AS (
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
              -- as the first version of the name was spelt: its readings' keys hold that
              CASE WHEN f.version > 1 THEN
                   (SELECT v.key FROM files v
                     WHERE v.source = f.source AND v.version = 1
                       AND coalesce(v.name, v.key) = coalesce(f.name, f.key))
              END AS first_key, f.previous),
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
UPDATE files SET lease_until = now() + make_interval(secs => :lease)
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: advance
-- A stage is done; the message of the next one is the chain's, so published_at starts anew.
UPDATE files
   SET state = 'pending', stage = :to, attempts = 0, retries = 0, lease_until = NULL,
       published_at = now(), sent_with = NULL,
       rows_read = :read, rows_rejected = :rejected, rows_duplicate = :duplicate,
       rows_missing = :missing, error_code = NULL, error_detail = NULL, error_place = NULL
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: release
-- Also of a lease that has ended, while nobody else took the file; said twice it counts once.
UPDATE files
   SET state = 'pending', lease_until = NULL, published_at = NULL,
       not_before = now() + make_interval(secs => :delay), retries = retries + 1,
       attempts = :attempt - CASE WHEN :burned THEN 0 ELSE 1 END,
       error_code = :code, error_detail = :detail, error_place = CAST(:place AS jsonb)
 WHERE id = :id AND lease_token = :token AND stage = :stage AND state IN ('running', 'pending');

-- name: given_back_lately
-- Whether a file was given back with this code, and is tried again or waits for that.
SELECT EXISTS (SELECT 1 FROM files
                WHERE state IN ('pending', 'running') AND error_code = :code
                  AND (state = 'running'
                       OR not_before > now() - make_interval(secs => :within)));

-- name: lasting
-- What keeps files from being loaded for longer than an outage lasts: infrastructure errors with which the
-- same file has been given back for more than :longer seconds, the last time within :recent seconds or until a
-- time that is not over: else it is not tried any more, and no outage keeps it. since: of the file that waits
-- longest.
SELECT code, count(*) AS files, min(since) AS since, (array_agg(id ORDER BY since, id))[1] AS file_id,
       (array_agg(detail ORDER BY since, id))[1] AS detail
  FROM (SELECT f.id, f.error_code AS code, f.error_detail AS detail, f.not_before, given_back.*
          FROM files f, LATERAL
               (SELECT min(e.at) AS since, max(e.at) AS latest FROM file_events e
                 WHERE e.file_id = f.id AND e.what = 'will be tried again'
                   AND e.why LIKE f.error_code || ':%'
                   AND e.id > coalesce((SELECT max(d.id) FROM file_events d
                                         WHERE d.file_id = f.id
                                           AND d.to_state IN ('loaded', 'quarantined', 'undone')), 0)
               ) AS given_back
         WHERE f.state IN ('pending', 'running') AND f.retries > 0 AND f.error_code LIKE 'I5%'
         ORDER BY f.id LIMIT 1000) AS waiting
 WHERE since < now() - make_interval(secs => :longer)
   AND (latest > now() - make_interval(secs => :recent) OR not_before > now())
 GROUP BY code ORDER BY since;

-- name: condemn
UPDATE files
   SET state = 'pending', stage = 'quarantine', attempts = 0, retries = 0, lease_until = NULL,
       published_at = NULL, rows_read = :read, rows_rejected = :rejected,
       rows_duplicate = :duplicate, rows_missing = :missing,
       error_code = :code, error_detail = :detail, error_place = CAST(:place AS jsonb)
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: quarantined
UPDATE files
   SET state = 'quarantined', lease_until = NULL, quarantined_to = :where,
       quarantines = quarantines + 1, finished_at = now(), tidy = false
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: older_versions
-- What a newer version replaces. The row locks wait for a loader of an older version to end, and let
-- an arrival that refers to it be registered.
UPDATE files f
   SET state = 'superseded', lease_until = NULL, finished_at = now(), previous = NULL, tidy = false,
       rows_replaced = 0
  FROM (SELECT id, state, stage, attempts FROM files
         WHERE source = :source AND coalesce(name, key) = :name AND version < :version
           AND state IN ('pending', 'running', 'loaded', 'quarantined', 'undone')
         ORDER BY id FOR NO KEY UPDATE) b
 WHERE f.id = b.id
RETURNING f.id, b.state AS state_before, f.stage, f.attempts, f.ts_min, f.ts_max;

-- name: delete_rows
-- The time range lets whole partitions be left alone, and the unique index find the rest.
DELETE FROM raw_readings WHERE file_id = :id AND ts BETWEEN :low AND :high;

-- name: rows_outside
-- Rows of superseded files outside the span of the version that replaced them.
SELECT count(*) AS found, min(ts) AS low, max(ts) AS high
  FROM raw_readings
 WHERE file_id = ANY(CAST(:ids AS bigint[])) AND ts BETWEEN :first AND :last
   AND (CAST(:low AS timestamptz) IS NULL OR ts < :low OR ts > :high);

-- name: orphaned_alias
-- A file just superseded may still be the newest content of another name: that name takes it over. Not of a
-- growing file, which other names are for all parts.
SELECT a.source, a.key, a.name, a.key_text
  FROM arrivals a
 WHERE a.file_id = :id AND coalesce(a.name, a.key) <> :name
   AND NOT EXISTS (SELECT 1 FROM growths g WHERE g.file_id = :id)
   AND NOT EXISTS (SELECT 1 FROM arrivals later
                    WHERE later.source = a.source AND later.id > a.id
                      AND (later.key = coalesce(a.name, a.key) AND later.name IS NULL
                           OR later.name = coalesce(a.name, a.key))
                      AND later.file_id <> a.file_id)
 ORDER BY a.id LIMIT 1;

-- name: take_over
INSERT INTO files (source, key, name, key_text, version, sha256, md5, size, mtime_ns, landing,
                   sensor_type, discovered_at, landed_at, on_change)
SELECT source, :key, CAST(:name AS bytea), :key_text,
       (SELECT coalesce(max(v.version), 0) + 1 FROM files v
         WHERE v.source = f.source
           AND coalesce(v.name, v.key) = coalesce(CAST(:name AS bytea), :key)),
       sha256, md5, size, mtime_ns, landing, sensor_type, discovered_at, landed_at, on_change
  FROM files f WHERE id = :id
RETURNING id;

-- name: alias_of
-- The file with other bytes that a name is an alias of, while it counts: the name has none of its own.
-- As it was spelt then.
SELECT f.id, l.key, l.name, l.key_text
  FROM (SELECT a.file_id, a.key, a.name, a.key_text FROM arrivals a
         WHERE a.source = :source AND (a.key = :name AND a.name IS NULL OR a.name = :name)
         ORDER BY a.id DESC LIMIT 1) l JOIN files f ON f.id = l.file_id
 WHERE coalesce(f.name, f.key) <> :name AND f.sha256 <> :sha256
   AND f.state IN ('pending', 'running', 'loaded')
   AND NOT EXISTS (SELECT 1 FROM growths g WHERE g.file_id = f.id);

-- name: move_alias
UPDATE arrivals SET file_id = :heir, kind = 'new'
 WHERE file_id = :id AND coalesce(name, key) = :name;

-- name: move_aliases
UPDATE arrivals a
   SET file_id = :heir,
       kind = CASE WHEN coalesce(a.name, a.key) = coalesce(CAST(:name AS bytea), :key)
                   THEN 'new' ELSE 'alias' END
 WHERE a.file_id = :id
   AND coalesce(a.name, a.key) <> (SELECT coalesce(name, key) FROM files WHERE id = :id);

-- name: finish
-- The last statement of a load: refused unless the fencing token is still the newest, and the database
-- guards its readings the way that the loader thinks. That cannot change until the commit: the rows that
-- it has written keep everybody from dropping the index.
UPDATE files
   SET state = 'loaded', stage = 'load', lease_until = NULL, finished_at = now(),
       rows_read = :read, rows_loaded = :loaded, rows_rejected = :rejected,
       rows_duplicate = :duplicate, rows_missing = :missing, checksum = :checksum,
       ts_min = :ts_min, ts_max = :ts_max, profile = :profile, profile_hash = :profile_hash,
       code_version = :code_version, identity = :identity, previous = NULL,
       rows_replaced = :replaced, tidy = tidy AND :replaced = 0, on_change = :on_change,
       remarks = :remarks,
       expired = ARRAY(SELECT layer FROM unnest(expired) layer WHERE layer = 'landing'),
       error_code = NULL, error_detail = NULL, error_place = NULL
 WHERE id = :id AND lease_token = :token AND state = 'running'
   AND (to_regclass('uq_raw_dedupe') IS NULL) = :deferred;

-- name: finish_together
-- As finish, of many files that were never loaded before.
UPDATE files f
   SET state = 'loaded', stage = 'load', lease_until = NULL, finished_at = now(),
       rows_read = d.read, rows_loaded = d.loaded, rows_rejected = d.rejected,
       rows_duplicate = d.duplicate, rows_missing = d.missing, checksum = d.checksum,
       ts_min = d.ts_min, ts_max = d.ts_max, profile = d.profile, profile_hash = d.profile_hash,
       code_version = :code_version, identity = d.identity, on_change = d.on_change,
       error_code = NULL, error_detail = NULL, error_place = NULL
  FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS bigint[]), CAST(:read AS bigint[]),
              CAST(:loaded AS bigint[]), CAST(:rejected AS bigint[]), CAST(:duplicate AS bigint[]),
              CAST(:missing AS bigint[]), CAST(:checksum AS numeric[]),
              CAST(:ts_min AS timestamptz[]), CAST(:ts_max AS timestamptz[]),
              CAST(:profile AS text[]), CAST(:profile_hash AS text[]), CAST(:identity AS text[]),
              CAST(:on_change AS text[]))
       AS d(id, token, read, loaded, rejected, duplicate, missing, checksum, ts_min, ts_max,
            profile, profile_hash, identity, on_change)
 WHERE f.id = d.id AND f.lease_token = d.token AND f.state = 'running'
   AND (to_regclass('uq_raw_dedupe') IS NULL) = :deferred;

-- name: add_events
INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why, seconds, rows)
SELECT e.file_id, e.what, e.from_state, e.to_state, e.stage, e.attempt, :who, e.why, e.seconds, e.rows
  FROM unnest(CAST(:file_id AS bigint[]), CAST(:what AS text[]), CAST(:from_state AS text[]),
              CAST(:to_state AS text[]), CAST(:stage AS text[]), CAST(:attempt AS int[]),
              CAST(:why AS text[]), CAST(:seconds AS double precision[]), CAST(:rows AS bigint[]))
       WITH ORDINALITY
       AS e(file_id, what, from_state, to_state, stage, attempt, why, seconds, rows, place)
 ORDER BY e.place;

-- name: hold_name
-- Versions of one name are merged one after the other, and so are files with the same bytes. In the order of
-- ids, so that no two loaders wait for each other. Also the name that `evict` knows the session by. Where a
-- client is silent for long, it may be busy with the next piece: who takes the file over ends its session.
SELECT set_config('application_name', :name, true),
       set_config('idle_in_transaction_session_timeout', '0', true),
       pg_advisory_xact_lock(hashtextextended('sensorflow load ' || id, 0))
  FROM (SELECT id FROM files
         WHERE :by_name AND source = :source AND coalesce(name, key) = :known_as AND version = 1
        UNION SELECT id FROM files
         WHERE :by_content AND source = :source AND sha256 = :sha256
           AND state IN ('pending', 'running', 'loaded')
        UNION SELECT CAST(:id AS bigint)
         ORDER BY id) names;

-- name: rivals
-- Files with rows in the database that may hold readings which file :id states, of a time. Other versions of
-- its name (of those loaded with on_change = "keep" the older ones), but for other parts of the same growing
-- file; its bytes under other names, which of a part of a growing file mean nothing; and files under other
-- names that hold what newer versions of its name state, having the same bytes as these. states: the file
-- that states them.
SELECT id, identity, id AS states FROM files
 WHERE :by_name AND source = :source AND coalesce(name, key) = :known_as AND id <> :id
   AND ts_max >= CAST(:low AS timestamptz) AND ts_min <= CAST(:high AS timestamptz)
   AND (identity IS NULL OR identity = :identity OR id < :id AND identity <> source || '/')
   AND NOT EXISTS (SELECT 1 FROM growths g WHERE g.file_id = files.id AND g.root = :root)
   AND ts_max IS NOT NULL
   AND (state = 'loaded' AND rows_loaded > rows_replaced OR previous IS NOT NULL)
UNION ALL
SELECT id, identity, id FROM files
 WHERE :by_content AND source = :source AND sha256 = :sha256 AND id <> :id
   AND coalesce(name, key) <> :known_as
   AND ts_max >= CAST(:low AS timestamptz) AND ts_min <= CAST(:high AS timestamptz)
   AND ts_max IS NOT NULL AND identity IS NOT NULL
   AND (state = 'loaded' AND rows_loaded > rows_replaced OR previous IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM growths g WHERE g.file_id = files.id)
UNION ALL
SELECT h.id, h.identity, n.id
  FROM files n JOIN files h ON h.source = n.source AND h.sha256 = n.sha256
 WHERE :by_name AND n.source = :source AND coalesce(n.name, n.key) = :known_as
   AND n.version > :version AND n.state = 'loaded' AND n.rows_replaced > 0
   AND coalesce(h.name, h.key) <> :known_as AND h.identity IS NOT NULL
   AND h.ts_max >= CAST(:low AS timestamptz) AND h.ts_min <= CAST(:high AS timestamptz)
   AND h.ts_max IS NOT NULL
   AND (h.state = 'loaded' AND h.rows_loaded > h.rows_replaced OR h.previous IS NOT NULL)
 LIMIT CAST(:most AS bigint);

-- name: rivals_of_many
-- Whether one of these new files has a version beside it, or its bytes under another name, that holds rows.
SELECT EXISTS (
    SELECT 1 FROM files f
      JOIN files o ON o.source = f.source AND coalesce(o.name, o.key) = coalesce(f.name, f.key)
           AND o.id <> f.id
     WHERE f.id = ANY(CAST(:ids AS bigint[])) AND o.ts_max IS NOT NULL
       AND (o.state = 'loaded' AND o.rows_loaded > o.rows_replaced OR o.previous IS NOT NULL))
    OR EXISTS (
    SELECT 1 FROM files f JOIN files o ON o.source = f.source AND o.sha256 = f.sha256 AND o.id <> f.id
     WHERE f.id = ANY(CAST(:by_content AS bigint[])) AND o.ts_max IS NOT NULL
       AND (o.state = 'loaded' AND o.rows_loaded > o.rows_replaced OR o.previous IS NOT NULL));

-- name: other_content
-- Whether one of these files has other bytes.
SELECT EXISTS (SELECT 1 FROM files WHERE id = ANY(CAST(:ids AS bigint[])) AND sha256 <> :sha256);

-- name: stage_of_stated
-- The keys of a batch, to find out who holds them. Dropped with the transaction.
CREATE TEMPORARY TABLE stated (ts timestamptz, dedupe_key uuid) ON COMMIT DROP;

-- name: unloaded_versions
SELECT id, size, sha256 FROM files
 WHERE source = :source AND coalesce(name, key) = :name AND version < :version
   AND version > coalesce((SELECT v.version FROM files v
                            WHERE v.source = :source AND coalesce(v.name, v.key) = :name
                              AND v.version < :version
                              AND v.state = 'loaded'
                            ORDER BY v.version DESC LIMIT 1), 0)
   AND state IN ('pending', 'quarantined') AND previous IS NULL AND size <= :size
   AND NOT EXISTS (SELECT 1 FROM growths g WHERE g.file_id = files.id)
 ORDER BY version DESC LIMIT 100;

-- name: predecessor
-- The newest loaded version before a version, of the last twenty.
SELECT * FROM files
 WHERE source = :source AND coalesce(name, key) = :name
   AND version BETWEEN :version - 20 AND :version - 1
   AND state = 'loaded' AND rows_loaded > rows_replaced
 ORDER BY version DESC LIMIT 1;

-- name: covered
-- Versions that never were loaded and whose bytes a newer one begins with.
UPDATE files f
   SET state = 'superseded', finished_at = now(), tidy = false
  FROM (SELECT id, state, stage, attempts FROM files
         WHERE id = ANY(CAST(:ids AS bigint[])) AND previous IS NULL
           AND state IN ('pending', 'quarantined')
         ORDER BY id FOR NO KEY UPDATE) b
 WHERE f.id = b.id
RETURNING f.id, b.state AS state_before, f.stage, f.attempts;

-- name: replaced
-- Readings of these files were replaced: their accounts, and their silver has to follow.
UPDATE files f
   SET rows_replaced = f.rows_replaced + d.rows, tidy = false,
       checksum = mod(f.checksum - d.checksum + 18446744073709551616, 18446744073709551616)
  FROM unnest(CAST(:ids AS bigint[]), CAST(:rows AS bigint[]), CAST(:checksums AS numeric[]))
       AS d(id, rows, checksum)
 WHERE f.id = d.id
RETURNING f.id, f.stage, f.attempts, f.sha256, d.rows;

-- name: replaced_span
-- Of the files that replaced readings of a file.
SELECT min(f.ts_min) AS low, max(f.ts_max) AS high
  FROM replacements r JOIN files f ON f.id = r.by_file WHERE r.file_id = :id AND r.rows > 0;

-- name: forget_replacements
DELETE FROM replacements WHERE file_id = ANY(CAST(:ids AS bigint[]));

-- name: add_replacements
INSERT INTO replacements (file_id, by_file, rows)
SELECT d.file_id, d.by_file, d.rows
  FROM unnest(CAST(:file_ids AS bigint[]), CAST(:by_files AS bigint[]), CAST(:rows AS bigint[]))
       AS d(file_id, by_file, rows)
 ORDER BY 1, 2
ON CONFLICT (file_id, by_file) DO UPDATE SET rows = replacements.rows + excluded.rows;

-- name: replaced_by
-- Loaded files whose readings these replaced, and files that were superseded because these begin with their
-- bytes; under other names than :name only, where one is given.
SELECT r.file_id, f.wanted_profile, r.by_file, r.rows
  FROM replacements r JOIN files f ON f.id = r.file_id
 WHERE r.by_file = ANY(CAST(:ids AS bigint[]))
   AND (f.state = 'loaded' OR f.state = 'superseded' AND r.rows = 0)
   AND f.id <> ALL(CAST(:along AS bigint[]))
   AND (CAST(:name AS bytea) IS NULL OR coalesce(f.name, f.key) <> :name)
 ORDER BY r.file_id;

-- name: stage_of_incoming
-- The slow path of a load: rows whose key may be there already. Dropped with the transaction.
CREATE TEMPORARY TABLE incoming (LIKE raw_readings) ON COMMIT DROP;

-- name: merge_incoming
-- Sorted by key, so that two loaders never wait for each other in a circle.
INSERT INTO raw_readings (ts, sensor_id, reading_type, value, unit, quality, file_id, line_no,
                          dedupe_key)
SELECT ts, sensor_id, reading_type, value, unit, quality, file_id, line_no, dedupe_key
  FROM incoming ORDER BY ts, dedupe_key
ON CONFLICT (ts, dedupe_key) DO NOTHING
RETURNING value, dedupe_key;

-- name: merge_difference
-- As merge_incoming, for all rows of a file that is loaded again.
INSERT INTO raw_readings (ts, sensor_id, reading_type, value, unit, quality, file_id, line_no,
                          dedupe_key)
SELECT ts, sensor_id, reading_type, value, unit, quality, file_id, line_no, dedupe_key
  FROM incoming ORDER BY ts, dedupe_key
ON CONFLICT (ts, dedupe_key) DO NOTHING;

-- name: remove_difference
-- Rows of the earlier load that are not, to the bit, among the new ones.
DELETE FROM raw_readings r
 USING (SELECT ts_min, ts_max FROM files WHERE id = :id) f
 WHERE r.file_id = :id AND r.ts BETWEEN f.ts_min AND f.ts_max
   AND NOT EXISTS (
       SELECT 1 FROM incoming i
        WHERE i.ts = r.ts AND i.dedupe_key = r.dedupe_key
          AND float8send(i.value) = float8send(r.value) AND i.sensor_id = r.sensor_id
          AND i.reading_type = r.reading_type AND i.unit = r.unit AND i.quality = r.quality
          AND i.line_no = r.line_no);

-- name: held_elsewhere
-- Incoming readings that another file holds.
SELECT i.value, i.dedupe_key
  FROM incoming i JOIN raw_readings r ON r.ts = i.ts AND r.dedupe_key = i.dedupe_key
 WHERE r.file_id <> :id AND r.ts BETWEEN :low AND :high;

-- name: merge_incoming_deferred
-- As merge_incoming, where months have a unique index each, or none: nothing to name, all are heeded.
INSERT INTO raw_readings (ts, sensor_id, reading_type, value, unit, quality, file_id, line_no,
                          dedupe_key)
SELECT ts, sensor_id, reading_type, value, unit, quality, file_id, line_no, dedupe_key
  FROM incoming ORDER BY ts, dedupe_key
ON CONFLICT DO NOTHING
RETURNING value, dedupe_key;

-- name: remove_surplus
-- All but one of a file's own rows of the same key, which no index may have kept out.
DELETE FROM raw_readings r
 USING (SELECT o.tableoid AS part, o.ctid AS place,
               row_number() OVER (PARTITION BY o.ts, o.dedupe_key ORDER BY o.ctid) AS number
          FROM raw_readings o, files f
         WHERE f.id = :id AND o.file_id = :id AND o.ts BETWEEN f.ts_min AND f.ts_max) d
 WHERE d.number > 1 AND r.tableoid = d.part AND r.ctid = d.place AND r.file_id = :id;

-- name: merge_difference_deferred
-- As merge_difference: what this file has is left out by looking, for keys hold the file's name; what
-- the index of a closed month knows, by that.
INSERT INTO raw_readings (ts, sensor_id, reading_type, value, unit, quality, file_id, line_no,
                          dedupe_key)
SELECT ts, sensor_id, reading_type, value, unit, quality, file_id, line_no, dedupe_key
  FROM incoming i
 WHERE NOT EXISTS (
       SELECT 1 FROM raw_readings r
        WHERE r.file_id = :id AND r.ts BETWEEN :low AND :high
          AND r.ts = i.ts AND r.dedupe_key = i.dedupe_key)
 ORDER BY ts, dedupe_key
ON CONFLICT DO NOTHING;

-- name: left_out
-- Incoming readings that are not this file's, after merge_difference_deferred.
SELECT i.value, i.dedupe_key
  FROM incoming i
 WHERE NOT EXISTS (
       SELECT 1 FROM raw_readings r
        WHERE r.file_id = :id AND r.ts BETWEEN :low AND :high
          AND r.ts = i.ts AND r.dedupe_key = i.dedupe_key);

-- name: lock_indexes
-- One at a time closes a month or changes the way in which all are guarded.
SELECT pg_advisory_xact_lock(hashtextextended('sensorflow.indexes', 0));

-- name: put_off_file
CREATE INDEX IF NOT EXISTS ix_raw_file ON raw_readings USING brin (file_id, ts)
  WITH (autosummarize = on);

-- name: put_off_unique
DROP INDEX IF EXISTS uq_raw_dedupe;

-- name: take_back_unique
-- Months that have such an index of their own give it to this one; on the others it is built.
CREATE UNIQUE INDEX IF NOT EXISTS uq_raw_dedupe ON raw_readings (ts, dedupe_key);

-- name: take_back_file
DROP INDEX IF EXISTS ix_raw_file;

-- name: missing_months
SELECT missing_reading_partitions(CAST(:months AS timestamptz[]));

-- name: droppable_months
-- Months of readings but the last ones, which loads make again and again. None of a hypertable.
SELECT CAST(p.month AS timestamp) AT TIME ZONE 'UTC' AS low
  FROM (SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month
          FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
         WHERE h.inhparent = CAST('raw_readings' AS regclass) AND c.relkind = 'r'
           AND c.relname ~ '^raw_readings_[0-9]{4}_[0-9]{2}$') p
 WHERE p.month NOT BETWEEN now() - interval '2 months' AND now() + interval '1 month'
 ORDER BY 1;

-- name: drop_empty_months
SELECT dropped, busy
  FROM drop_empty_reading_partitions(CAST(:months AS timestamptz[]), make_interval(secs => :pause));

-- name: months
-- The months of readings. closed: its unique index is there. due: over for so long. busy: readings of it
-- were loaded lately. doubled_at: when it could not be closed last.
SELECT m.month, m.low, m.high, m.closed, m.doubled_at,
       m.high + make_interval(secs => :after) <= now() AS due,
       NOT m.closed AND EXISTS (
           SELECT 1 FROM files f
            WHERE f.state = 'loaded' AND f.finished_at > now() - make_interval(secs => :quiet)
              AND f.ts_min < m.high AND f.ts_max >= m.low) AS busy
  FROM (SELECT p.month, CAST(p.month AS timestamp) AT TIME ZONE 'UTC' AS low,
               (p.month + interval '1 month') AT TIME ZONE 'UTC' AS high,
               EXISTS (SELECT 1 FROM pg_index i
                        WHERE i.indrelid = p.oid AND i.indisunique AND i.indisvalid
                          AND pg_get_indexdef(i.indexrelid) LIKE '%(ts, dedupe_key)') AS closed,
               CAST(substring(obj_description(p.oid, 'pg_class')
                              FROM '^sensorflow: rows doubled, (.*)$') AS timestamptz) AS doubled_at
          FROM (SELECT c.oid, to_date(right(c.relname, 7), 'YYYY_MM') AS month
                  FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                 WHERE h.inhparent = CAST('raw_readings' AS regclass)
                   AND c.relname ~ '^raw_readings_[0-9]{4}_[0-9]{2}$') p) m
 ORDER BY m.month;

-- name: close_month
SELECT close_reading_partition(:low);

-- name: doubled
-- Readings of a month that are there more than once: the first few, and how many in all.
SELECT ts, min(sensor_id) AS sensor_id, min(reading_type) AS reading_type,
       array_agg(file_id ORDER BY file_id, line_no) AS file_ids,
       array_agg(line_no ORDER BY file_id, line_no) AS line_nos, count(*) OVER () AS total
  FROM raw_readings WHERE ts >= :low AND ts < :high
 GROUP BY ts, dedupe_key HAVING count(*) > 1
 ORDER BY ts, dedupe_key LIMIT CAST(:most AS bigint);

-- name: evict
-- Sessions that are still loading this file, alone or together with others (which hold the lock shared;
-- whoever merges a version of the name holds it alone): who holds the newest claim ends them, at any attempt,
-- for their workers have lost it. ended: false where that takes longer, null where this user may not.
SELECT a.pid, a.usename,
       CASE WHEN pg_has_role(a.usesysid, 'USAGE')
                 OR pg_has_role('pg_signal_backend', 'USAGE') AND NOT r.rolsuper
            THEN pg_terminate_backend(a.pid, 5000) END AS ended
  FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
   AND (a.application_name = :name AND a.usename = current_user
        OR a.pid IN (SELECT l.pid FROM pg_locks l
                      WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
                        AND (l.mode = 'ShareLock' OR a.application_name = :name)
                        AND l.database = (SELECT oid FROM pg_database
                                           WHERE datname = current_database())
                        AND (CAST(l.classid AS bigint) << 32 | CAST(l.objid AS bigint))
                            = hashtextextended(:name, 0)))
   AND EXISTS (SELECT FROM files
                WHERE id = :id AND lease_token = :token AND state = 'running');

-- name: old_sessions
-- Sessions of sensorflow with a transaction older than :older_than seconds that hold locks others may wait
-- for. silent: seconds since the client last said something, or since its statement began. outdated: it
-- loads a file that it has no claim to any more. waiting: how many sessions it blocks at this moment.
-- Of other users' sessions the state is hidden from who may not see it.
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

-- name: hold_together
-- What `evict` knows a session by that loads many files. A client may be busy for long between two pieces.
SELECT set_config('idle_in_transaction_session_timeout', '0', true),
       count(pg_advisory_xact_lock_shared(hashtextextended('sensorflow load ' || id, 0)))
  FROM unnest(CAST(:ids AS bigint[])) AS id;

-- name: replay
-- Through again, from the landed bytes. The rows of a loaded file stay, and so does their account.
UPDATE files f
   SET state = 'pending', stage = 'validate', attempts = 0, retries = 0, published_at = NULL,
       not_before = NULL, lane = 'backfill', wanted_profile = :profile,
       previous = CASE WHEN b.state = 'loaded' THEN jsonb_build_object(
           'rows_read', rows_read, 'rows_loaded', rows_loaded, 'rows_rejected', rows_rejected,
           'rows_duplicate', rows_duplicate, 'rows_missing', rows_missing,
           'finished_at', finished_at) END,
       finished_at = NULL, rows_read = 0, rows_loaded = 0, rows_rejected = 0, rows_duplicate = 0,
       rows_missing = 0, error_code = NULL, error_detail = NULL, error_place = NULL
  FROM (SELECT id, state FROM files WHERE id = :id FOR UPDATE) b
 WHERE f.id = b.id AND (b.state IN ('loaded', 'quarantined', 'undone')
                        OR :also_superseded AND b.state = 'superseded')
   AND NOT 'landing' = ANY(f.expired)
RETURNING f.id, b.state AS state_before;

-- name: give_up
-- A replay that led to no load: the account of the rows that are there holds again.
UPDATE files
   SET state = 'loaded', stage = 'load', attempts = 0, retries = 0, lease_until = NULL,
       rows_read = (previous->>'rows_read')::bigint,
       rows_loaded = (previous->>'rows_loaded')::bigint,
       rows_rejected = (previous->>'rows_rejected')::bigint,
       rows_duplicate = (previous->>'rows_duplicate')::bigint,
       rows_missing = (previous->>'rows_missing')::bigint,
       finished_at = (previous->>'finished_at')::timestamptz, previous = NULL,
       error_code = :code, error_detail = :detail, error_place = CAST(:place AS jsonb)
 WHERE id = :id AND lease_token = :token AND state = 'running' AND previous IS NOT NULL;

-- name: place_of
SELECT source, coalesce(name, key) AS known_as, sha256 FROM files WHERE id = :id;

-- name: undo
-- Also of a file that waits to go through again: the account of the rows that are there is given back first.
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
-- Loaded files whose keys hold the same file name, and that left readings of this span out; of a growing
-- file any other part, for what it left out may lie outside of its own span. Files loaded by 0.1.0 do not
-- tell what their keys hold.
SELECT id FROM files
 WHERE source = :source AND id <> :id AND state = 'loaded' AND rows_duplicate > 0
   AND (ts_min <= :high AND ts_max >= :low
        OR id IN (SELECT o.file_id FROM growths g JOIN growths o USING (root) WHERE g.file_id = :id))
   AND (CAST(:identity AS text) IS NULL OR identity = :identity
        OR identity IS NULL AND :identity = :source || '/')
   AND NOT id = ANY(CAST(:along AS bigint[]))
 ORDER BY id;

-- name: untidy
-- The next file that may have something lying about. Its row is held: it cannot be replayed meanwhile.
-- One that is not loaded is looked at as soon as it is finished, and again when a worker that had it then
-- has surely written what it was about to write.
SELECT * FROM files
 WHERE NOT tidy AND id > :after AND state IN ('loaded', 'quarantined', 'superseded', 'undone')
   AND (state = 'loaded' OR collected_for IS DISTINCT FROM finished_at
        OR finished_at < now() - make_interval(secs => :again))
 ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: tidied
UPDATE files
   SET tidy = state = 'loaded' OR finished_at < now() - make_interval(secs => :again),
       collected_for = finished_at
 WHERE id = :id;

-- name: collect_again
UPDATE files SET tidy = false, collected_for = NULL WHERE id = :id;

-- name: lock_landing
SELECT pg_advisory_xact_lock(hashtextextended('sensorflow.landing', 0));

-- name: unneeded_landing
-- A landed object of which no ledger row says that it is kept.
SELECT :landing WHERE NOT EXISTS (
    SELECT 1 FROM files WHERE landing = :landing AND NOT 'landing' = ANY(expired));

-- name: expire_layer
-- The bytes of a file that is not finished are its last copy, and so are those of a quarantined one. The
-- beginning of a growing file holds the header that what comes later is read by.
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
-- Whole files, when their newest reading is old enough.
UPDATE files SET expired = array_append(expired, :layer)
 WHERE id IN (SELECT id FROM files
               WHERE source = :source AND state = 'loaded'
                 AND ts_max < now() - make_interval(secs => :age)
                 AND NOT :layer = ANY(expired)
               ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING id, stage, ts_min, ts_max;

-- name: forget
SELECT forget_events(:source, :age, :limit);

-- name: expire
-- Leases that ended: their workers are gone, or will be refused. Not just after a start: their workers
-- may be alive, and only now get through.
WITH expired AS (
    UPDATE files SET state = 'pending', lease_until = NULL, published_at = NULL
     WHERE id IN (SELECT id FROM files
                   WHERE state = 'running' AND lease_until < now()
                     AND pg_postmaster_start_time() < now() - make_interval(secs => :grace)
                   FOR UPDATE SKIP LOCKED)
    RETURNING id, stage, attempts, lease_owner),
told AS (
    INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why)
    SELECT id, 'lease expired', 'running', 'pending', stage, attempts, :who,
           'held by ' || lease_owner
      FROM expired)
SELECT count(*) FROM expired;

-- name: waiting_messages
-- Published and not taken: this many messages the broker should hold.
SELECT count(DISTINCT coalesce(sent_with, id)) FROM files
 WHERE state = 'pending' AND published_at IS NOT NULL;

-- name: stale
-- Messages that nobody took for so long may be lost: publish their files again.
WITH old AS MATERIALIZED (
    SELECT id, dense_rank() OVER (ORDER BY since, message) AS place
      FROM (SELECT id, coalesce(sent_with, id) AS message,
                   min(published_at) OVER (PARTITION BY coalesce(sent_with, id)) AS since
              FROM files
             WHERE state = 'pending'
               AND published_at < now() - make_interval(secs => :stale_after)) o),
lost AS (
    UPDATE files SET published_at = NULL
     WHERE id IN (SELECT f.id FROM files f JOIN old USING (id)
                   WHERE old.place <= :lost AND f.state = 'pending'
                     AND f.published_at < now() - make_interval(secs => :stale_after)
                   FOR UPDATE OF f SKIP LOCKED)
    RETURNING id, stage, attempts),
told AS (
    INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why)
    SELECT id, 'message missing', 'pending', 'pending', stage, attempts, :who,
           'not taken after ' || :stale_after || ' s'
      FROM lost)
SELECT count(*) FROM lost;

-- name: list_files
-- See `listing.FileFilter`; name is a regular expression.
SELECT * FROM files
 WHERE (CAST(:state AS text) IS NULL OR state = :state)
   AND (CAST(:source AS text) IS NULL OR source = :source)
   AND (CAST(:landed_since AS timestamptz) IS NULL OR landed_at >= :landed_since)
   AND (CAST(:finished_since AS timestamptz) IS NULL OR finished_at >= :finished_since)
   AND (CAST(:code AS text) IS NULL OR error_code = :code)
   AND (NOT :rejected OR rows_rejected > 0)
   AND (CAST(:name AS text) IS NULL OR key_text ~ :name
        OR id IN (SELECT a.file_id FROM arrivals a WHERE a.kind = 'alias' AND a.key_text ~ :name))
   AND (NOT :whole OR NOT EXISTS (
        SELECT 1 FROM growths g WHERE g.file_id = files.id AND g.follows IS NOT NULL))
 ORDER BY id DESC LIMIT :limit;

-- name: named
-- In each source by the name as it is given, if files are known by exactly that; else however it is
-- spelt; else by what is shown of a name that is no UTF-8; else the file whose bytes an alias has.
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

-- name: survivors
-- Names of which older versions hold readings beside a newer loaded one; parts of growing files always do.
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

-- name: select_files
SELECT * FROM files
 WHERE state = ANY(:states) AND (CAST(:source AS text) IS NULL OR source = :source)
   AND (CAST(:since AS timestamptz) IS NULL OR landed_at >= :since)
 ORDER BY id;

-- name: history
SELECT at, what, from_state, to_state, stage, attempt, who, why, seconds, rows
  FROM file_events WHERE file_id = :id ORDER BY id;

-- name: arrivals_of
SELECT at, kind, key_text AS name, fingerprint, archive FROM arrivals WHERE file_id = :id ORDER BY id;

-- name: totals
SELECT source, state, count(*) AS files, sum(rows_read) AS rows_read,
       sum(rows_loaded) AS rows_loaded, sum(rows_rejected) AS rows_rejected,
       sum(rows_duplicate) AS rows_duplicate, sum(rows_missing) AS rows_missing,
       sum(rows_replaced) AS rows_replaced
  FROM files GROUP BY source, state ORDER BY source, state;

-- name: activity
-- See `listing.Activity`. A file that is replayed waits since then, not since it arrived.
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

-- name: readings_at
-- The time leads to the partition and the index. line_base: lines of a growing file before the file's own.
SELECT r.file_id, r.line_no, r.ts, r.value, r.unit, r.quality, coalesce(g.line_base, 0) AS line_base,
       g.file_id IS NOT NULL AS growth
  FROM raw_readings r LEFT JOIN growths g ON g.file_id = r.file_id
 WHERE r.ts = :ts AND r.sensor_id = :sensor AND r.reading_type = :kind
 ORDER BY r.file_id, r.line_no;

-- name: readings_near
-- Of each sensor and type the reading that is nearest to a time, within :seconds of it.
SELECT DISTINCT ON (sensor_id, reading_type) sensor_id AS sensor, reading_type AS kind, ts
  FROM raw_readings
 WHERE ts BETWEEN CAST(:ts AS timestamptz) - make_interval(secs => :seconds)
              AND CAST(:ts AS timestamptz) + make_interval(secs => :seconds)
 ORDER BY sensor_id, reading_type, abs(extract(epoch FROM ts - CAST(:ts AS timestamptz))) LIMIT 1000;

-- ---- heartbeats ----

-- name: beat
-- A loop of a process is alive. Rows of processes that ended without a word go after a day.
WITH old AS (DELETE FROM heartbeats WHERE beat_at < now() - make_interval(secs => :forgotten))
INSERT INTO heartbeats AS h (process, role, host, pid, settings, state)
VALUES (:process, :role, :host, :pid, :settings, CAST(:state AS jsonb))
ON CONFLICT (process, role) DO UPDATE
   SET settings = excluded.settings, state = excluded.state, beat_at = now();

-- name: end_beats
DELETE FROM heartbeats WHERE process = :process;

-- name: heartbeats
SELECT process, role, host, pid, settings, state, started_at, beat_at,
       CAST(extract(epoch FROM now() - beat_at) AS float8) AS age
  FROM heartbeats ORDER BY role, started_at, process;

-- name: holders
SELECT 'intake of ' || source AS name, owner, until <= now() AS ended FROM intake_leases
 UNION ALL
SELECT name, owner, until <= now() FROM leases;

-- name: backlog
-- In two parts, as there are two indexes. A file that is replayed waits since then.
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

-- ---- files that grow ----

-- name: grown
-- What was taken of growing files: the newest of each name and of each inode, and the newest of all.
WITH found AS (
    (SELECT DISTINCT ON (key) * FROM growing_files
      WHERE source = :source AND key = ANY(CAST(:keys AS bytea[])) ORDER BY key, root DESC)
    UNION
    (SELECT DISTINCT ON (inode) * FROM growing_files
      WHERE source = :source AND inode = ANY(CAST(:inodes AS text[])) ORDER BY inode, root DESC)
    UNION
    (SELECT * FROM growing_files WHERE source = :source
      ORDER BY root DESC LIMIT CAST(:newest AS bigint)))
SELECT c.*, extract(epoch FROM now() - c.grown_at) AS age,
       f.state IN ('pending', 'running') AS waiting
  FROM found c JOIN files f ON f.id = c.last_file ORDER BY c.root;

-- name: is_newest_growth
SELECT EXISTS (SELECT 1 FROM growing_files WHERE root = :root AND last_file = :last AND size = :size);

-- name: add_growth
-- A version of its own, of a file that goes on.
INSERT INTO files (source, key, name, key_text, version, sha256, md5, size, mtime_ns, landing,
                   sensor_type, stage, discovered_at, landed_at, lane, on_change)
SELECT :source, :key, CAST(:name AS bytea), :key_text,
       (SELECT version + 1 FROM files
         WHERE source = :source AND coalesce(name, key) = coalesce(CAST(:name AS bytea), :key)
         ORDER BY version DESC LIMIT 1),
       :sha256, :md5, :size, :mtime_ns, :landing, :sensor_type, 'validate', :discovered_at,
       :landed_at, :lane, :on_change
RETURNING id, version, stage;

-- name: begin_growing
INSERT INTO growing_files (root, source, key, last_file, inode, size, lines, head, tail, fingerprint)
VALUES (:root, :source, :key, :root, :inode, :size, :lines, :head, :tail, :fingerprint);

-- name: go_on_growing
UPDATE growing_files
   SET last_file = :id, inode = :inode, size = :size, lines = :lines, head = :head, tail = :tail,
       fingerprint = :fingerprint, grown_at = now()
 WHERE root = :root;

-- name: add_part
INSERT INTO growths (file_id, root, follows, byte_offset, line_base)
VALUES (:id, :root, :follows, :byte_offset, :line_base);

-- name: looked_at
UPDATE growing_files
   SET fingerprint = :fingerprint, inode = :inode,
       checked = CASE WHEN :whole THEN :fingerprint ELSE checked END
 WHERE root = :root AND last_file = :last;

-- name: add_other_name
-- Of a file that was renamed or copied: once for each name.
INSERT INTO arrivals (file_id, source, key, name, key_text, fingerprint, kind)
SELECT :id, :source, :key, CAST(:name AS bytea), :key_text, :fingerprint, 'alias'
 WHERE NOT EXISTS (SELECT 1 FROM arrivals a JOIN growths g ON g.file_id = a.file_id
                    WHERE a.source = :source AND a.key = :key AND g.root = :root
                      AND (NOT :copy OR a.fingerprint = :fingerprint));

-- name: segments
SELECT f.id, f.version, g.byte_offset, f.size, f.sha256, f.landing, f.sensor_type, f.landed_at,
       f.state = 'loaded' AS loaded
  FROM growths g JOIN files f ON f.id = g.file_id
 WHERE g.root = :root AND g.byte_offset >= :start ORDER BY g.byte_offset LIMIT :limit;

-- name: segments_before
SELECT f.id, f.version, g.byte_offset, f.size, f.sha256, f.landing, f.sensor_type, f.landed_at,
       f.state = 'loaded' AS loaded
  FROM growths g JOIN files f ON f.id = g.file_id
 WHERE g.root = :root AND g.byte_offset < :end ORDER BY g.byte_offset DESC LIMIT :limit;

-- name: rows_beside
-- What other growths of a file hold at some times. The times lead to the partitions and the index.
SELECT r.sensor_id, r.reading_type, r.ts, r.value, r.dedupe_key
  FROM raw_readings r
 WHERE r.ts = ANY(CAST(:ts AS timestamptz[])) AND r.file_id <> :id
   AND EXISTS (SELECT 1 FROM growths g WHERE g.file_id = r.file_id AND g.root = :root);

-- name: rows_beside_deferred
-- The same where no index leads to the times: the files that may hold some do.
SELECT r.sensor_id, r.reading_type, r.ts, r.value, r.dedupe_key
  FROM raw_readings r
 WHERE r.ts = ANY(CAST(:ts AS timestamptz[])) AND r.ts BETWEEN :low AND :high
   AND r.file_id = ANY(ARRAY(
       SELECT f.id FROM growths g JOIN files f ON f.id = g.file_id
        WHERE g.root = :root AND f.id <> :id AND f.ts_max >= :low AND f.ts_min <= :high));

-- name: chain_grew
-- Before `finish`, which forgets what was there before.
UPDATE growing_files c
   SET rows_read = c.rows_read + :read - coalesce(CAST(f.previous->>'rows_read' AS bigint), 0),
       rows_rejected = c.rows_rejected + :rejected
                     - coalesce(CAST(f.previous->>'rows_rejected' AS bigint), 0),
       ts_max = greatest(c.ts_max, :ts_max)
  FROM files f
 WHERE f.id = :id AND c.root = :root;

-- name: chain_shrank
UPDATE growing_files c
   SET rows_read = c.rows_read - f.rows_read, rows_rejected = c.rows_rejected - f.rows_rejected
  FROM files f JOIN growths g ON g.file_id = f.id
 WHERE f.id = :id AND c.root = g.root;

-- name: chains
-- Of those of these files that are a growth: sums over all growths of the file, and over the loaded ones.
SELECT asked.id AS asked, c.root, c.size, c.lines, c.last_file, sums.*
  FROM unnest(CAST(:ids AS bigint[])) AS asked(id)
  JOIN growths mine ON mine.file_id = asked.id
  JOIN growing_files c ON c.root = mine.root
 CROSS JOIN LATERAL (
       SELECT count(*) AS growths,
              count(*) FILTER (WHERE f.state = 'pending') AS pending,
              count(*) FILTER (WHERE f.state = 'running') AS running,
              count(*) FILTER (WHERE f.state = 'loaded') AS loaded,
              count(*) FILTER (WHERE f.state = 'quarantined') AS quarantined,
              count(*) FILTER (WHERE f.state = 'superseded') AS superseded,
              count(*) FILTER (WHERE f.state = 'undone') AS undone,
              coalesce(sum(f.rows_read) FILTER (WHERE f.state = 'loaded'), 0) AS rows_read,
              coalesce(sum(f.rows_loaded) FILTER (WHERE f.state = 'loaded'), 0) AS rows_loaded,
              coalesce(sum(f.rows_rejected) FILTER (WHERE f.state = 'loaded'), 0) AS rows_rejected,
              coalesce(sum(f.rows_duplicate) FILTER (WHERE f.state = 'loaded'), 0) AS rows_duplicate,
              coalesce(sum(f.rows_missing) FILTER (WHERE f.state = 'loaded'), 0) AS rows_missing,
              coalesce(sum(f.rows_replaced) FILTER (WHERE f.state = 'loaded'), 0) AS rows_replaced,
              sum(f.rows_read) AS all_read, sum(f.rows_rejected) AS all_rejected,
              sum(f.rows_duplicate) AS all_duplicate, sum(f.rows_missing) AS all_missing,
              coalesce(sum(f.rows_read - f.rows_rejected - f.rows_duplicate)
                           FILTER (WHERE f.state <> 'loaded'), 0) AS not_loaded
         FROM growths g JOIN files f ON f.id = g.file_id WHERE g.root = c.root) sums;

-- name: files_of
SELECT * FROM files WHERE id = ANY(CAST(:ids AS bigint[]));

-- ---- audit: reads of one snapshot, and the mending after it ----

-- name: audit_snapshot
SELECT pg_export_snapshot() AS name, now() AS taken_at;

-- name: audit_files
-- Every column that an audit holds the disk and the readings against. moved_at: the last step, of files
-- that are not done.
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
-- Files whose events are not those that were hashed; and files of which no hash, or nothing but that, is
-- there. A file of before anything was hashed (row 0) has none until its next event.
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
-- Which file holds each key. The time leads to the partition and the index.
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
-- As audit_sharing, where no index leads to the time: one look through a month answers for all.
SELECT count(r.ts) AS found
  FROM unnest(CAST(:ts AS timestamptz[]), CAST(:sensors AS text[]), CAST(:kinds AS text[]))
       WITH ORDINALITY AS k(ts, sensor, kind, place)
  LEFT JOIN raw_readings r ON r.ts = k.ts AND r.sensor_id = k.sensor AND r.reading_type = k.kind
        AND r.ts BETWEEN (SELECT min(t) FROM unnest(CAST(:ts AS timestamptz[])) t)
                     AND (SELECT max(t) FROM unnest(CAST(:ts AS timestamptz[])) t)
 GROUP BY k.place ORDER BY k.place;

-- name: audit_unknown
-- Which of these states of files in a drop folder were never registered.
SELECT k.key, k.fingerprint
  FROM unnest(CAST(:keys AS bytea[]), CAST(:fingerprints AS text[])) AS k(key, fingerprint)
 WHERE NOT EXISTS (SELECT 1 FROM arrivals a WHERE a.source = :source AND a.key = k.key
                      AND (a.fingerprint = k.fingerprint
                           OR (starts_with(k.fingerprint, '*:*:')
                               AND a.fingerprint LIKE '%' || substr(k.fingerprint, 4))));

-- name: audit_hold
-- No replay, no load and no other mending begins until the transaction ends. Silver is made meanwhile.
SELECT set_config('idle_in_transaction_session_timeout', '10min', true) FROM files WHERE id = :id FOR NO KEY UPDATE;

-- name: audit_remove_rows
DELETE FROM raw_readings WHERE file_id = :id;

-- ---- backup: the ledger as of one moment, and what holds the disk as it is then ----

-- name: saved_kind
SELECT to_regclass('files') AS files,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescale;

-- name: wait_long
SELECT set_config('idle_in_transaction_session_timeout', '0', false), set_config('lock_timeout', '0', false);

-- name: hold_backup
-- One backup of a database at a time.
SELECT pg_try_advisory_lock(hashtextextended('sensorflow.backup', 0));

-- name: hold_disk
-- From here on nothing that the ledger names is removed or rewritten by `tidy`; waits for one that does so now.
SELECT pg_advisory_lock(hashtextextended('sensorflow.disk', 0));

-- name: may_remove
-- False while a backup copies what lies on the disk.
SELECT pg_try_advisory_xact_lock_shared(hashtextextended('sensorflow.disk', 0));

-- name: saved_facts
SELECT count(*) AS files,
       coalesce(sum(rows_loaded - rows_replaced) FILTER (WHERE state = 'loaded'), 0) AS rows,
       (SELECT coalesce(max(id), 0) FROM file_events) AS last_event,
       (SELECT version_num FROM alembic_version) AS revision,
       (SELECT jsonb_object_agg(state, n) FROM (SELECT state, count(*) AS n FROM files GROUP BY state) s) AS states
  FROM files;

-- name: saved_files
SELECT id AS file_id, source, version, landing, size, sensor_type, landed_at AS received_at, quarantines, expired
  FROM files ORDER BY id;

-- name: replayed_late
SELECT e.id AS event, e.file_id, f.wanted_profile
  FROM file_events e JOIN files f ON f.id = e.file_id
 WHERE e.id > :after AND e.what = 'replayed';

-- name: known_events
SELECT id FROM file_events WHERE id = ANY(CAST(:ids AS bigint[]));

-- name: finished_of
SELECT id FROM files
 WHERE id = ANY(CAST(:ids AS bigint[])) AND state IN ('loaded', 'quarantined', 'undone', 'superseded');

-- name: revoke_from_public
-- What runs with its owner's rights is for the roles that it is granted to, and no others.
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE prosecdef AND pronamespace = CAST(current_schema() AS regnamespace) LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

-- name: announce
-- A gate in one state says one thing of a name. A gate that is sent again is in another state.
INSERT INTO announcements AS a (source, gate, mark, key, file_id, what)
VALUES (:source, :gate, :mark, :key, :id, CAST(:what AS jsonb))
ON CONFLICT (source, gate, mark, key) DO UPDATE
   SET file_id = excluded.file_id, what = excluded.what, at = clock_timestamp();

-- name: announced
SELECT what FROM announcements WHERE file_id = :id ORDER BY at DESC;

-- name: announced_by
SELECT key FROM announcements WHERE source = :source AND gate = :gate AND mark = :mark;

-- name: archive
-- What an archive hands on to its members, after lock_source. rows: of a load as one file that are there.
-- earlier: a version before it that has not been unpacked yet: what it holds is older.
SELECT f.lane, f.discovered_at, f.landed_at,
       coalesce(CAST(f.previous->>'rows_loaded' AS bigint), 0) AS rows,
       (SELECT v.version FROM files v
         WHERE v.source = f.source AND coalesce(v.name, v.key) = coalesce(f.name, f.key)
           AND v.version < f.version AND v.state IN ('pending', 'running') AND v.members IS NULL
           AND v.stage <> 'quarantine'
         ORDER BY v.version LIMIT 1) AS earlier
  FROM files f WHERE f.id = :id AND f.lease_token = :token AND f.state = 'running' FOR UPDATE OF f;

-- name: later_member
-- A member that a newer version of the archive has brought with other bytes, and this one has not yet.
SELECT m.key_text AS name, v.version
  FROM unnest(CAST(:keys AS bytea[]), CAST(:fingerprints AS text[]), CAST(:sha256s AS bytea[]),
              CAST(:key_texts AS text[])) AS m(key, fingerprint, sha256, key_text)
  JOIN arrivals a ON a.source = :source AND a.key = m.key
  JOIN files v ON v.id = a.archive AND v.version > :version
  JOIN files f ON f.id = a.file_id AND f.sha256 <> m.sha256
 WHERE NOT EXISTS (SELECT 1 FROM arrivals o
                    WHERE o.source = :source AND o.key = m.key AND o.fingerprint = m.fingerprint)
 LIMIT 1;

-- name: add_lineage
UPDATE arrivals a SET archive = :id
  FROM unnest(CAST(:keys AS bytea[]), CAST(:fingerprints AS text[])) AS m(key, fingerprint)
 WHERE a.source = :source AND a.key = m.key AND a.fingerprint = m.fingerprint;

-- name: wanted_profile
UPDATE files SET wanted_profile = :profile WHERE id = ANY(CAST(:ids AS bigint[]));

-- name: unpacked
-- As finish, of an archive: it holds no readings of its own.
UPDATE files
   SET state = 'loaded', stage = 'load', lease_until = NULL, finished_at = now(), members = :members,
       rows_read = 0, rows_loaded = 0, rows_rejected = 0, rows_duplicate = 0, rows_missing = 0,
       rows_replaced = 0, checksum = 0, ts_min = NULL, ts_max = NULL, identity = NULL, previous = NULL,
       profile = :profile, profile_hash = :profile_hash, code_version = :code_version,
       on_change = :on_change, error_code = NULL, error_detail = NULL, error_place = NULL,
       expired = ARRAY(SELECT layer FROM unnest(expired) layer WHERE layer = 'landing')
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: members_of
-- The files of an archive. besides: other archives that they came in, 0 where they came by themselves; of what
-- was undone nothing is told.
SELECT a.key_text AS name, a.file_id,
       ARRAY(SELECT DISTINCT coalesce(o.archive, 0)
               FROM arrivals o LEFT JOIN files p ON p.id = o.archive
              WHERE o.file_id = a.file_id AND o.archive IS DISTINCT FROM a.archive
                AND p.state IS DISTINCT FROM 'undone') AS besides
  FROM arrivals a WHERE a.archive = :id ORDER BY a.key_text COLLATE "C", a.id;
