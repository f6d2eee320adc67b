-- Growing files.

-- name: grown
-- What was taken in from growing files: the newest growing file for each of :keys and each of :inodes, and
-- the :newest newest growing files of the source.
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
-- Adds a version for a new part of a growing file.
INSERT INTO files (source, key, name, key_text, version, sha256, md5, size, mtime_ns, landing,
                   sensor_type, stage, discovered_at, landed_at, lane, on_change, trace_id)
SELECT :source, :key, CAST(:name AS bytea), :key_text,
       (SELECT version + 1 FROM files
         WHERE source = :source AND coalesce(name, key) = coalesce(CAST(:name AS bytea), :key)
         ORDER BY version DESC LIMIT 1),
       :sha256, :md5, :size, :mtime_ns, :landing, :sensor_type, 'validate', :discovered_at,
       :landed_at, :lane, :on_change, CAST(:trace_id AS bytea)
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
-- Records another name of a growing file that was renamed or copied, once for each name.
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
-- Readings of other parts of a growing file at the times :ts. PostgreSQL finds the partitions and the
-- index entries by these times.
SELECT r.sensor_id, r.reading_type, r.ts, r.value, r.dedupe_key
  FROM raw_readings r
 WHERE r.ts = ANY(CAST(:ts AS timestamptz[])) AND r.file_id <> :id
   AND EXISTS (SELECT 1 FROM growths g WHERE g.file_id = r.file_id AND g.root = :root);

-- name: rows_beside_deferred
-- Like rows_beside, for the mode in which no index contains the times. Instead, the ids of the other parts
-- limit the search.
SELECT r.sensor_id, r.reading_type, r.ts, r.value, r.dedupe_key
  FROM raw_readings r
 WHERE r.ts = ANY(CAST(:ts AS timestamptz[])) AND r.ts BETWEEN :low AND :high
   AND r.file_id = ANY(ARRAY(
       SELECT f.id FROM growths g JOIN files f ON f.id = g.file_id
        WHERE g.root = :root AND f.id <> :id AND f.ts_max >= :low AND f.ts_min <= :high));

-- name: chain_grew
-- Run this before `finish`, because it needs the previous counts, which `finish` clears.
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
-- For each of :ids that is a part of a growing file: sums over all parts of the growing file, and sums
-- over its loaded parts.
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
