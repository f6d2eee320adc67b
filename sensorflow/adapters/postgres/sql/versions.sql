-- Decides which file owns a reading that several files contain.

-- name: older_versions
-- Supersedes the versions that a newer version replaces. The row locks wait until a load of an older
-- version ends. They do not block the registration of an arrival that refers to an older version.
UPDATE files f
   SET state = 'superseded', lease_until = NULL, progress_bytes = NULL, progress_rows = NULL,
       finished_at = now(), previous = NULL, tidy = false,
       rows_replaced = 0
  FROM (SELECT id, state, stage, attempts FROM files
         WHERE source = :source AND coalesce(name, key) = :name AND version < :version
           AND state IN ('pending', 'running', 'loaded', 'quarantined', 'undone')
         ORDER BY id FOR NO KEY UPDATE) b
 WHERE f.id = b.id
RETURNING f.id, b.state AS state_before, f.stage, f.attempts, f.ts_min, f.ts_max;

-- name: rows_outside
-- The number and the time span of the rows of the superseded files :ids that are outside the time span of
-- the version that replaced these files.
SELECT count(*) AS found, min(ts) AS low, max(ts) AS high
  FROM raw_readings
 WHERE file_id = ANY(CAST(:ids AS bigint[])) AND ts BETWEEN :first AND :last
   AND (CAST(:low AS timestamptz) IS NULL OR ts < :low OR ts > :high);

-- name: orphaned_alias
-- Another name under which the bytes of a superseded file have arrived, if no other bytes have arrived
-- under that name since. This name must be promoted to a separate file. Growing files are excluded, because
-- their other names apply to all parts.
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

-- name: move_aliases
UPDATE arrivals a
   SET file_id = :heir,
       kind = CASE WHEN coalesce(a.name, a.key) = coalesce(CAST(:name AS bytea), :key)
                   THEN 'new' ELSE 'alias' END
 WHERE a.file_id = :id
   AND coalesce(a.name, a.key) <> (SELECT coalesce(name, key) FROM files WHERE id = :id);

-- name: hold_name
-- Serializes the loads of versions of one name, and the loads of files with the same bytes. Locks are
-- acquired in the order of ids, which prevents a deadlock. `evict` finds the session by the application
-- name that is set here. The idle time of the session is not limited, because its client may be preparing
-- the next batch. If the client has failed, the worker that claims the file next ends the session.
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
-- Files that have rows in the database and may contain the same readings in a time range as the file :id.
-- There are three kinds. First, other versions of the file's name, except parts of the same growing file;
-- versions loaded with on_change = "keep" are included only if they are older. Second, files with the same
-- bytes and other names, except for a part of a growing file. Third, files with other names that have the
-- same bytes as newer versions of the file's name. states: id of the file that counts as the rival, see
-- `ownership.Rivals`.
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
-- Whether any of the new files :ids has a rival with rows: another version of its name, or (for
-- :by_content) another file with the same bytes.
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
-- Whether the bytes of one of these files differ from :sha256.
SELECT EXISTS (SELECT 1 FROM files WHERE id = ANY(CAST(:ids AS bigint[])) AND sha256 <> :sha256);

-- name: stage_of_stated
-- A temporary table for the dedupe keys of a batch, used to find the files that have these keys. It is
-- dropped at the end of the transaction.
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
-- The newest loaded version with rows among the twenty versions before a version.
SELECT * FROM files
 WHERE source = :source AND coalesce(name, key) = :name
   AND version BETWEEN :version - 20 AND :version - 1
   AND state = 'loaded' AND rows_loaded > rows_replaced
 ORDER BY version DESC LIMIT 1;

-- name: covered
-- Marks versions that were never loaded as superseded, because a newer version begins with all their
-- bytes.
UPDATE files f
   SET state = 'superseded', finished_at = now(), tidy = false
  FROM (SELECT id, state, stage, attempts FROM files
         WHERE id = ANY(CAST(:ids AS bigint[])) AND previous IS NULL
           AND state IN ('pending', 'quarantined')
         ORDER BY id FOR NO KEY UPDATE) b
 WHERE f.id = b.id
RETURNING f.id, b.state AS state_before, f.stage, f.attempts;

-- name: replaced
-- Updates the counts of files whose readings were replaced, and requests that their silver is rewritten.
UPDATE files f
   SET rows_replaced = f.rows_replaced + d.rows, tidy = false,
       checksum = mod(f.checksum - d.checksum + 18446744073709551616, 18446744073709551616)
  FROM unnest(CAST(:ids AS bigint[]), CAST(:rows AS bigint[]), CAST(:checksums AS numeric[]))
       AS d(id, rows, checksum)
 WHERE f.id = d.id
RETURNING f.id, f.stage, f.attempts, f.sha256, d.rows;

-- name: replaced_span
-- The time span of the files that have replaced readings of the file :id.
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
-- Loaded files whose readings the files :ids have replaced, and files that were superseded because one of
-- :ids begins with all their bytes. If :name is given, only files with other names are returned.
SELECT r.file_id, f.wanted_profile, r.by_file, r.rows
  FROM replacements r JOIN files f ON f.id = r.file_id
 WHERE r.by_file = ANY(CAST(:ids AS bigint[]))
   AND (f.state = 'loaded' OR f.state = 'superseded' AND r.rows = 0)
   AND f.id <> ALL(CAST(:along AS bigint[]))
   AND (CAST(:name AS bytea) IS NULL OR coalesce(f.name, f.key) <> :name)
 ORDER BY r.file_id;
