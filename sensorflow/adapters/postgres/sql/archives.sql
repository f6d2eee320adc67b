-- Archives whose members are registered as separate files.

-- name: archive
-- The values that members get from their archive. Run this after lock_source. rows: number of rows in the
-- database that exist because the archive itself was once loaded as one file. earlier: the oldest older
-- version of the archive that is not unpacked yet.
SELECT f.lane, f.discovered_at, f.landed_at,
       coalesce(CAST(f.previous->>'rows_loaded' AS bigint), 0) AS rows,
       (SELECT v.version FROM files v
         WHERE v.source = f.source AND coalesce(v.name, v.key) = coalesce(f.name, f.key)
           AND v.version < f.version AND v.state IN ('pending', 'running') AND v.members IS NULL
           AND v.stage <> 'quarantine'
         ORDER BY v.version LIMIT 1) AS earlier
  FROM files f WHERE f.id = :id AND f.lease_token = :token AND f.state = 'running' FOR UPDATE OF f;

-- name: later_member
-- A member that a newer version of the archive has delivered with other bytes, and that this version has
-- not delivered yet.
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
-- Marks an archive as loaded. Does what `finish` does for other files; an archive has no readings of its
-- own.
UPDATE files
   SET state = 'loaded', stage = 'load', lease_until = NULL, progress_bytes = NULL, progress_rows = NULL,
       finished_at = now(), members = :members,
       rows_read = 0, rows_loaded = 0, rows_rejected = 0, rows_duplicate = 0, rows_missing = 0,
       rows_replaced = 0, checksum = 0, ts_min = NULL, ts_max = NULL, identity = NULL, previous = NULL,
       profile = :profile, profile_hash = :profile_hash, code_version = :code_version,
       on_change = :on_change, error_code = NULL, error_detail = NULL, error_place = NULL,
       expired = ARRAY(SELECT layer FROM unnest(expired) layer WHERE layer = 'landing')
 WHERE id = :id AND lease_token = :token AND state = 'running';

-- name: members_of
-- The members of an archive. besides: ids of the other archives that delivered the member, without undone
-- archives; 0 means that the member also arrived outside of an archive.
SELECT a.key_text AS name, a.file_id,
       ARRAY(SELECT DISTINCT coalesce(o.archive, 0)
               FROM arrivals o LEFT JOIN files p ON p.id = o.archive
              WHERE o.file_id = a.file_id AND o.archive IS DISTINCT FROM a.archive
                AND p.state IS DISTINCT FROM 'undone') AS besides
  FROM arrivals a WHERE a.archive = :id ORDER BY a.key_text COLLATE "C", a.id;
