"""The view v_files shows what retention has removed of a file.

The column is at the end of the view, so queries of older versions still work.

Revision: 0021
"""

from alembic import op

revision = "0021"
down_revision = "0020"

FILES = """
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
       (SELECT array_agg(DISTINCT a.key_text) FROM arrivals a WHERE a.file_id = f.id) AS names{more}
  FROM files f LEFT JOIN growths g ON g.file_id = f.id
"""

# A view that is created again has neither its owner nor its grants.
GRANTS = """
DO $roles$
BEGIN
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON v_files TO sensorflow_reader;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER VIEW v_files OWNER TO sensorflow_owner;
    END IF;
END $roles$;
"""


def upgrade() -> None:
    """Replaces the definition of a view, and keeps its owner and grants."""
    op.execute(f"CREATE OR REPLACE VIEW v_files AS {FILES.format(more=', f.expired')}")


def downgrade() -> None:
    op.execute("DROP VIEW v_files")
    op.execute(f"CREATE VIEW v_files AS {FILES.format(more='')}")
    op.execute(GRANTS)
