-- Readings and their aggregates, for export. All statements select by the same arguments, see
-- `readings.ReadingsQuery`; an array that is NULL selects all.

-- name: hold_readings
-- Maximum seconds between two batches. A connection to a client that is lost ends sooner.
SELECT set_config('idle_in_transaction_session_timeout', CAST(:seconds AS text) || 's', true);

-- name: open_readings
SELECT ts, sensor_id, reading_type, value, unit, quality, file_id, line_no, dedupe_key
  FROM raw_readings
 WHERE ts >= CAST(:start AS timestamptz) AND ts < CAST(:end AS timestamptz)
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])))
   AND (CAST(:sources AS text[]) IS NULL
        OR file_id IN (SELECT id FROM files WHERE source = ANY(CAST(:sources AS text[]))))
 ORDER BY ts, sensor_id, reading_type, file_id, line_no, dedupe_key;

-- name: span_of_readings
-- A range of times that includes all readings, by the ledger.
SELECT min(ts_min) AS low, max(ts_max) AS high FROM files;

-- name: known_series
-- All sensors and types that are known without a scan of the readings. A row without a type is a sensor
-- that the aggregates do not contain yet.
SELECT sensor_id, reading_type FROM readings_latest
 UNION
SELECT unnest(sensors), NULL FROM readings_touched
 UNION
SELECT unnest(sensors), NULL FROM gold_stale;

-- name: has_pending_readings
-- Whether there are readings of a sensor or of a type in the ranges that the aggregates do not contain yet.
-- The LIMIT makes PostgreSQL look into one range after the other.
SELECT EXISTS (
       SELECT FROM (SELECT low, high FROM readings_touched UNION ALL SELECT low, high FROM gold_stale) p,
              LATERAL (SELECT FROM raw_readings
                        WHERE ts BETWEEN p.low AND p.high
                          AND (CAST(:sensor AS text) IS NULL OR sensor_id = :sensor)
                          AND (CAST(:type AS text) IS NULL OR reading_type = :type) LIMIT 1) found);

-- name: has_pending_changes
-- Whether readings of the range have changed that the aggregates do not contain yet.
SELECT EXISTS (SELECT FROM readings_touched
                WHERE low < CAST(:end AS timestamptz) AND high >= CAST(:start AS timestamptz))
    OR EXISTS (SELECT FROM gold_stale
                WHERE low < CAST(:end AS timestamptz) AND high >= CAST(:start AS timestamptz));

-- name: series_of_range
-- The series of a range without pending changes. They come from the days in the range, from the other hours in
-- the range, and from the readings before and after these hours.
SELECT sensor_id, reading_type, unit FROM readings_1d
 WHERE bucket >= CAST(:first_day AS timestamptz) AND bucket < CAST(:last_day AS timestamptz)
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])))
 UNION
SELECT sensor_id, reading_type, unit FROM readings_1h
 WHERE (bucket >= CAST(:first_hour AS timestamptz) AND bucket < CAST(:first_day AS timestamptz)
        OR bucket >= CAST(:last_day AS timestamptz) AND bucket < CAST(:last_hour AS timestamptz))
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])))
 UNION
SELECT sensor_id, reading_type, unit FROM raw_readings
 WHERE (ts >= CAST(:start AS timestamptz) AND ts < CAST(:first_hour AS timestamptz)
        OR ts >= CAST(:last_hour AS timestamptz) AND ts < CAST(:end AS timestamptz))
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])));

-- name: parts_of_1m
SELECT *, bucket AS part, coalesce(stddev * stddev * (count - 1), 0) AS m2, flagged_share * count AS flagged
  FROM readings_1m
 WHERE bucket >= CAST(:start AS timestamptz) AND bucket < CAST(:end AS timestamptz)
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])));

-- name: parts_of_1h
SELECT *, bucket AS part, coalesce(stddev * stddev * (count - 1), 0) AS m2, flagged_share * count AS flagged
  FROM readings_1h
 WHERE bucket >= CAST(:start AS timestamptz) AND bucket < CAST(:end AS timestamptz)
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])));

-- name: parts_of_1d
SELECT *, bucket AS part, coalesce(stddev * stddev * (count - 1), 0) AS m2, flagged_share * count AS flagged
  FROM readings_1d
 WHERE bucket >= CAST(:start AS timestamptz) AND bucket < CAST(:end AS timestamptz)
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])));

-- name: parts_as_they_are
-- The parts are the buckets.
SELECT part AS bucket, sensor_id, reading_type, unit, count, min, max, sum, avg, stddev, first, last,
       first_ts, last_ts, flagged_share
  FROM parts
 ORDER BY bucket, sensor_id, reading_type, unit;

-- name: parts_of_readings
-- Aggregates of short parts of time, as in readings_1m. The values of one part and series are held in
-- memory. In sums, values are bounded as in `refresh_minutes`.
SELECT sensor_id, reading_type, unit, part, count(*) AS count, min(value) AS min, max(value) AS max,
       sum(bounded) AS sum, var_pop(bounded) * count(*) AS m2,
       (array_agg(value ORDER BY ts, file_id, line_no))[1] AS first, min(ts) AS first_ts,
       (array_agg(value ORDER BY ts DESC, file_id DESC, line_no DESC))[1] AS last,
       max(ts) AS last_ts, count(*) FILTER (WHERE quality <> 0) AS flagged
  FROM (SELECT *, date_bin(CAST(:part AS interval), ts, CAST(:origin AS timestamptz)) AS part,
               CASE WHEN abs(value) BETWEEN 1e-100 AND 1e100 THEN value
                    WHEN abs(value) < 1e-100 THEN 0
                    ELSE value * CAST('infinity' AS double precision) END AS bounded
          FROM raw_readings) placed
 WHERE ts >= CAST(:start AS timestamptz) AND ts < CAST(:end AS timestamptz)
   AND (CAST(:sensors AS text[]) IS NULL OR sensor_id = ANY(CAST(:sensors AS text[])))
   AND (CAST(:types AS text[]) IS NULL OR reading_type = ANY(CAST(:types AS text[])))
   AND (CAST(:sources AS text[]) IS NULL
        OR file_id IN (SELECT id FROM files WHERE source = ANY(CAST(:sources AS text[]))))
 GROUP BY part, sensor_id, reading_type, unit;

-- name: combined_parts
-- Combines parts to buckets. m2 is the sum of squared deviations from the mean; those of several parts are
-- combined as in Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
-- Variances" (1979).
SELECT bucket, sensor_id, reading_type, unit, CAST(sum(count) AS bigint) AS count,
       min(min) AS min, max(max) AS max, sum(sum) AS sum, sum(sum) / sum(count) AS avg,
       sqrt(sum(m2 + count * (sum / count - mean) * (sum / count - mean)) / nullif(sum(count) - 1, 0))
           AS stddev,
       (array_agg(first ORDER BY part))[1] AS first, (array_agg(last ORDER BY part DESC))[1] AS last,
       min(first_ts) AS first_ts, max(last_ts) AS last_ts,
       CAST(sum(flagged) / sum(count) AS double precision) AS flagged_share
  FROM (SELECT *, sum(sum) OVER same / CAST(sum(count) OVER same AS double precision) AS mean
          FROM (SELECT date_bin(CAST(:every AS interval), part, CAST(:origin AS timestamptz)) AS bucket,
                       part, sensor_id, reading_type, unit, count, min, max, sum, m2, first, last,
                       first_ts, last_ts, flagged
                  FROM parts) placed
        WINDOW same AS (PARTITION BY bucket, sensor_id, reading_type, unit)) with_mean
 GROUP BY bucket, sensor_id, reading_type, unit
 ORDER BY bucket, sensor_id, reading_type, unit;
