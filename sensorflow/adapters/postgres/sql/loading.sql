-- Inserts the rows of a file and finishes the file.

-- name: delete_rows
-- The time range selects the partitions; within a partition, the unique index is used.
DELETE FROM raw_readings WHERE file_id = :id AND ts BETWEEN :low AND :high;

-- name: record_touched
-- Records ranges of changed readings for the refresher of the aggregates, in the transaction that changes
-- the readings. touched: see `adapters.postgres.touched.json_of`.
INSERT INTO readings_touched (source, low, high, sensors)
SELECT t.source, t.low, t.high, t.sensors
  FROM jsonb_to_recordset(CAST(:touched AS jsonb))
       AS t(source text, low timestamptz, high timestamptz, sensors text[]);

-- name: finish
-- The last statement of a load. It changes a row only if the fencing token is still the newest and the
-- database is in the index mode that the loader expects. The mode cannot change until the commit, because
-- the rows written by the load block any change of the index. touched: see `record_touched`.
WITH recorded AS (
    INSERT INTO readings_touched (source, low, high, sensors)
    SELECT t.source, t.low, t.high, t.sensors
      FROM jsonb_to_recordset(CAST(:touched AS jsonb))
           AS t(source text, low timestamptz, high timestamptz, sensors text[]))
UPDATE files
   SET state = 'loaded', stage = 'load', lease_until = NULL, progress_bytes = NULL, progress_rows = NULL,
       finished_at = now(),
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
-- Like finish, but for several files that were never loaded before.
WITH recorded AS (
    INSERT INTO readings_touched (source, low, high, sensors)
    SELECT t.source, t.low, t.high, t.sensors
      FROM jsonb_to_recordset(CAST(:touched AS jsonb))
           AS t(source text, low timestamptz, high timestamptz, sensors text[]))
UPDATE files f
   SET state = 'loaded', stage = 'load', lease_until = NULL, progress_bytes = NULL, progress_rows = NULL,
       finished_at = now(),
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

-- name: stage_of_incoming
-- A temporary table for rows whose keys may already exist, the slow path of a load. It is dropped at the
-- end of the transaction.
CREATE TEMPORARY TABLE incoming (LIKE raw_readings) ON COMMIT DROP;

-- name: merge_incoming
-- The rows are sorted by key, which prevents a deadlock between two loaders.
INSERT INTO raw_readings ({reading})
SELECT {reading}
  FROM incoming ORDER BY ts, dedupe_key
ON CONFLICT (ts, dedupe_key) DO NOTHING
RETURNING value, dedupe_key;

-- name: merge_difference
-- Like merge_incoming, but for all rows of a file that is loaded again.
WITH changed AS (
    INSERT INTO raw_readings ({reading})
    SELECT {reading}
      FROM incoming ORDER BY ts, dedupe_key
    ON CONFLICT (ts, dedupe_key) DO NOTHING
    RETURNING ts, sensor_id)
SELECT count(*) AS rows, min(ts) AS low, max(ts) AS high,
       ARRAY(SELECT DISTINCT sensor_id FROM changed LIMIT :most) AS sensors
  FROM changed;

-- name: remove_difference
-- Removes rows of the previous load if no new row is equal to them bit by bit.
WITH changed AS (
    DELETE FROM raw_readings r
     USING (SELECT ts_min, ts_max FROM files WHERE id = :id) f
     WHERE r.file_id = :id AND r.ts BETWEEN f.ts_min AND f.ts_max
       AND NOT EXISTS (
           SELECT 1 FROM incoming i
            WHERE i.ts = r.ts AND i.dedupe_key = r.dedupe_key
              AND float8send(i.value) = float8send(r.value) AND i.sensor_id = r.sensor_id
              AND i.reading_type = r.reading_type AND i.unit = r.unit AND i.quality = r.quality
              AND i.line_no = r.line_no)
    RETURNING r.ts, r.sensor_id)
SELECT count(*) AS rows, min(ts) AS low, max(ts) AS high,
       ARRAY(SELECT DISTINCT sensor_id FROM changed LIMIT :most) AS sensors
  FROM changed;

-- name: held_elsewhere
-- Incoming readings that another file already has in the database.
SELECT i.value, i.dedupe_key
  FROM incoming i JOIN raw_readings r ON r.ts = i.ts AND r.dedupe_key = i.dedupe_key
 WHERE r.file_id <> :id AND r.ts BETWEEN :low AND :high;

-- name: merge_incoming_deferred
-- Like merge_incoming, for the case that some months have a unique index and others have none. ON CONFLICT
-- cannot name an index in this case, so all indexes are checked.
INSERT INTO raw_readings ({reading})
SELECT {reading}
  FROM incoming ORDER BY ts, dedupe_key
ON CONFLICT DO NOTHING
RETURNING value, dedupe_key;

-- name: remove_surplus
-- If a file has several rows with the same key, removes all but one of them. In a month without a unique
-- index, no index has prevented these rows.
WITH changed AS (
    DELETE FROM raw_readings r
     USING (SELECT o.tableoid AS part, o.ctid AS place,
                   row_number() OVER (PARTITION BY o.ts, o.dedupe_key ORDER BY o.ctid) AS number
              FROM raw_readings o, files f
             WHERE f.id = :id AND o.file_id = :id AND o.ts BETWEEN f.ts_min AND f.ts_max) d
     WHERE d.number > 1 AND r.tableoid = d.part AND r.ctid = d.place AND r.file_id = :id
    RETURNING r.ts, r.sensor_id)
SELECT count(*) AS rows, min(ts) AS low, max(ts) AS high,
       ARRAY(SELECT DISTINCT sensor_id FROM changed LIMIT :most) AS sensors
  FROM changed;

-- name: merge_difference_deferred
-- Like merge_difference. Rows of this file that exist are excluded by a lookup, because keys contain the
-- file's name. Rows in sealed months are excluded by the index of the month.
WITH changed AS (
    INSERT INTO raw_readings ({reading})
    SELECT {reading}
      FROM incoming i
     WHERE NOT EXISTS (
           SELECT 1 FROM raw_readings r
            WHERE r.file_id = :id AND r.ts BETWEEN :low AND :high
              AND r.ts = i.ts AND r.dedupe_key = i.dedupe_key)
     ORDER BY ts, dedupe_key
    ON CONFLICT DO NOTHING
    RETURNING ts, sensor_id)
SELECT count(*) AS rows, min(ts) AS low, max(ts) AS high,
       ARRAY(SELECT DISTINCT sensor_id FROM changed LIMIT :most) AS sensors
  FROM changed;

-- name: left_out
-- Incoming readings that do not belong to this file, after merge_difference_deferred.
SELECT i.value, i.dedupe_key
  FROM incoming i
 WHERE NOT EXISTS (
       SELECT 1 FROM raw_readings r
        WHERE r.file_id = :id AND r.ts BETWEEN :low AND :high
          AND r.ts = i.ts AND r.dedupe_key = i.dedupe_key);

-- name: missing_months
SELECT missing_reading_partitions(CAST(:months AS timestamptz[]));

-- name: evict
-- Ends sessions that are still loading this file, alone or in a batch. A batch holds the lock in shared
-- mode; a merge of a version of the name holds it exclusively. The worker with the newest claim ends these
-- sessions at each attempt, because their workers have lost the claim. ended: false if the session has not
-- ended in time; null if the current user may not end it.
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

-- name: hold_together
-- The lock by which `evict` finds a session that loads a batch. The client of this session may be busy for
-- a long time between two statements.
SELECT set_config('idle_in_transaction_session_timeout', '0', true),
       count(pg_advisory_xact_lock_shared(hashtextextended('sensorflow load ' || id, 0)))
  FROM unnest(CAST(:ids AS bigint[])) AS id;
