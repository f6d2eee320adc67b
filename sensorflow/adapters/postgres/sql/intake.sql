-- Intake: decides which process takes in the files of a source, and whether an arrival is a new file, a
-- new version or an alias.

-- name: lock_source
-- Serializes the registrations of a source, so that no two processes register the same version or alias.
-- Also prevents the removal of landed objects until the transaction ends. If a client with the lock stops
-- responding, because its process was suspended or its host has failed, the server ends its session after
-- ten seconds, because others wait for the lock.
SELECT set_config('idle_in_transaction_session_timeout', '10s', true),
       pg_advisory_xact_lock_shared(hashtextextended('sensorflow.landing', 0)),
       pg_advisory_xact_lock(hashtextextended('sensorflow.register:' || :source, 0));

-- name: intake_lease
-- The intake lease of a source. vacant: whether :process may take over the lease.
SELECT owner, process, token, until <= now() OR process IN (:process, :ended) AS vacant
  FROM intake_leases WHERE source = :source;

-- name: take_intake
-- Atomic claim: exactly one caller wins. Run this after lock_source. A registration under an older lease
-- is then either already committed, or will be rejected.
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
-- Whether this lease is the newest lease of its source. If lock_source was run before, the result stays
-- valid until the commit.
SELECT EXISTS (SELECT 1 FROM intake_leases WHERE source = :source AND token = :token);

-- name: unloaded
-- bytes: the landed bytes of a source that are not loaded yet; queried in two parts, so that two indexes
-- are used. rows_per_byte: readings per landed byte of the files that were loaded in the newest :events
-- events.
WITH open AS (
    SELECT source, CAST(sum(size) AS bigint) AS bytes
      FROM (SELECT source, size FROM files WHERE state = 'pending' AND published_at IS NULL
             UNION ALL
            SELECT source, size FROM files
             WHERE state IN ('pending', 'running') AND published_at IS NOT NULL) f
     GROUP BY source),
known AS (
    SELECT f.source, CAST(sum(f.rows_read) AS float8) / nullif(sum(f.size), 0) AS rows_per_byte
      FROM (SELECT file_id, what FROM file_events ORDER BY id DESC LIMIT :events) e
      JOIN files f ON f.id = e.file_id
     WHERE e.what = 'loaded' AND f.state = 'loaded' GROUP BY f.source)
SELECT source, coalesce(open.bytes, 0) AS bytes, known.rows_per_byte
  FROM open FULL JOIN known USING (source);

-- name: seen
-- The registered arrival of the file :key in exactly the state :fingerprint. If :sha256 is given, the
-- bytes must be equal too, because two writes within one tick of a coarse clock result in the same state. A
-- state without device and inode ("*:*:size:mtime:ctime") also matches a registered state with device and
-- inode.
SELECT a.file_id, f.version
  FROM arrivals a JOIN files f ON f.id = a.file_id
 WHERE a.source = :source AND a.key = :key
   AND (a.fingerprint = :fingerprint
        OR (starts_with(CAST(:fingerprint AS text), '*:*:')
            AND a.fingerprint LIKE '%' || substr(CAST(:fingerprint AS text), 4)))
   AND (CAST(:sha256 AS bytea) IS NULL OR f.sha256 = :sha256)
 ORDER BY a.id DESC LIMIT 1;

-- name: is_name
-- Whether files with exactly this name exist.
SELECT EXISTS (SELECT 1 FROM files WHERE source = :source AND coalesce(name, key) = :name);

-- name: twin
-- The registered file of which an arrival is a duplicate: a pending, running or loaded file with the same
-- bytes. Among the versions of the arriving name, only the newest can be this file. A file with another
-- name can be this file only if names do not matter, if no file has the arriving name, and if no readings
-- of the file were replaced. A quarantined file is never this file: if its bytes arrive again, they are a
-- new attempt.
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
-- The key of the newest version of a name, if it is spelt differently from :key and this version has other
-- bytes.
SELECT key FROM (
    SELECT key, sha256 FROM files
     WHERE source = :source AND coalesce(name, key) = :name
     ORDER BY version DESC LIMIT 1) newest
 WHERE key <> :key AND sha256 <> :sha256;

-- name: has_content
-- Whether these bytes were registered under this name. The state of the file does not matter.
SELECT EXISTS (SELECT 1 FROM arrivals a JOIN files f ON f.id = a.file_id
                WHERE a.source = :source AND a.key = :key AND f.sha256 = :sha256);

-- name: add_plain
-- Adds the arrivals whose name and bytes are new in the ledger. Of several arrivals in the group with the
-- same name or bytes, only the first can be added. The remaining arrivals depend on existing files,
-- including the files that are added here. The ids of the added files have the order of the arrivals.
WITH given AS (
    SELECT g.*, row_number() OVER (PARTITION BY sha256 ORDER BY place)
              + row_number() OVER (PARTITION BY coalesce(name, key) ORDER BY place) AS nth
      FROM unnest(CAST(:keys AS bytea[]), CAST(:names AS bytea[]), CAST(:key_texts AS text[]),
                  CAST(:sha256s AS bytea[]),
                  CAST(:md5s AS bytea[]), CAST(:sizes AS bigint[]), CAST(:mtime_nss AS bigint[]),
                  CAST(:landings AS text[]), CAST(:sensor_types AS text[]),
                  CAST(:fingerprints AS text[]), CAST(:discovered_ats AS timestamptz[]),
                  CAST(:landed_ats AS timestamptz[]), CAST(:lanes AS text[]),
                  CAST(:trace_ids AS bytea[])) WITH ORDINALITY
           AS g(key, name, key_text, sha256, md5, size, mtime_ns, landing, sensor_type, fingerprint,
                discovered_at, landed_at, lane, trace_id, place)),
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
                       sensor_type, stage, discovered_at, landed_at, lane, on_change, trace_id)
    SELECT :source, key, name, key_text, 1, sha256, md5, size, mtime_ns, landing, sensor_type,
           'validate', discovered_at, landed_at, lane, :on_change, trace_id
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
-- Adds the arrivals whose bytes are registered under another name (see `twin`) and whose own name is new
-- in the ledger and occurs once in the group. The remaining arrivals of the group may be registered before
-- or after these.
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
-- Adds a version of a name; version 1 if the name is new.
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
                   error_detail, lane, on_change, trace_id)
SELECT :source, :key, CAST(:name AS bytea), :key_text,
       coalesce((SELECT version FROM newest), 0) + 1, :sha256, :md5, :size, :mtime_ns, :landing,
       :sensor_type, CASE WHEN refused THEN 'quarantine' ELSE 'validate' END,
       :discovered_at, :landed_at,
       (SELECT id FROM newest),
       CASE WHEN refused THEN :refusal_code END, CASE WHEN refused THEN :refusal END, :lane,
       :on_change, CAST(:trace_id AS bytea)
  FROM older
RETURNING id, version, stage;

-- name: add_arrival
INSERT INTO arrivals (file_id, source, key, name, key_text, fingerprint, kind)
VALUES (:file_id, :source, :key, :name, :key_text, :fingerprint, :kind);

-- name: landed_again
-- Records that the bytes of a file have arrived again. The landed object therefore exists again, even if
-- it had expired.
UPDATE files SET expired = array_remove(expired, 'landing')
 WHERE id = :id AND 'landing' = ANY(expired);

-- name: given_back_lately
-- Whether a file that was nacked with this code is being retried, waits for its retry, or could be retried
-- since less than :within seconds.
SELECT EXISTS (SELECT 1 FROM files
                WHERE state IN ('pending', 'running') AND error_code = :code
                  AND (state = 'running'
                       OR not_before > now() - make_interval(secs => :within)));

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
-- The pending, running or loaded file of which :name is an alias, if its bytes are not :sha256. Also
-- returns the spelling of the alias.
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

-- name: announce
-- A gate in one state has exactly one announcement for a name. If the gate is sent again, it has another
-- state.
INSERT INTO announcements AS a (source, gate, mark, key, file_id, what)
VALUES (:source, :gate, :mark, :key, :id, CAST(:what AS jsonb))
ON CONFLICT (source, gate, mark, key) DO UPDATE
   SET file_id = excluded.file_id, what = excluded.what, at = clock_timestamp();

-- name: announced_by
SELECT key FROM announcements WHERE source = :source AND gate = :gate AND mark = :mark;
