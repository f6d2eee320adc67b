"""Aggregates of the readings per minute, hour and day, the newest readings, and two queues of changes.

Each transaction that changes readings adds a row to ``readings_touched``. The refresher moves these ranges
to ``gold_stale``, by hour, and recomputes the aggregates of these hours. No row is shared between loads.

Revision: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

TABLES = ("gold_1m", "gold_1h", "gold_1d", "readings_latest", "gold_stale", "readings_touched")
VIEWS = ("readings_1m", "readings_1h", "readings_1d", "gold_watermark")
FUNCTIONS = (
    "ensure_gold_partitions(timestamptz[])",
    "drop_empty_gold_partitions(timestamptz[])",
    "reading_months(timestamptz, timestamptz)",
    "record_touched()",
)

AGGREGATES = """
CREATE VIEW readings_{span} AS
SELECT sensor_id, reading_type, unit, bucket, count, min, max, sum, sum / count AS avg,
       CASE WHEN count > 1 THEN sqrt(m2 / (count - 1)) END AS stddev,
       first, last, first_ts, last_ts, CAST(flagged AS double precision) / count AS flagged_share
  FROM gold_{span}
"""
# All times are those of the database's clock. No transaction that has committed before fresh_to still has a
# row in one of the queues.
WATERMARK = """
CREATE VIEW gold_watermark AS
SELECT coalesce(least((SELECT min(touched_at) FROM readings_touched),
                      (SELECT min(since) FROM gold_stale)), now()) AS fresh_to,
       (SELECT count(*) FROM readings_touched) + (SELECT count(*) FROM gold_stale) AS pending
"""

# Like ensure_reading_partitions: ATTACH blocks no reader. Only one refresher runs at a time.
ENSURE = """
CREATE FUNCTION ensure_gold_partitions(months timestamptz[]) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month timestamp;
    part text;
    made integer := 0;
BEGIN
    FOR month IN SELECT DISTINCT date_trunc('month', m AT TIME ZONE 'UTC') FROM unnest(months) AS m LOOP
        part := 'gold_1m_' || to_char(month, 'YYYY_MM');
        IF to_regclass(part) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE gold_1m INCLUDING DEFAULTS)', part);
            EXECUTE format('ALTER TABLE gold_1m ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           part, month AT TIME ZONE 'UTC',
                           (month + interval '1 month') AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$
"""
# A partition that readers use is left for the next call. Pass few months at a time: each takes entries in
# the lock table of the server.
DROP_EMPTY = """
CREATE FUNCTION drop_empty_gold_partitions(months timestamptz[]) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    part regclass;
    rows boolean;
    dropped integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('sensorflow.gold', 0)) THEN
        RETURN 0; -- the refresher may need the partition
    END IF;
    FOR part IN
        SELECT i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'gold_1m'::regclass
           AND c.relname IN (SELECT 'gold_1m_' || to_char(m AT TIME ZONE 'UTC', 'YYYY_MM')
                               FROM unnest(months) AS m)
    LOOP
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part) INTO rows;
            CONTINUE WHEN rows;
            LOCK TABLE ONLY gold_1m IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part) INTO rows;
            CONTINUE WHEN rows;
            EXECUTE format('DROP TABLE %s', part);
            dropped := dropped + 1;
        EXCEPTION
            WHEN lock_not_available THEN
                RETURN dropped;
            WHEN undefined_table OR dependent_objects_still_exist THEN
                NULL;
        END;
    END LOOP;
    RETURN dropped;
END $$
"""

# The months in a time range that may have readings or aggregates, without reading a row.
MONTHS = r"""
CREATE FUNCTION reading_months(low timestamptz, high timestamptz) RETURNS SETOF timestamptz
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT m AT TIME ZONE 'UTC'
      FROM (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent IN ('raw_readings'::regclass, 'gold_1m'::regclass)) p,
           CAST(substring(p.bound FROM $b$FROM \('([^']+)'\)$b$) AS timestamptz) AS first,
           CAST(substring(p.bound FROM $b$TO \('([^']+)'\)$b$) AS timestamptz) AS last,
           generate_series(date_trunc('month', greatest(first, low) AT TIME ZONE 'UTC'),
                           least(last - interval '1 microsecond', high) AT TIME ZONE 'UTC',
                           interval '1 month') AS m
     WHERE first <= high AND last > low
$$
"""
CHUNKS = r"""
CREATE FUNCTION reading_months(low timestamptz, high timestamptz) RETURNS SETOF timestamptz
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT m AT TIME ZONE 'UTC'
      FROM (SELECT range_start AS first, range_end AS last FROM timescaledb_information.chunks
             WHERE hypertable_schema = current_schema() AND hypertable_name = 'raw_readings'
            UNION ALL
            SELECT CAST(substring(b.bound FROM $b$FROM \('([^']+)'\)$b$) AS timestamptz),
                   CAST(substring(b.bound FROM $b$TO \('([^']+)'\)$b$) AS timestamptz)
              FROM (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound
                      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                     WHERE i.inhparent = 'gold_1m'::regclass) b) p,
           generate_series(date_trunc('month', greatest(first, low) AT TIME ZONE 'UTC'),
                           least(last - interval '1 microsecond', high) AT TIME ZONE 'UTC',
                           interval '1 month') AS m
     WHERE first <= high AND last > low
$$
"""

# Processes of older versions record nothing in readings_touched. Their changes of readings go with a change
# of the file's state, or of the list of expired layers. Sessions of this version set the parameter.
RECORD = """
CREATE FUNCTION record_touched() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO readings_touched (source, low, high)
    VALUES (NEW.source, least(OLD.ts_min, NEW.ts_min), greatest(OLD.ts_max, NEW.ts_max));
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER tr_files_touched AFTER UPDATE OF state, expired ON files FOR EACH ROW
WHEN (coalesce(current_setting('sensorflow.records_touched', true), '') = ''
      AND NEW.state IN ('loaded', 'superseded', 'undone')
      AND (OLD.ts_min IS NOT NULL OR NEW.ts_min IS NOT NULL))
EXECUTE FUNCTION record_touched()
"""

# The months of existing readings. The trigger records everything that is committed later.
FILL = """
INSERT INTO readings_touched (source, low, high)
SELECT '', m, (m AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' - interval '1 microsecond'
  FROM reading_months('0001-01-01 00:00:00+00', '9999-12-31 23:59:59+00') AS m
"""

# Like ensure_reading_partitions: with the owner's privileges, and only the owner's schema in its search
# path.
SAFE = """
DO $safe$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ensure_gold_partitions(timestamptz[])',
                                'drop_empty_gold_partitions(timestamptz[])'] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', name,
                       current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END
$safe$
"""

GRANTS = """
DO $roles$
DECLARE
    name text;
    role text;
    relation regclass;
BEGIN
    FOREACH role IN ARRAY ARRAY['sensorflow_owner', 'sensorflow_loader'] LOOP
        CONTINUE WHEN to_regrole(role) IS NULL;
        FOREACH name IN ARRAY ARRAY['ensure_gold_partitions(timestamptz[])',
                                    'drop_empty_gold_partitions(timestamptz[])'] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%s TO %I', current_schema(), name, role);
        END LOOP;
    END LOOP;
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON gold_1m, gold_1h, gold_1d, readings_latest, gold_stale,
            readings_touched TO sensorflow_loader;
        GRANT SELECT ON readings_1m, readings_1h, readings_1d, gold_watermark TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON gold_1m, gold_1h, gold_1d, readings_latest, gold_stale, readings_touched,
            readings_1m, readings_1h, readings_1d, gold_watermark TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON gold_1m, gold_1h, gold_1d, readings_latest, gold_stale, readings_touched,
            readings_1m, readings_1h, readings_1d, gold_watermark TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        FOR relation IN
            SELECT unnest(ARRAY['gold_1m', 'gold_1h', 'gold_1d', 'readings_latest', 'gold_stale',
                                'readings_touched', 'readings_1m', 'readings_1h', 'readings_1d',
                                'gold_watermark']::regclass[])
            UNION ALL
            SELECT inhrelid FROM pg_inherits WHERE inhparent = 'gold_1m'::regclass
        LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO sensorflow_owner', relation);
        END LOOP;
        FOREACH name IN ARRAY ARRAY['ensure_gold_partitions(timestamptz[])',
                                    'drop_empty_gold_partitions(timestamptz[])',
                                    'reading_months(timestamptz, timestamptz)',
                                    'record_touched()'] LOOP
            EXECUTE format('ALTER FUNCTION %I.%s OWNER TO sensorflow_owner', current_schema(), name);
        END LOOP;
    END IF;
END $roles$;
"""


def time(name, default=None, nullable=False):
    default = sa.text(default) if default else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def aggregates(name, **options):
    op.create_table(
        name,
        sa.Column("sensor_id", sa.Text, primary_key=True),
        sa.Column("reading_type", sa.Text, primary_key=True),
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("bucket", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("min", sa.Double, nullable=False),
        sa.Column("max", sa.Double, nullable=False),
        sa.Column("sum", sa.Double, nullable=False),
        sa.Column("m2", sa.Double, nullable=False),
        sa.Column("first", sa.Double, nullable=False),
        time("first_ts"),
        sa.Column("last", sa.Double, nullable=False),
        time("last_ts"),
        sa.Column("flagged", sa.BigInteger, nullable=False),
        **options,
    )
    op.create_index(f"ix_{name}_bucket", name, ["bucket"])


def partitioned() -> bool:
    kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'raw_readings'::regclass"
    return bool(op.get_bind().scalar(sa.text(kind)))


def upgrade() -> None:
    """The trigger is created late, because nobody can write files while the transaction waits for its lock.
    The refresher computes the aggregates of existing readings."""
    aggregates("gold_1m", postgresql_partition_by="RANGE (bucket)")
    aggregates("gold_1h")
    aggregates("gold_1d")
    op.create_table(
        "readings_latest",
        sa.Column("sensor_id", sa.Text, primary_key=True),
        sa.Column("reading_type", sa.Text, primary_key=True),
        sa.Column("unit", sa.Text, primary_key=True),
        time("ts"),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("quality", sa.SmallInteger, nullable=False),
        sa.Column("file_id", sa.BigInteger, nullable=False),
        sa.Column("line_no", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "readings_touched",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        time("touched_at", "clock_timestamp()"),
        sa.Column("source", sa.Text, nullable=False),
        time("low"),
        time("high"),
        sa.Column("sensors", sa.ARRAY(sa.Text)),
    )
    op.create_table(
        "gold_stale",
        sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
        time("low"),
        time("high"),
        sa.Column("sensors", sa.ARRAY(sa.Text)),
        time("since"),
    )
    for span in ("1m", "1h", "1d"):
        op.execute(AGGREGATES.format(span=span))
    for statement in (WATERMARK, ENSURE, DROP_EMPTY, MONTHS if partitioned() else CHUNKS, RECORD):
        op.execute(statement)
    op.execute(SAFE)
    op.execute(GRANTS)
    op.execute(TRIGGER)
    op.execute(FILL)


def downgrade() -> None:
    op.execute("DROP TRIGGER tr_files_touched ON files")
    for name in VIEWS:
        op.execute(f"DROP VIEW {name}")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    for name in TABLES:
        op.drop_table(name)
