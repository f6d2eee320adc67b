-- Readings, for export.

-- name: hold_readings
-- Maximum seconds between two batches. A connection to a client that is lost ends sooner.
SELECT set_config('idle_in_transaction_session_timeout', CAST(:seconds AS text) || 's', true);

-- name: open_readings
DECLARE readings NO SCROLL CURSOR FOR
SELECT ts, sensor_id, reading_type, value, unit, quality, file_id, line_no
  FROM raw_readings
 WHERE ts >= CAST(:start AS timestamptz) AND ts < CAST(:end AS timestamptz)
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])))
   AND (CAST(:sources AS text[]) IS NULL
        OR file_id IN (SELECT id FROM files WHERE source = ANY(CAST(:sources AS text[]))))
 ORDER BY ts, sensor_id, reading_type, file_id, line_no;
