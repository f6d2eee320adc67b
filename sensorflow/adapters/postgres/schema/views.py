"""The views for people and tools. Their columns are a contract, see docs/reference/sql-views.md."""

from __future__ import annotations

from sqlalchemy import DDL, event

from sensorflow.adapters.postgres.schema.columns import metadata

READINGS = """
CREATE VIEW v_readings AS
SELECT r.ts, r.sensor_id, r.reading_type, r.value, r.unit, r.quality,
       f.source, f.key_text AS file_name, f.version AS file_version, r.file_id, r.line_no
  FROM raw_readings r LEFT JOIN files f ON f.id = r.file_id
"""
LATEST = """
CREATE VIEW v_latest AS
SELECT l.sensor_id, l.reading_type, l.unit, l.ts, l.value, l.quality,
       f.source, f.key_text AS file_name, f.version AS file_version, l.file_id, l.line_no
  FROM readings_latest l LEFT JOIN files f ON f.id = l.file_id
"""
# the counts as `core.account.account` computes them
FILES = """
CREATE VIEW v_files AS
SELECT f.id AS file_id, f.source, f.key_text AS file_name, f.version AS file_version, f.state, f.stage,
       f.size AS bytes, encode(f.sha256, 'hex') AS sha256, f.landing,
       f.landed_at AS arrived_at, f.started_at, f.finished_at, f.ts_min AS first_ts, f.ts_max AS last_ts,
       f.rows_read,
       CASE f.state WHEN 'loaded' THEN f.rows_loaded ELSE 0 END AS rows_loaded,
       f.rows_rejected, f.rows_duplicate,
       CASE f.state WHEN 'loaded' THEN 0 ELSE f.rows_read - f.rows_rejected - f.rows_duplicate END
           AS rows_not_loaded,
       CASE f.state WHEN 'loaded' THEN f.rows_replaced ELSE 0 END AS rows_replaced,
       f.rows_missing AS cells_missing, f.attempts, f.profile, f.error_code, f.error_detail,
       g.root AS growing_file_id,
       (SELECT array_agg(DISTINCT a.key_text) FROM arrivals a WHERE a.file_id = f.id) AS names, f.expired
  FROM files f LEFT JOIN growths g ON g.file_id = f.id
"""
# the paths as `core.partitions.layer_path` and the quarantine zone make them
REJECTS = """
CREATE VIEW v_rejects AS
SELECT f.id AS file_id, f.source, f.key_text AS file_name, f.version AS file_version, f.state,
       f.landed_at AS arrived_at, f.finished_at, f.rows_read, f.rows_rejected,
       CAST(f.rows_rejected AS double precision) / nullif(f.rows_read, 0) AS rejected_share,
       f.error_code, f.error_detail,
       CASE WHEN f.rows_rejected > 0 AND NOT 'rejects' = ANY (f.expired) THEN
            'rejects/source=' || f.source
            || '/ingest_date=' || to_char(f.landed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
            || '/file-' || f.id || '-v' || f.version || '.parquet' END AS rejects_file,
       f.quarantined_to || '/manifest.json' AS manifest
  FROM files f
 WHERE f.rows_rejected > 0 OR f.state = 'quarantined'
"""
LINEAGE = """
CREATE VIEW v_lineage AS
SELECT r.ts, r.sensor_id, r.reading_type, r.value, r.unit, r.quality,
       f.source, f.key_text AS file_name, f.version AS file_version, r.file_id, r.line_no,
       f.landing, r.line_no - coalesce(g.line_base, 0) AS landing_line,
       'landing' = ANY (f.expired) AS landing_removed, encode(f.sha256, 'hex') AS sha256,
       g.root AS growing_file_id, f.landed_at AS arrived_at, f.finished_at AS loaded_at,
       f.profile, f.profile_hash, f.code_version, r.dedupe_key
  FROM raw_readings r LEFT JOIN files f ON f.id = r.file_id LEFT JOIN growths g ON g.file_id = r.file_id
"""

for _view in (READINGS, LATEST, FILES, REJECTS, LINEAGE):
    event.listen(metadata, "after_create", DDL(_view))  # type: ignore[no-untyped-call]
