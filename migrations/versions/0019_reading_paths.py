"""The functions that build the reading index of a month, and that drop the months whose readings have
expired.

Only an addition. Both functions have the owner's privileges, because the role of workers and beat may not
change tables.

Revision: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

COLUMNS = "(sensor_id, reading_type, ts) INCLUDE (value, unit, quality)"

# For sessions that do not own the partitions and cannot use CREATE INDEX CONCURRENTLY. In one transaction:
# the index exists completely or not at all. Loads into the month wait; reads do not. A broken index is
# what a killed CREATE INDEX CONCURRENTLY of the owner has left.
INDEX_MONTH = f"""
CREATE FUNCTION index_reading_partition(month timestamptz) RETURNS text
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    part text := 'raw_readings_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    broken regclass;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('sensorflow.indexes', 0)) THEN
        RETURN 'another';
    ELSIF to_regclass(part) IS NULL
          OR (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' > now() THEN
        RETURN 'open';
    END IF;
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', part);
    SELECT indexrelid INTO broken FROM pg_index
     WHERE indrelid = to_regclass(part) AND indexrelid = to_regclass(part || '_ix') AND NOT indisvalid;
    IF FOUND THEN
        EXECUTE format('DROP INDEX %s', broken);
    END IF;
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I {COLUMNS}', part || '_ix', part);
    EXECUTE format('ANALYZE %I', part);
    RETURN 'indexed';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'loading';
END $$
"""

# The caller has marked the files as expired in the same transaction. First, all months are locked against
# loads and read completely: a month that contains a reading of another file is kept. Then they are dropped,
# which takes the exclusive lock of raw_readings only until the commit. month: the month that prevents it;
# NULL if raw_readings itself is in use.
DROP_EXPIRED = """
CREATE FUNCTION drop_expired_reading_partitions(months timestamptz[], files bigint[],
                                                OUT outcome text, OUT month timestamptz)
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    part text;
    found_other boolean;
BEGIN
    FOREACH month IN ARRAY months LOOP
        part := 'raw_readings_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
        EXECUTE format('LOCK TABLE ONLY %I IN SHARE ROW EXCLUSIVE MODE', part);
        EXECUTE format('SELECT EXISTS (SELECT FROM %I r WHERE NOT EXISTS (
                                SELECT FROM unnest($1) AS expired(id) WHERE expired.id = r.file_id))', part)
           INTO found_other USING files;
        IF found_other THEN
            outcome := 'shared';
            RETURN;
        END IF;
    END LOOP;
    month := NULL;
    FOR attempt IN 1..5 LOOP
        BEGIN
            LOCK TABLE ONLY raw_readings IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 5 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.1 + random() / 5);
        END;
    END LOOP;
    FOREACH month IN ARRAY months LOOP
        EXECUTE format('DROP TABLE %I', 'raw_readings_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'));
    END LOOP;
    outcome := 'dropped';
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        outcome := 'busy';
    WHEN undefined_table OR dependent_objects_still_exist THEN
        outcome := 'shared';
END $$
"""
FUNCTIONS = (
    "index_reading_partition(timestamptz)",
    "drop_expired_reading_partitions(timestamptz[], bigint[])",
)

# Like ensure_reading_partitions: with the owner's privileges, and only the owner's schema in its search
# path.
SAFE = """
DO $safe$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['index_reading_partition(timestamptz)',
                                'drop_expired_reading_partitions(timestamptz[], bigint[])'] LOOP
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
BEGIN
    FOREACH name IN ARRAY ARRAY['index_reading_partition(timestamptz)',
                                'drop_expired_reading_partitions(timestamptz[], bigint[])'] LOOP
        FOREACH role IN ARRAY ARRAY['sensorflow_owner', 'sensorflow_loader'] LOOP
            CONTINUE WHEN to_regrole(role) IS NULL;
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%s TO %I', current_schema(), name, role);
        END LOOP;
        IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'raw_readings'::regclass)
           = 'sensorflow_owner' THEN
            EXECUTE format('ALTER FUNCTION %I.%s OWNER TO sensorflow_owner', current_schema(), name);
        END IF;
    END LOOP;
END $roles$;
"""


def upgrade() -> None:
    op.execute(INDEX_MONTH)
    op.execute(DROP_EXPIRED)
    op.execute(SAFE)
    op.execute(GRANTS)


def downgrade() -> None:
    """Keeps the reading indexes, which older versions use but do not build. They can be dropped at any
    time."""
    for function in FUNCTIONS:
        op.execute(sa.text(f"DROP FUNCTION {function}"))
