"""Views for people and tools: readings with their files, the newest readings, files, rejects and lineage.

Their columns are a contract: a later revision may add columns at the end of a view, and changes nothing
else. No view has a function or an aggregate around the columns of readings, so that conditions on them
reach the partitions and the index. The joins are outer joins by primary key, which PostgreSQL leaves out if
no column of the joined table is used.

Revision: 0017
"""

from alembic import op

revision = "0017"
down_revision = "0016"

VIEWS = {
    "v_readings": """
SELECT r.ts, r.sensor_id, r.reading_type, r.value, r.unit, r.quality,
       f.source, f.key_text AS file_name, f.version AS file_version, r.file_id, r.line_no
  FROM raw_readings r LEFT JOIN files f ON f.id = r.file_id
""",
    "v_latest": """
SELECT l.sensor_id, l.reading_type, l.unit, l.ts, l.value, l.quality,
       f.source, f.key_text AS file_name, f.version AS file_version, l.file_id, l.line_no
  FROM readings_latest l LEFT JOIN files f ON f.id = l.file_id
""",
    # the counts as `core.account.account` computes them
    "v_files": """
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
       (SELECT array_agg(DISTINCT a.key_text) FROM arrivals a WHERE a.file_id = f.id) AS names
  FROM files f LEFT JOIN growths g ON g.file_id = f.id
""",
    # the paths as `core.partitions.layer_path` and the quarantine zone make them
    "v_rejects": """
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
""",
    "v_lineage": """
SELECT r.ts, r.sensor_id, r.reading_type, r.value, r.unit, r.quality,
       f.source, f.key_text AS file_name, f.version AS file_version, r.file_id, r.line_no,
       f.landing, r.line_no - coalesce(g.line_base, 0) AS landing_line,
       'landing' = ANY (f.expired) AS landing_removed, encode(f.sha256, 'hex') AS sha256,
       g.root AS growing_file_id, f.landed_at AS arrived_at, f.finished_at AS loaded_at,
       f.profile, f.profile_hash, f.code_version, r.dedupe_key
  FROM raw_readings r LEFT JOIN files f ON f.id = r.file_id LEFT JOIN growths g ON g.file_id = r.file_id
""",
}

GRANTS = """
DO $roles$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['v_readings', 'v_latest', 'v_files', 'v_rejects', 'v_lineage'] LOOP
        IF to_regrole('sensorflow_reader') IS NOT NULL THEN
            EXECUTE format('GRANT SELECT ON %I TO sensorflow_reader', name);
        END IF;
        IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
           = 'sensorflow_owner' THEN
            EXECUTE format('ALTER VIEW %I OWNER TO sensorflow_owner', name);
        END IF;
    END LOOP;
END $roles$;
"""


def upgrade() -> None:
    """Only adds views, so nobody waits."""
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
    op.execute(GRANTS)


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
