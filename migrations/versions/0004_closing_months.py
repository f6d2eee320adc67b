"""The function that seals a month: it builds the indexes that ``dedupe_index = "deferred"`` defers.

Only an addition. The schema remains that of ``dedupe_index = "unique"``: the settings select the mode of a
database after the migrations (`adapters/postgres/indexing.py`).

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# In one transaction, not CONCURRENTLY: the indexes exist completely or not at all, no load sees a
# half-built one, and a function with the owner's privileges may build them. The SHARE lock does not block
# readers, and is waited for only briefly: loads into this month take precedence. doctor and audit read the
# comment.
CLOSE = """
CREATE FUNCTION close_reading_partition(month timestamptz) RETURNS text
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    part text := 'raw_readings_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    broken regclass;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('sensorflow.indexes', 0)) THEN
        RETURN 'another';
    ELSIF to_regclass(part) IS NULL OR to_regclass('uq_raw_dedupe') IS NOT NULL
          OR (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' > now() THEN
        RETURN 'open';
    END IF;
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', part);
    FOR broken IN SELECT indexrelid FROM pg_index
                   WHERE indrelid = to_regclass(part) AND NOT indisvalid LOOP
        EXECUTE format('DROP INDEX %s', broken); -- of somebody's CONCURRENTLY
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_index
                    WHERE indrelid = to_regclass(part) AND indisunique
                      AND pg_get_indexdef(indexrelid) LIKE '%(ts, dedupe_key)') THEN
        BEGIN
            EXECUTE format('CREATE UNIQUE INDEX %I ON %I (ts, dedupe_key)', part || '_uq', part);
        EXCEPTION WHEN unique_violation THEN
            EXECUTE format('COMMENT ON TABLE %I IS %L', part,
                           'sensorflow: rows doubled, ' || clock_timestamp());
            RETURN 'doubled';
        END;
    END IF;
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (sensor_id, reading_type, ts)',
                   part || '_ix', part);
    EXECUTE format('COMMENT ON TABLE %I IS NULL', part);
    RETURN 'closed';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'loading';
END $$
"""

# Like ensure_reading_partitions: with the owner's privileges, and only the owner's schema in its search
# path.
SAFE = """
DO $safe$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION close_reading_partition(timestamptz)'
        ' SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
    REVOKE EXECUTE ON FUNCTION close_reading_partition(timestamptz) FROM PUBLIC;
END
$safe$
"""

GRANTS = """
DO $roles$
DECLARE
    closing text := format('%I.close_reading_partition(timestamptz)', current_schema());
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class
                    WHERE oid = 'raw_readings'::regclass);
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['sensorflow_owner', 'sensorflow_loader'] LOOP
        CONTINUE WHEN to_regrole(role) IS NULL;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', closing, role);
    END LOOP;
    IF owner = 'sensorflow_owner' THEN
        EXECUTE format('ALTER FUNCTION %s OWNER TO sensorflow_owner', closing);
    END IF;
END
$roles$;
"""


def upgrade() -> None:
    op.execute(CLOSE)
    op.execute(SAFE)
    op.execute(GRANTS)


def downgrade() -> None:
    """Restores the unique index: older versions support no other mode."""
    op.execute("DROP FUNCTION close_reading_partition(timestamptz)")
    # older versions of TimescaleDB refuse the statement on compressed chunks, even if the index exists
    if op.get_bind().scalar(sa.text("SELECT to_regclass('uq_raw_dedupe') IS NULL")):
        op.execute("CREATE UNIQUE INDEX uq_raw_dedupe ON raw_readings (ts, dedupe_key)")
    op.execute("DROP INDEX IF EXISTS ix_raw_file")
