-- Backup: reads the ledger in one snapshot, and locks the files on disk against changes.

-- name: saved_kind
SELECT to_regclass('files') AS files,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescale;

-- name: wait_long
SELECT set_config('idle_in_transaction_session_timeout', '0', false), set_config('lock_timeout', '0', false);

-- name: hold_backup
-- Returns whether this session got the lock of the backup. Only one backup of a database runs at a time.
SELECT pg_try_advisory_lock(hashtextextended('sensorflow.backup', 0));

-- name: hold_disk
-- Prevents garbage collection from removing or rewriting files to which the ledger refers. Waits until a
-- running garbage collection ends.
SELECT pg_advisory_lock(hashtextextended('sensorflow.disk', 0));

-- name: may_remove
-- Returns false while a backup copies the disk.
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
-- Functions that run with the privileges of their owner may be called only by roles with an explicit
-- grant.
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE prosecdef AND pronamespace = CAST(current_schema() AS regnamespace) LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
