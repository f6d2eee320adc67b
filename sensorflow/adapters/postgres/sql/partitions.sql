-- Partitions of readings: made ahead, indexed for reading, and dropped when their readings have expired.

-- name: next_month
-- The next month, if it begins soon and readings of the current month exist.
SELECT ensure_reading_partitions(n.month, n.month) AS made
  FROM (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
               AS month) n
 WHERE n.month < now() + make_interval(secs => :ahead)
   AND NOT EXISTS (SELECT FROM missing_reading_partitions(ARRAY[now()]));

-- name: unindexed_months
-- Months that are over, have at least the given size, and have no reading index. busy: whether a file was
-- loaded into the month recently. owned: whether this session may create an index on the partition.
SELECT m.name, m.low,
       pg_has_role(m.relowner, 'USAGE') AS owned,
       EXISTS (SELECT 1 FROM files f
                WHERE f.state = 'loaded' AND f.finished_at > now() - make_interval(secs => :quiet)
                  AND f.ts_min < m.high AND f.ts_max >= m.low) AS busy
  FROM (SELECT p.oid, p.name, p.relowner, CAST(p.month AS timestamp) AT TIME ZONE 'UTC' AS low,
               (p.month + interval '1 month') AT TIME ZONE 'UTC' AS high
          FROM (SELECT c.oid, c.relname AS name, c.relowner,
                       to_date(right(c.relname, 7), 'YYYY_MM') AS month
                  FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                 WHERE h.inhparent = CAST('raw_readings' AS regclass) AND c.relkind = 'r'
                   AND c.relname ~ '^raw_readings_[0-9]{4}_[0-9]{2}$') p) m
 WHERE m.high <= now() AND pg_relation_size(m.oid) >= CAST(:smallest AS bigint)
   AND NOT EXISTS (SELECT FROM pg_index i
                    WHERE i.indrelid = m.oid AND i.indisvalid
                      AND pg_get_indexdef(i.indexrelid) LIKE '%(sensor_id, reading_type, ts)%')
 ORDER BY m.low DESC;

-- name: try_lock_indexes
-- Like lock_indexes, until the session ends, and without waiting.
SELECT pg_try_advisory_lock(hashtextextended('sensorflow.indexes', 0));

-- name: broken_index
-- The reading index of this partition, if a build was killed and left an incomplete index.
SELECT quote_ident(c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = CAST(quote_ident(:name) AS regclass) AND c.relname = :name || '_ix'
   AND NOT i.indisvalid;

-- name: index_month
SELECT index_reading_partition(:low);

-- name: expired_months
-- Months that are over, and whose files have all expired by the retention of their sources. ages: seconds.
WITH ages AS (
    SELECT a.source, make_interval(secs => a.age) AS age
      FROM unnest(CAST(:sources AS text[]), CAST(:ages AS double precision[])) AS a(source, age)),
held AS (
    SELECT f.ts_min, f.ts_max,
           coalesce(f.state = 'loaded' AND f.ts_max < now() - a.age, false) AS expires
      FROM files f LEFT JOIN ages a ON a.source = f.source
     WHERE f.ts_max IS NOT NULL AND NOT 'rows' = ANY(f.expired)
       AND (f.state = 'loaded' AND f.rows_loaded > f.rows_replaced OR f.previous IS NOT NULL)),
months AS (
    SELECT CAST(p.month AS timestamp) AT TIME ZONE 'UTC' AS low,
           (p.month + interval '1 month') AT TIME ZONE 'UTC' AS high
      FROM (SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month
              FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
             WHERE h.inhparent = CAST('raw_readings' AS regclass) AND c.relkind = 'r'
               AND c.relname ~ '^raw_readings_[0-9]{4}_[0-9]{2}$') p)
SELECT m.low, m.high
  FROM months m JOIN held h ON h.ts_min < m.high AND h.ts_max >= m.low
 WHERE m.high <= now() AND m.low < now() - (SELECT min(age) FROM ages)
 GROUP BY m.low, m.high HAVING bool_and(h.expires)
 ORDER BY m.low LIMIT CAST(:most AS bigint);

-- name: expire_months
-- Expires the rows of the files that have readings in these months, when the newest reading of a file is
-- old enough.
UPDATE files SET expired = array_append(expired, 'rows')
 WHERE id IN (SELECT f.id
                FROM files f
                JOIN unnest(CAST(:sources AS text[]), CAST(:ages AS double precision[]))
                     AS a(source, age) ON a.source = f.source
               WHERE f.state = 'loaded' AND NOT 'rows' = ANY(f.expired)
                 AND f.ts_max < now() - make_interval(secs => a.age)
                 AND EXISTS (SELECT FROM unnest(CAST(:lows AS timestamptz[]),
                                                CAST(:highs AS timestamptz[])) AS m(low, high)
                              WHERE f.ts_min < m.high AND f.ts_max >= m.low)
               ORDER BY f.id FOR UPDATE OF f SKIP LOCKED)
RETURNING id, source, stage, ts_min, ts_max;

-- name: kept_months
-- The other months in which files with these time spans have readings.
SELECT DISTINCT m.low, m.high
  FROM (SELECT CAST(p.month AS timestamp) AT TIME ZONE 'UTC' AS low,
               (p.month + interval '1 month') AT TIME ZONE 'UTC' AS high
          FROM (SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month
                  FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                 WHERE h.inhparent = CAST('raw_readings' AS regclass)
                   AND c.relname ~ '^raw_readings_[0-9]{4}_[0-9]{2}$') p) m
  JOIN unnest(CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[])) AS f(first, last)
       ON f.first < m.high AND f.last >= m.low
 WHERE NOT m.low = ANY(CAST(:lows AS timestamptz[]))
 ORDER BY 1;

-- name: delete_rows_of_month
DELETE FROM raw_readings
 WHERE file_id = ANY(CAST(:ids AS bigint[])) AND ts >= :low AND ts < :high;

-- name: drop_expired_months
SELECT outcome, month
  FROM drop_expired_reading_partitions(CAST(:lows AS timestamptz[]), CAST(:ids AS bigint[]));
