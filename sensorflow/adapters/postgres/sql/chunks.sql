-- The chunks of a hypertable, which a load needs.

-- name: chunks_between
-- The chunks that contain times from :low to :high. The ends of the first and the last possible chunk may be
-- infinite: Python has no such times.
SELECT range_start, range_end
  FROM timescaledb_information.chunks
 WHERE hypertable_schema = current_schema() AND hypertable_name = 'raw_readings'
   AND range_start <= :high AND range_end > :low
   AND range_start > timestamptz '0001-01-02Z' AND range_end < timestamptz '9999-12-31Z';

-- name: insert_into_chunk
-- TimescaleDB creates the chunk of this time, if it is missing.
INSERT INTO raw_readings ({reading}) VALUES (:ts, '', '', 0, '', 0, 0, 0, :key);

-- name: delete_from_chunk
DELETE FROM raw_readings WHERE ts = :ts AND dedupe_key = :key;
