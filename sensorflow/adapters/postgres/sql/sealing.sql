-- The unique index of partitions, and partitions without readings.

-- name: lock_indexes
-- Only one process at a time seals a partition or changes the index mode.
SELECT pg_advisory_xact_lock(hashtextextended('sensorflow.indexes', 0));

-- name: put_off_file
CREATE INDEX IF NOT EXISTS ix_raw_file ON raw_readings USING brin (file_id, ts)
  WITH (autosummarize = on);

-- name: put_off_unique
DROP INDEX IF EXISTS uq_raw_dedupe;

-- name: take_back_unique
-- Attaches the unique indexes of partitions that have one, and builds the index of the others.
CREATE UNIQUE INDEX IF NOT EXISTS uq_raw_dedupe ON raw_readings (ts, dedupe_key);

-- name: take_back_file
DROP INDEX IF EXISTS ix_raw_file;

-- name: droppable_partitions
-- Partitions, except those of the current months, which loads would soon create again. Empty for a
-- hypertable.
SELECT low FROM reading_partitions()
 WHERE low NOT BETWEEN now() - interval '2 months' AND now() + interval '1 month'
 ORDER BY 1;

-- name: has_chunks
-- Whether raw_readings is a hypertable of TimescaleDB.
SELECT relkind = 'r' FROM pg_class WHERE oid = CAST('raw_readings' AS regclass);

-- name: droppable_chunks
-- Like droppable_partitions, for a hypertable.
SELECT droppable_reading_chunks();

-- name: drop_empty_partitions
SELECT dropped, busy
  FROM drop_empty_reading_partitions(CAST(:lows AS timestamptz[]), make_interval(secs => :pause));

-- name: sealable_partitions
-- The partitions of readings. closed: whether the unique index exists. due: whether the time range of the
-- partition has been over for the given time. busy: whether a file was loaded into the partition recently.
-- doubled_at: time of the last attempt to seal the partition that failed because of duplicates.
SELECT m.low, m.high, m.closed, m.doubled_at,
       m.high + make_interval(secs => :after) <= now() AS due,
       NOT m.closed AND EXISTS (
           SELECT 1 FROM files f
            WHERE f.state = 'loaded' AND f.finished_at > now() - make_interval(secs => :quiet)
              AND f.ts_min < m.high AND f.ts_max >= m.low) AS busy
  FROM (SELECT p.low, p.high,
               EXISTS (SELECT 1 FROM pg_index i
                        WHERE i.indrelid = p.part AND i.indisunique AND i.indisvalid
                          AND pg_get_indexdef(i.indexrelid) LIKE '%(ts, dedupe_key)') AS closed,
               CAST(substring(obj_description(p.part, 'pg_class')
                              FROM '^sensorflow: rows doubled, (.*)$') AS timestamptz) AS doubled_at
          FROM reading_partitions() p) m
 ORDER BY m.low;

-- name: close_partition
SELECT close_reading_partition(:low);

-- name: doubled
-- The first readings of a time range that exist more than once, and the total number of such readings.
SELECT ts, min(sensor_id) AS sensor_id, min(reading_type) AS reading_type,
       array_agg(file_id ORDER BY file_id, line_no) AS file_ids,
       array_agg(line_no ORDER BY file_id, line_no) AS line_nos, count(*) OVER () AS total
  FROM raw_readings WHERE ts >= :low AND ts < :high
 GROUP BY ts, dedupe_key HAVING count(*) > 1
 ORDER BY ts, dedupe_key LIMIT CAST(:most AS bigint);

-- name: columnstore
-- The chunks of a hypertable, and how many of them are in the columnstore.
SELECT count(*) AS chunks, count(*) FILTER (WHERE is_compressed) AS stored,
       max(range_end) FILTER (WHERE is_compressed) AS until
  FROM timescaledb_information.chunks
 WHERE hypertable_schema = current_schema() AND hypertable_name = 'raw_readings';

-- name: columnstore_readings
-- The readings of the given files, if a chunk of their time span is in the columnstore.
SELECT coalesce(sum(f.rows_loaded), 0)
  FROM files f
 WHERE f.id = ANY(CAST(:ids AS bigint[]))
   AND EXISTS (SELECT FROM timescaledb_information.chunks c
                WHERE c.hypertable_schema = current_schema() AND c.hypertable_name = 'raw_readings'
                  AND c.is_compressed AND c.range_start <= f.ts_max AND c.range_end > f.ts_min);

-- name: columnstore_months
SELECT m
  FROM unnest(CAST(:months AS timestamptz[])) AS m
 WHERE EXISTS (SELECT FROM timescaledb_information.chunks c
                WHERE c.hypertable_schema = current_schema() AND c.hypertable_name = 'raw_readings'
                  AND c.is_compressed AND c.range_end > m
                  AND c.range_start < (m AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')
 ORDER BY m;
