"""TimescaleDB: the columnstore of the readings, and empty chunks.

Where the license of TimescaleDB has a columnstore, chunks move there when their readings are 30 days old:
at night, because loads into a chunk wait while it is moved. The settings were measured: ordered by time,
and not segmented. A columnstore that somebody has configured otherwise stays as it is. On the Apache-only
build, only the function that drops empty chunks is replaced; on plain PostgreSQL, nothing changes.

Revision: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

AFTER = "30 days"

# Older than 2.18: `compress` and add_compression_policy, a function; since then `columnstore` and
# add_columnstore_policy, a procedure. A segment for each dedupe_key would be a segment for each row.
COLUMNSTORE = f"""
DO $columnstore$
DECLARE
    newer boolean := EXISTS (SELECT FROM pg_proc WHERE proname = 'add_columnstore_policy');
    enabled boolean;
    night timestamptz := date_trunc('day', now(), 'UTC') + interval '1 day 3 hours';
BEGIN
    IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale' THEN
        RETURN;
    END IF;
    SELECT h.compression_enabled INTO enabled FROM timescaledb_information.hypertables h
     WHERE h.hypertable_schema = current_schema() AND h.hypertable_name = 'raw_readings';
    IF NOT enabled AND newer THEN
        ALTER TABLE raw_readings SET (timescaledb.enable_columnstore, timescaledb.segmentby = '',
                                      timescaledb.orderby = 'ts');
    ELSIF NOT enabled THEN
        ALTER TABLE raw_readings SET (timescaledb.compress, timescaledb.compress_segmentby = '',
                                      timescaledb.compress_orderby = 'ts');
    ELSIF (SELECT array_agg(s.attname::text) FROM timescaledb_information.compression_settings s
            WHERE s.hypertable_schema = current_schema() AND s.hypertable_name = 'raw_readings')
          IS DISTINCT FROM ARRAY['ts'] THEN
        RAISE NOTICE 'raw_readings keeps its own settings of the columnstore';
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM timescaledb_information.jobs j
                WHERE j.hypertable_schema = current_schema() AND j.hypertable_name = 'raw_readings'
                  AND j.proc_name IN ('policy_compression', 'policy_columnstore')) THEN
        RETURN;
    END IF;
    IF newer THEN
        CALL add_columnstore_policy('raw_readings', after => INTERVAL '{AFTER}',
                                    schedule_interval => INTERVAL '1 day', initial_start => night);
    ELSE
        PERFORM add_compression_policy('raw_readings', INTERVAL '{AFTER}',
                                       schedule_interval => INTERVAL '1 day', initial_start => night);
    END IF;
END $columnstore$
"""
ROWSTORE = """
DO $rowstore$
DECLARE
    newer boolean := EXISTS (SELECT FROM pg_proc WHERE proname = 'add_columnstore_policy');
BEGIN
    IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale'
       OR (SELECT array_agg(s.attname::text) FROM timescaledb_information.compression_settings s
            WHERE s.hypertable_schema = current_schema() AND s.hypertable_name = 'raw_readings')
          IS DISTINCT FROM ARRAY['ts'] THEN
        RETURN;
    END IF;
    IF newer THEN
        CALL remove_columnstore_policy('raw_readings', if_exists => true);
    ELSE
        PERFORM remove_compression_policy('raw_readings', if_exists => true);
    END IF;
    IF EXISTS (SELECT FROM timescaledb_information.chunks c
                WHERE c.hypertable_schema = current_schema() AND c.hypertable_name = 'raw_readings'
                  AND c.is_compressed) THEN
        RAISE NOTICE 'raw_readings keeps its columnstore, because there are chunks in it';
    ELSIF newer THEN
        ALTER TABLE raw_readings SET (timescaledb.enable_columnstore = false);
    ELSE
        ALTER TABLE raw_readings SET (timescaledb.compress = false);
    END IF;
END $rowstore$
"""

DROPPABLE = """
CREATE FUNCTION droppable_reading_chunks() RETURNS SETOF timestamptz
LANGUAGE sql STABLE AS $$
    SELECT c.range_start FROM timescaledb_information.chunks c
     WHERE c.hypertable_schema = current_schema() AND c.hypertable_name = 'raw_readings'
       AND (c.range_end < now() - interval '2 months' OR c.range_start > now() + interval '1 month')
     ORDER BY 1
$$
"""
# Like the function of months in 0011: a chunk is dropped when it was empty at two looks that are :pause
# apart. `months` are the starts of chunks.
DROP_EMPTY = r"""
CREATE OR REPLACE FUNCTION drop_empty_reading_partitions(months timestamptz[], pause interval,
                                                         OUT dropped integer, OUT busy boolean)
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    part record;
    since timestamptz;
    rows boolean;
BEGIN
    dropped := 0;
    busy := false;
    FOR part IN
        SELECT c.name, c.range_start, c.range_end, obj_description(c.name, 'pg_class') AS said
          FROM (SELECT format('%I.%I', chunk_schema, chunk_name)::regclass AS name, range_start, range_end
                  FROM timescaledb_information.chunks
                 WHERE hypertable_schema = current_schema() AND hypertable_name = 'raw_readings'
                   AND range_start = ANY (months)) c
         ORDER BY c.range_start
    LOOP
        since := CAST(substring(part.said FROM '^sensorflow: empty since (.*)') AS timestamptz);
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part.name) INTO rows;
            IF rows THEN
                IF since IS NOT NULL THEN
                    EXECUTE format('COMMENT ON TABLE %s IS NULL', part.name);
                END IF;
            ELSIF since IS NULL THEN
                EXECUTE format('COMMENT ON TABLE %s IS %L', part.name, 'sensorflow: empty since ' || now());
            ELSIF since <= now() - pause THEN
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part.name);
                EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part.name) INTO rows;
                IF NOT rows THEN
                    PERFORM drop_chunks('raw_readings', older_than => part.range_end,
                                        newer_than => part.range_start);
                    dropped := dropped + 1;
                END IF;
            END IF;
        EXCEPTION
            WHEN lock_not_available THEN
                busy := true;
                RETURN;
            WHEN undefined_table OR dependent_objects_still_exist THEN
                NULL;
        END;
    END LOOP;
END $$
"""
DROP_NOTHING = """
CREATE OR REPLACE FUNCTION drop_empty_reading_partitions(months timestamptz[], pause interval,
                                                         OUT dropped integer, OUT busy boolean)
LANGUAGE sql AS $$ SELECT 0, false $$
"""

# With the owner's privileges. The search path has only the schemas of sensorflow and of TimescaleDB.
SAFE = """
DO $safe$
BEGIN
    EXECUTE format('ALTER FUNCTION drop_empty_reading_partitions(timestamptz[], interval)'
                   ' SECURITY DEFINER SET search_path = %I, %I, pg_temp', current_schema(),
                   (SELECT extnamespace::regnamespace::text FROM pg_extension
                     WHERE extname = 'timescaledb'));
END
$safe$
"""


def hypertable() -> bool:
    kind = "SELECT relkind = 'r' FROM pg_class WHERE oid = 'raw_readings'::regclass"
    return bool(op.get_bind().scalar(sa.text(kind)))


def upgrade() -> None:
    if hypertable():
        for statement in (COLUMNSTORE, DROPPABLE, DROP_EMPTY, SAFE):
            op.execute(statement)


def downgrade() -> None:
    """Chunks in the columnstore stay there, because moving them back may take hours and much disk. Older
    versions read and change them too."""
    if hypertable():
        for statement in (DROP_NOTHING, SAFE, "DROP FUNCTION droppable_reading_chunks()", ROWSTORE):
            op.execute(statement)
