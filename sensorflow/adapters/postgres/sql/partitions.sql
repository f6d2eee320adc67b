-- Partitions of readings: created, indexed for reading, and dropped when their readings have expired.

-- name: partition_sizes
-- The partitions of readings. readings: the estimated number of readings, for partitions near the given time
-- range, and 0 for others; like the planner, it multiplies the present size by the density of the last
-- ANALYZE. Without an ANALYZE, a reading counts as 110 bytes. The end of the year 9999 has no value in
-- Python.
SELECT p.low, least(p.high, '9999-12-31 23:59:59.999999+00') AS high,
       CASE WHEN p.low < CAST(:high AS timestamptz) + interval '46 days'
                 AND p.high > CAST(:low AS timestamptz) - interval '46 days'
            THEN coalesce(pg_relation_size(p.part), 0)
                 * CASE WHEN c.reltuples > 0 AND c.relpages > 0
                        THEN CAST(c.reltuples AS double precision) / c.relpages
                             / CAST(current_setting('block_size') AS double precision)
                        ELSE CAST(1 AS double precision) / 110 END
            ELSE 0 END AS readings
  FROM reading_partitions() p JOIN pg_class c ON c.oid = p.part
 ORDER BY p.low;

-- name: make_partition
SELECT made, low, least(high, '9999-12-31 23:59:59.999999+00') AS high
  FROM make_reading_partition(:time, :width);

-- name: unindexed_partitions
-- Partitions whose time range is over, that have at least the given size, and that have no reading index.
-- busy: whether a file was loaded into the partition recently. owned: whether this session may create an
-- index on it.
SELECT p.name, p.low, p.high, pg_has_role(c.relowner, 'USAGE') AS owned,
       EXISTS (SELECT 1 FROM files f
                WHERE f.state = 'loaded' AND f.finished_at > now() - make_interval(secs => :quiet)
                  AND f.ts_min < p.high AND f.ts_max >= p.low) AS busy
  FROM reading_partitions() p JOIN pg_class c ON c.oid = p.part
 WHERE p.high <= now() AND pg_relation_size(p.part) >= CAST(:smallest AS bigint)
   AND NOT EXISTS (SELECT FROM pg_index i
                    WHERE i.indrelid = p.part AND i.indisvalid
                      AND pg_get_indexdef(i.indexrelid) LIKE '%(sensor_id, reading_type, ts)%')
 ORDER BY p.low DESC;

-- name: try_lock_indexes
-- Like lock_indexes, until the session ends, and without waiting.
SELECT pg_try_advisory_lock(hashtextextended('sensorflow.indexes', 0));

-- name: broken_index
-- The reading index of this partition, if a build was killed and left an incomplete index.
SELECT quote_ident(c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = CAST(quote_ident(:name) AS regclass) AND c.relname = :name || '_ix'
   AND NOT i.indisvalid;

-- name: index_partition
SELECT index_reading_partition(:low);

-- name: expired_partitions
-- Partitions whose time range is over, and whose files have all expired by the retention of their sources.
-- ages: seconds.
WITH ages AS (
    SELECT a.source, make_interval(secs => a.age) AS age
      FROM unnest(CAST(:sources AS text[]), CAST(:ages AS double precision[])) AS a(source, age)),
held AS (
    SELECT f.ts_min, f.ts_max,
           coalesce(f.state = 'loaded' AND f.ts_max < now() - a.age, false) AS expires
      FROM files f LEFT JOIN ages a ON a.source = f.source
     WHERE f.ts_max IS NOT NULL AND NOT 'rows' = ANY(f.expired)
       AND (f.state = 'loaded' AND f.rows_loaded > f.rows_replaced OR f.previous IS NOT NULL))
SELECT p.low, p.high
  FROM reading_partitions() p JOIN held h ON h.ts_min < p.high AND h.ts_max >= p.low
 WHERE p.high <= now() AND p.low < now() - (SELECT min(age) FROM ages)
 GROUP BY p.low, p.high HAVING bool_and(h.expires)
 ORDER BY p.low LIMIT CAST(:most AS bigint);

-- name: expire_partitions
-- Expires the rows of the files that have readings in these partitions, when the newest reading of a file is
-- old enough.
UPDATE files SET expired = array_append(expired, 'rows')
 WHERE id IN (SELECT f.id
                FROM files f
                JOIN unnest(CAST(:sources AS text[]), CAST(:ages AS double precision[]))
                     AS a(source, age) ON a.source = f.source
               WHERE f.state = 'loaded' AND NOT 'rows' = ANY(f.expired)
                 AND f.ts_max < now() - make_interval(secs => a.age)
                 AND EXISTS (SELECT FROM unnest(CAST(:lows AS timestamptz[]),
                                                CAST(:highs AS timestamptz[])) AS p(low, high)
                              WHERE f.ts_min < p.high AND f.ts_max >= p.low)
               ORDER BY f.id FOR UPDATE OF f SKIP LOCKED)
RETURNING id, source, stage, ts_min, ts_max;

-- name: partitions_of_files
-- The partitions in which files with these time spans have readings, except those that begin at `dropped`.
SELECT DISTINCT p.low, p.high
  FROM reading_partitions() p
  JOIN unnest(CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[])) AS f(first, last)
       ON f.first < p.high AND f.last >= p.low
 WHERE NOT p.low = ANY(CAST(:dropped AS timestamptz[]))
 ORDER BY 1;

-- name: delete_rows_of_files
DELETE FROM raw_readings
 WHERE file_id = ANY(CAST(:ids AS bigint[])) AND ts >= :low AND ts < :high;

-- name: drop_expired_partitions
SELECT outcome, kept
  FROM drop_expired_partitions(CAST(:lows AS timestamptz[]), CAST(:ids AS bigint[]));
