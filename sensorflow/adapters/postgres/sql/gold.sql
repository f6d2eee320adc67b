-- The refresher of the aggregates. Only one transaction at a time runs these statements.

-- name: gold_pending
SELECT EXISTS (SELECT FROM readings_touched) OR EXISTS (SELECT FROM gold_stale);

-- name: gold_lag
SELECT coalesce(extract(epoch FROM clock_timestamp() - least((SELECT min(touched_at) FROM readings_touched),
                                                             (SELECT min(since) FROM gold_stale))), 0);

-- name: hold_gold
-- Only one refresher works at a time. The plans depend on the range.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('work_mem', '32MB', true),
       pg_try_advisory_xact_lock(hashtextextended('sensorflow.gold', 0)) AS is_mine;

-- name: plan_gold
-- The planner does not know how many rows a common table expression has. A nested loop over two of them would
-- take hours.
SELECT set_config('enable_nestloop', :nested, true);

-- name: split_touched
-- Cuts the newest month off each range of more than 31 days. A range of years is thus expanded to hours step
-- by step. Months without readings and aggregates are skipped.
WITH long AS (
    SELECT id, touched_at, source, low, high, sensors,
           (SELECT max(m) FROM reading_months(low, high) AS m) AS month
      FROM readings_touched WHERE high - low > interval '31 days' ORDER BY id LIMIT 10),
rest AS (
    UPDATE readings_touched t SET high = l.month - interval '1 microsecond'
      FROM long l WHERE t.id = l.id AND l.month > l.low),
done AS (
    DELETE FROM readings_touched t USING long l
     WHERE t.id = l.id AND (l.month IS NULL OR l.month <= l.low))
INSERT INTO readings_touched (touched_at, source, low, high, sensors)
SELECT touched_at, source, greatest(low, month),
       least(high, month + interval '1 month' - interval '1 microsecond'), sensors
  FROM long WHERE month IS NOT NULL;

-- name: spread_touched
-- Moves ranges to gold_stale, by hour. weight: the number of hours times sensors that one call expands. A
-- range of many hours and sensors counts for all sensors.
WITH chosen AS (
    SELECT id, names
      FROM (SELECT id, hours * (1 + coalesce(cardinality(names), 0)) AS weight, names,
                   sum(hours * (1 + coalesce(cardinality(names), 0))) OVER (ORDER BY id) AS total
              FROM (SELECT id, hours,
                           CASE WHEN hours * cardinality(sensors) <= 20000 THEN sensors END AS names
                      FROM (SELECT id, sensors, CAST(extract(epoch FROM high - low) / 3600 AS int) + 1 AS hours
                              FROM readings_touched WHERE high - low <= interval '31 days'
                             ORDER BY id LIMIT 1000) r) n) w
     WHERE total - weight < :weight),
taken AS (
    DELETE FROM readings_touched t USING chosen s WHERE t.id = s.id
    RETURNING t.low, t.high, t.touched_at, s.names),
hours AS (
    SELECT h.hour, greatest(t.low, h.hour) AS low, t.touched_at, t.names,
           least(t.high, h.hour + interval '1 hour' - interval '1 microsecond') AS high
      FROM taken t,
           generate_series(date_trunc('hour', t.low, 'UTC'), t.high, interval '1 hour') AS h(hour)),
merged AS (
    SELECT hour, min(low) AS low, max(high) AS high, min(touched_at) AS since,
           bool_or(names IS NULL) AS every
      FROM hours GROUP BY hour),
named AS (
    SELECT hour, array_agg(DISTINCT name) AS names
      FROM hours, unnest(names) AS name GROUP BY hour)
INSERT INTO gold_stale (hour, low, high, sensors, since)
SELECT m.hour, m.low, m.high, CASE WHEN NOT m.every AND cardinality(n.names) <= :most THEN n.names END, m.since
  FROM merged m LEFT JOIN named n USING (hour)
ON CONFLICT (hour) DO UPDATE
   SET low = least(gold_stale.low, excluded.low), high = greatest(gold_stale.high, excluded.high),
       since = least(gold_stale.since, excluded.since),
       sensors = CASE WHEN gold_stale.sensors IS NOT NULL AND excluded.sensors IS NOT NULL THEN (
           SELECT CASE WHEN count(*) <= :most THEN array_agg(s ORDER BY s) END
             FROM (SELECT unnest(gold_stale.sensors) UNION SELECT unnest(excluded.sensors)) AS u(s)) END;

-- name: take_stale
-- The newest hours first, so that live data is fresh during a backfill.
DELETE FROM gold_stale WHERE hour IN (SELECT hour FROM gold_stale ORDER BY hour DESC LIMIT :hours)
RETURNING low, high, sensors;

-- name: missing_gold_months
-- The months of these ranges that have readings but no partition of gold_1m.
SELECT DISTINCT m AT TIME ZONE 'UTC' AS month
  FROM unnest(CAST(:lows AS timestamptz[]), CAST(:highs AS timestamptz[])) AS r(low, high),
       generate_series(date_trunc('month', r.low AT TIME ZONE 'UTC'), r.high AT TIME ZONE 'UTC',
                       interval '1 month') AS m
 WHERE to_regclass('gold_1m_' || to_char(m, 'YYYY_MM')) IS NULL
   AND EXISTS (SELECT FROM reading_months(m AT TIME ZONE 'UTC', m AT TIME ZONE 'UTC'));

-- name: ensure_gold_months
SELECT ensure_gold_partitions(CAST(:months AS timestamptz[]));

-- name: droppable_gold_months
-- Months outside the time span of ordinary loads.
SELECT CAST(p.month AS timestamp) AT TIME ZONE 'UTC'
  FROM (SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month
          FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
         WHERE h.inhparent = CAST('gold_1m' AS regclass)) p
 WHERE p.month NOT BETWEEN now() - interval '2 months' AND now() + interval '1 month'
 ORDER BY 1;

-- name: drop_empty_gold
SELECT drop_empty_gold_partitions(CAST(:months AS timestamptz[]));

-- name: refresh_minutes
-- Computes the minutes of a range again. Returns the hours of the changed minutes. Only this transaction writes
-- aggregates, so a conflict is impossible. The minutes of a sensor are inserted one after the other, because
-- they are read together. The first and the last reading of a minute are those with the smallest and the
-- largest (ts, file_id, line_no). Arrays of numbers compare faster than rows: seconds within the minute,
-- file_id, line_no, value, quality. In sums, a value beyond 1e100 counts as infinite and one below 1e-100 as
-- zero: PostgreSQL raises an error if a square or a quotient is out of range.
WITH fresh AS MATERIALIZED (
    SELECT sensor_id, reading_type, unit, bucket, count, min, max, sum, m2, low[4] AS first, first_ts,
           high[4] AS last, last_ts, flagged, high[2] AS file_id, high[3] AS line_no, high[5] AS quality
      FROM (SELECT sensor_id, reading_type, unit, bucket, count(*) AS count, min(value) AS min,
                   max(value) AS max, sum(bounded) AS sum, var_pop(bounded) * count(*) AS m2,
                   min(place) AS low, min(ts) AS first_ts, max(place) AS high, max(ts) AS last_ts,
                   count(*) FILTER (WHERE quality <> 0) AS flagged
              FROM (SELECT ts, sensor_id, reading_type, unit, bucket, value, quality,
                           CASE WHEN abs(value) BETWEEN 1e-100 AND 1e100 THEN value
                                WHEN abs(value) < 1e-100 THEN 0
                                ELSE value * CAST('infinity' AS double precision) END AS bounded,
                           ARRAY[date_part('epoch', ts - bucket), file_id, line_no, value, quality] AS place
                      FROM (SELECT *, date_bin('1 minute', ts, TIMESTAMPTZ '0001-01-01 00:00:00+00') AS bucket
                              FROM raw_readings
                             WHERE ts >= :low AND ts <= :high
                               AND (CAST(:sensors AS text[]) IS NULL
                                    OR sensor_id = ANY(CAST(:sensors AS text[])))) t) r
             GROUP BY sensor_id, reading_type, unit, bucket) g),
gone AS (
    DELETE FROM gold_1m g
     WHERE bucket >= :low AND bucket <= :high
       AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
       AND NOT EXISTS (SELECT FROM fresh f
                        WHERE f.sensor_id = g.sensor_id AND f.reading_type = g.reading_type
                          AND f.unit = g.unit AND f.bucket = g.bucket)
    RETURNING sensor_id, reading_type, unit, bucket),
added AS (
    INSERT INTO gold_1m
    SELECT sensor_id, reading_type, unit, bucket, count, min, max, sum, m2, first, first_ts, last, last_ts,
           flagged
      FROM fresh f
     WHERE NOT EXISTS (
           SELECT FROM gold_1m o
            WHERE o.bucket >= :low AND o.bucket <= :high
              AND (CAST(:sensors AS text[]) IS NULL OR o.sensor_id = ANY(CAST(:sensors AS text[])))
              AND o.sensor_id = f.sensor_id AND o.reading_type = f.reading_type AND o.unit = f.unit
              AND o.bucket = f.bucket)
     ORDER BY sensor_id, reading_type, unit, bucket
    RETURNING sensor_id, reading_type, unit, bucket),
changed AS (
    UPDATE gold_1m g
       SET count = f.count, min = f.min, max = f.max, sum = f.sum, m2 = f.m2, first = f.first,
           first_ts = f.first_ts, last = f.last, last_ts = f.last_ts, flagged = f.flagged
      FROM fresh f
     WHERE g.bucket >= :low AND g.bucket <= :high
       AND (CAST(:sensors AS text[]) IS NULL OR g.sensor_id = ANY(CAST(:sensors AS text[])))
       AND f.sensor_id = g.sensor_id AND f.reading_type = g.reading_type AND f.unit = g.unit
       AND f.bucket = g.bucket
       AND (g.count, g.min, g.max, g.sum, g.m2, g.first, g.first_ts, g.last, g.last_ts, g.flagged)
           <> (f.count, f.min, f.max, f.sum, f.m2, f.first, f.first_ts, f.last, f.last_ts, f.flagged)
    RETURNING g.sensor_id, g.reading_type, g.unit, g.bucket),
newest AS (
    INSERT INTO readings_latest AS l
    SELECT sensor_id, reading_type, unit, last_ts, last, quality, file_id, line_no
      FROM (SELECT sensor_id, reading_type, unit, max(bucket) AS bucket
              FROM fresh GROUP BY sensor_id, reading_type, unit) n
      JOIN fresh f USING (sensor_id, reading_type, unit, bucket)
     WHERE NOT EXISTS (
           SELECT FROM readings_latest o
            WHERE o.sensor_id = f.sensor_id AND o.reading_type = f.reading_type AND o.unit = f.unit
              AND (o.ts > :high OR (o.ts, o.value, o.quality, o.file_id, o.line_no)
                                    = (f.last_ts, f.last, f.quality, f.file_id, f.line_no)))
    ON CONFLICT (sensor_id, reading_type, unit) DO UPDATE
       SET ts = excluded.ts, value = excluded.value, quality = excluded.quality,
           file_id = excluded.file_id, line_no = excluded.line_no)
SELECT array_agg(sensor_id) AS sensors, array_agg(reading_type) AS types, array_agg(unit) AS units,
       array_agg(bucket) AS buckets, coalesce(bool_or(is_gone), false) AS check_latest
  FROM (SELECT sensor_id, reading_type, unit, date_trunc('hour', bucket, 'UTC') AS bucket,
               bool_or(is_gone) AS is_gone
          FROM (SELECT *, true AS is_gone FROM gone
                UNION ALL SELECT *, false FROM added UNION ALL SELECT *, false FROM changed) b
         GROUP BY 1, 2, 3, 4) c;

-- name: refresh_coarser
-- Computes hours from their minutes, or days from their hours. keys: those to compute again. low, high: the
-- first and the last of their buckets.
WITH keys AS MATERIALIZED (
    SELECT DISTINCT sensor_id, reading_type, unit, date_trunc('{span}', bucket, 'UTC') AS bucket
      FROM unnest(CAST(:sensors AS text[]), CAST(:types AS text[]), CAST(:units AS text[]),
                  CAST(:buckets AS timestamptz[])) AS k(sensor_id, reading_type, unit, bucket)),
parts AS (
    SELECT k.bucket AS coarse, p.*, CAST(sum(p.count) OVER every AS bigint) AS total,
           sum(p.sum) OVER every / sum(p.count) OVER every AS mean
      FROM keys k
      JOIN {fine} p ON p.sensor_id = k.sensor_id AND p.reading_type = k.reading_type AND p.unit = k.unit
           AND p.bucket >= k.bucket AND p.bucket < k.bucket + interval '1 {span}'
           AND date_trunc('{span}', p.bucket, 'UTC') = k.bucket
     WHERE p.bucket >= date_trunc('{span}', CAST(:low AS timestamptz), 'UTC')
       AND p.bucket < date_trunc('{span}', CAST(:high AS timestamptz), 'UTC') + interval '1 {span}'
    WINDOW every AS (PARTITION BY p.sensor_id, p.reading_type, p.unit, k.bucket)),
fresh AS MATERIALIZED (
    SELECT sensor_id, reading_type, unit, coarse AS bucket, total AS count, min(min) AS min, max(max) AS max,
           sum(sum) AS sum, sum(m2 + count * (sum / count - mean) * (sum / count - mean)) AS m2,
           (min(ARRAY[date_part('epoch', bucket - coarse), first]))[2] AS first, min(first_ts) AS first_ts,
           (max(ARRAY[date_part('epoch', bucket - coarse), last]))[2] AS last, max(last_ts) AS last_ts,
           CAST(sum(flagged) AS bigint) AS flagged
      FROM parts GROUP BY sensor_id, reading_type, unit, coarse, total),
gone AS (
    DELETE FROM {coarse} g USING keys k
     WHERE g.sensor_id = k.sensor_id AND g.reading_type = k.reading_type AND g.unit = k.unit
       AND g.bucket = k.bucket
       AND g.bucket >= date_trunc('{span}', CAST(:low AS timestamptz), 'UTC')
       AND g.bucket <= date_trunc('{span}', CAST(:high AS timestamptz), 'UTC')
       AND NOT EXISTS (SELECT FROM fresh f
                        WHERE f.sensor_id = k.sensor_id AND f.reading_type = k.reading_type
                          AND f.unit = k.unit AND f.bucket = k.bucket)),
put AS (
    INSERT INTO {coarse} AS g
    SELECT sensor_id, reading_type, unit, bucket, count, min, max, sum, m2, first, first_ts, last, last_ts,
           flagged
      FROM fresh
    ON CONFLICT (sensor_id, reading_type, unit, bucket) DO UPDATE
       SET count = excluded.count, min = excluded.min, max = excluded.max, sum = excluded.sum,
           m2 = excluded.m2, first = excluded.first, first_ts = excluded.first_ts, last = excluded.last,
           last_ts = excluded.last_ts, flagged = excluded.flagged)
SELECT count(*) FROM keys;

-- name: refresh_latest
-- Finds the newest readings of these sensors again if the former ones have vanished. The aggregates of days
-- contain their times. If the reading of such a time has vanished too, its range is still queued.
WITH keys AS MATERIALIZED (
    SELECT DISTINCT sensor_id, reading_type, unit
      FROM unnest(CAST(:sensors AS text[]), CAST(:types AS text[]), CAST(:units AS text[]))
           AS k(sensor_id, reading_type, unit)),
lost AS MATERIALIZED (
    SELECT sensor_id, reading_type, unit, d.ts
      FROM keys k LEFT JOIN readings_latest l USING (sensor_id, reading_type, unit)
      LEFT JOIN LATERAL (SELECT g.last_ts AS ts FROM gold_1d g
                          WHERE g.sensor_id = k.sensor_id AND g.reading_type = k.reading_type
                            AND g.unit = k.unit
                          ORDER BY g.bucket DESC LIMIT 1) d ON true
     WHERE l.ts IS DISTINCT FROM d.ts),
times AS MATERIALIZED (
    SELECT DISTINCT ts FROM lost WHERE ts IS NOT NULL),
found AS MATERIALIZED (
    SELECT DISTINCT ON (r.sensor_id, r.reading_type, r.unit)
           r.sensor_id, r.reading_type, r.unit, r.ts, r.value, r.quality, r.file_id, r.line_no
      FROM times t CROSS JOIN LATERAL (SELECT * FROM raw_readings o WHERE o.ts = t.ts OFFSET 0) r
      JOIN lost l ON l.ts = r.ts AND l.sensor_id = r.sensor_id AND l.reading_type = r.reading_type
           AND l.unit = r.unit
     ORDER BY r.sensor_id, r.reading_type, r.unit, r.file_id DESC, r.line_no DESC, r.value DESC,
              r.quality DESC),
gone AS (
    DELETE FROM readings_latest l USING lost
     WHERE l.sensor_id = lost.sensor_id AND l.reading_type = lost.reading_type AND l.unit = lost.unit
       AND NOT EXISTS (SELECT FROM found f
                        WHERE f.sensor_id = l.sensor_id AND f.reading_type = l.reading_type
                          AND f.unit = l.unit))
INSERT INTO readings_latest
SELECT sensor_id, reading_type, unit, ts, value, quality, file_id, line_no FROM found
ON CONFLICT (sensor_id, reading_type, unit) DO UPDATE
   SET ts = excluded.ts, value = excluded.value, quality = excluded.quality,
       file_id = excluded.file_id, line_no = excluded.line_no;
