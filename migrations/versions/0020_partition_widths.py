"""Partitions of raw_readings that cover a day, a week or a month.

Until now, each partition covered a month, and its name stated which one. Now the bounds of a partition
state its range. Weeks begin on day 1, 8, 15 and 22 of a month, so no partition crosses the end of a month.

Processes of older versions call the functions of months. These functions keep their signatures. A month
that has only some of its days counts as missing for them, and is completed with the widest partitions that
overlap no other one. Nothing changes on a hypertable.

Revision: 0020
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0020"
down_revision = "0019"

COLUMNS = "(sensor_id, reading_type, ts) INCLUDE (value, unit, quality)"
MOST = 2400
"""Maximum number of partitions, so that no caller creates more than the planner can handle."""

# The bounds are text in the style of the session, so the function sets the style.
PARTITIONS = r"""
CREATE FUNCTION reading_partitions(OUT part oid, OUT name text, OUT low timestamptz, OUT high timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
    SELECT c.oid, CAST(c.relname AS text),
           CAST(substring(b.bound FROM $b$FROM \('([^']+)'\)$b$) AS timestamptz),
           CAST(substring(b.bound FROM $b$TO \('([^']+)'\)$b$) AS timestamptz)
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r',
           pg_get_expr(c.relpartbound, c.oid) AS b(bound)
     WHERE i.inhparent = CAST('raw_readings' AS regclass)
$$
"""
NO_PARTITIONS = """
CREATE FUNCTION reading_partitions(OUT part oid, OUT name text, OUT low timestamptz, OUT high timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
    SELECT CAST(NULL AS oid), CAST(NULL AS text), CAST(NULL AS timestamptz), CAST(NULL AS timestamptz)
     WHERE false
$$
"""

# Creates the partition of a time: the widest one of at most the given width that overlaps no other
# partition. Returns the existing partition if there is one. The lock makes concurrent callers wait for each
# other, and the catalog is read after the wait.
MAKE = f"""
CREATE FUNCTION make_reading_partition(moment timestamptz, width text,
                                       OUT made boolean, OUT low timestamptz, OUT high timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    widest integer := array_position(ARRAY['month', 'week', 'day'], width);
    day timestamp := date_trunc('day', moment AT TIME ZONE 'UTC');
    month timestamp := date_trunc('month', day);
    month_end timestamp := month + interval '1 month';
    number integer := least((CAST(extract(day FROM day) AS integer) - 1) / 7, 3);
    week timestamp := month + number * interval '7 days';
    week_end timestamp := CASE number WHEN 3 THEN month_end ELSE week + interval '7 days' END;
    part text;
    partitions bigint;
BEGIN
    IF moment < '0001-01-01 00:00:00+00' OR moment >= '10000-01-01 00:00:00+00' OR moment IS NULL
       OR NOT isfinite(moment) OR widest IS NULL THEN
        RAISE EXCEPTION 'partition of %, width %: expected the years 1 to 9999, and month, week or day',
              moment, width USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('sensorflow.partitions', 0));
    SELECT count(*), max(p.low) FILTER (WHERE p.low <= moment AND p.high > moment),
           max(p.high) FILTER (WHERE p.low <= moment AND p.high > moment)
      INTO partitions, low, high FROM reading_partitions() p;
    made := low IS NULL;
    IF NOT made THEN
        RETURN;
    ELSIF partitions >= {MOST} THEN
        RAISE EXCEPTION 'raw_readings has {MOST} partitions, and no more are made'
              USING ERRCODE = 'program_limit_exceeded', HINT = 'see `sensorflow doctor`';
    END IF;
    SELECT 'raw_readings_' || r.name, r.low, r.high INTO part, low, high
      FROM (SELECT u.number, u.name, u.low AT TIME ZONE 'UTC' AS low, u.high AT TIME ZONE 'UTC' AS high
              FROM (VALUES (1, to_char(month, 'YYYY_MM'), month, month_end),
                           (2, to_char(week, 'YYYY_MM_DD') || to_char(week_end - interval '1 day', '_DD'),
                            week, week_end),
                           (3, to_char(day, 'YYYY_MM_DD'), day, day + interval '1 day'))
                   AS u(number, name, low, high)) r
     WHERE r.number >= widest
       AND NOT EXISTS (SELECT FROM reading_partitions() p WHERE p.low < r.high AND p.high > r.low)
     ORDER BY r.number LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'partition of %: another partition contains a part of this day', moment
              USING ERRCODE = 'invalid_object_definition';
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE raw_readings INCLUDING DEFAULTS)', part);
    EXECUTE format('ALTER TABLE raw_readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   part, low, high);
END $$
"""
MISSING = """
CREATE OR REPLACE FUNCTION missing_reading_partitions(months timestamptz[]) RETURNS SETOF timestamptz
LANGUAGE sql STABLE AS $$
    SELECT m.low
      FROM (SELECT given AS low, month AT TIME ZONE 'UTC' AS first,
                   (month + interval '1 month') AT TIME ZONE 'UTC' AS last
              FROM unnest(months) AS given, date_trunc('month', given AT TIME ZONE 'UTC') AS month) m
      LEFT JOIN reading_partitions() p ON p.low < m.last AND p.high > m.first
     GROUP BY m.low, m.first, m.last
    HAVING coalesce(sum(least(p.high, m.last) - greatest(p.low, m.first)) FILTER (WHERE p.part IS NOT NULL),
                    interval '0') < m.last - m.first
$$
"""
ENSURE = """
CREATE OR REPLACE FUNCTION ensure_reading_partitions(low timestamptz, high timestamptz)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month timestamp;
    covered_until timestamptz;
    made integer := 0;
    done record;
BEGIN
    IF low < '0001-01-01 00:00:00+00' OR high >= '10000-01-01 00:00:00+00' OR NOT isfinite(low)
       OR NOT isfinite(high) OR high - low > interval '36600 days' THEN
        RAISE EXCEPTION 'months from % to %: at most a hundred years at once, of the years 1 to 9999',
              low, high USING ERRCODE = 'invalid_parameter_value';
    END IF;
    month := date_trunc('month', low AT TIME ZONE 'UTC');
    WHILE month <= high AT TIME ZONE 'UTC' LOOP
        covered_until := month AT TIME ZONE 'UTC';
        month := month + interval '1 month';
        IF EXISTS (SELECT FROM missing_reading_partitions(ARRAY[covered_until])) THEN
            WHILE covered_until < month AT TIME ZONE 'UTC' LOOP
                SELECT * INTO done FROM make_reading_partition(covered_until, 'month');
                made := made + CAST(done.made AS integer);
                covered_until := done.high;
            END LOOP;
        END IF;
    END LOOP;
    RETURN made;
END $$
"""

# months: the starts of partitions.
CLOSE = """
CREATE OR REPLACE FUNCTION close_reading_partition(month timestamptz) RETURNS text
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    part text;
    broken regclass;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('sensorflow.indexes', 0)) THEN
        RETURN 'another';
    END IF;
    SELECT p.name INTO part FROM reading_partitions() p WHERE p.low = month AND p.high <= now();
    IF part IS NULL OR to_regclass('uq_raw_dedupe') IS NOT NULL THEN
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
INDEX = f"""
CREATE OR REPLACE FUNCTION index_reading_partition(month timestamptz) RETURNS text
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    part text;
    broken regclass;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('sensorflow.indexes', 0)) THEN
        RETURN 'another';
    END IF;
    SELECT p.name INTO part FROM reading_partitions() p WHERE p.low = month AND p.high <= now();
    IF part IS NULL THEN
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
        SELECT p.name, obj_description(p.part, 'pg_class') AS said
          FROM reading_partitions() p WHERE p.low = ANY (months) ORDER BY p.low
    LOOP
        since := CAST(substring(part.said FROM '^sensorflow: empty since (.*)') AS timestamptz);
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I)', part.name) INTO rows;
            IF rows THEN
                IF since IS NOT NULL THEN
                    EXECUTE format('COMMENT ON TABLE %I IS NULL', part.name);
                END IF;
            ELSIF since IS NULL THEN
                EXECUTE format('COMMENT ON TABLE %I IS %L', part.name,
                               'sensorflow: empty since ' || now());
            ELSIF since <= now() - pause THEN
                EXECUTE format('LOCK TABLE ONLY raw_readings IN ACCESS EXCLUSIVE MODE');
                EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', part.name);
                EXECUTE format('SELECT EXISTS (SELECT FROM %I)', part.name) INTO rows;
                IF NOT rows THEN
                    EXECUTE format('DROP TABLE %I', part.name);
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

# Like the function in 0019, for partitions of any width. Older versions do not find the rows of expired
# files in partitions that are narrower than a month. Therefore the function that they call drops nothing if
# there is such a partition. They then delete row by row.
DROP_EXPIRED = """
CREATE FUNCTION drop_expired_partitions(lows timestamptz[], files bigint[],
                                        OUT outcome text, OUT kept timestamptz)
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    parts text[] := '{}';
    part text;
    found_other boolean;
BEGIN
    FOREACH kept IN ARRAY lows LOOP
        SELECT p.name INTO part FROM reading_partitions() p WHERE p.low = kept;
        IF part IS NULL THEN
            outcome := 'shared';
            RETURN;
        END IF;
        parts := parts || part;
        EXECUTE format('LOCK TABLE ONLY %I IN SHARE ROW EXCLUSIVE MODE', part);
        EXECUTE format('SELECT EXISTS (SELECT FROM %I r WHERE NOT EXISTS (
                                SELECT FROM unnest($1) AS expired(id) WHERE expired.id = r.file_id))', part)
           INTO found_other USING files;
        IF found_other THEN
            outcome := 'shared';
            RETURN;
        END IF;
    END LOOP;
    kept := NULL;
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
    FOREACH part IN ARRAY parts LOOP
        EXECUTE format('DROP TABLE %I', part);
    END LOOP;
    outcome := 'dropped';
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        outcome := 'busy';
    WHEN undefined_table OR dependent_objects_still_exist THEN
        outcome := 'shared';
END $$
"""
DROP_EXPIRED_MONTHS = """
CREATE OR REPLACE FUNCTION drop_expired_reading_partitions(months timestamptz[], files bigint[],
                                                           OUT outcome text, OUT month timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM reading_partitions() p WHERE p.high - p.low < interval '28 days') THEN
        outcome := 'busy';
    ELSE
        SELECT d.outcome, d.kept INTO outcome, month FROM drop_expired_partitions(months, files) d;
    END IF;
END $$
"""

DEFINERS = (
    "make_reading_partition(timestamptz, text)",
    "ensure_reading_partitions(timestamptz, timestamptz)",
    "close_reading_partition(timestamptz)",
    "index_reading_partition(timestamptz)",
    "drop_empty_reading_partitions(timestamptz[], interval)",
    "drop_expired_reading_partitions(timestamptz[], bigint[])",
    "drop_expired_partitions(timestamptz[], bigint[])",
)

NEW = (
    "reading_partitions()",
    "make_reading_partition(timestamptz, text)",
    "drop_expired_partitions(timestamptz[], bigint[])",
)

# Like ensure_reading_partitions: with the owner's privileges, and only the owner's schema in its search
# path.
SAFE = """
DO $safe$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{names}] LOOP
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
    IF to_regprocedure('make_reading_partition(timestamptz, text)') IS NULL THEN
        RETURN; -- a hypertable
    END IF;
    FOREACH name IN ARRAY ARRAY['make_reading_partition(timestamptz, text)',
                                'drop_expired_partitions(timestamptz[], bigint[])'] LOOP
        FOREACH role IN ARRAY ARRAY['sensorflow_owner', 'sensorflow_loader'] LOOP
            CONTINUE WHEN to_regrole(role) IS NULL;
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%s TO %I', current_schema(), name, role);
        END LOOP;
    END LOOP;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'raw_readings'::regclass)
       = 'sensorflow_owner' THEN
        FOREACH name IN ARRAY ARRAY['reading_partitions()', 'make_reading_partition(timestamptz, text)',
                                    'drop_expired_partitions(timestamptz[], bigint[])'] LOOP
            EXECUTE format('ALTER FUNCTION %I.%s OWNER TO sensorflow_owner', current_schema(), name);
        END LOOP;
    END IF;
END $roles$;
"""

# Older versions would create months that overlap narrower partitions.
NARROW = """
DO $narrow$
BEGIN
    IF EXISTS (SELECT FROM reading_partitions() p WHERE p.high - p.low < interval '28 days') THEN
        RAISE EXCEPTION 'raw_readings has partitions of days or weeks, which older versions do not support'
              USING HINT = 'restore a backup that the older version has made';
    END IF;
END $narrow$
"""
FORMER = {
    "0004": ("CLOSE",),
    "0011": ("ENSURE_MONTHS", "MISSING_MONTHS", "DROP_EMPTY"),
    "0019": ("INDEX_MONTH", "DROP_EXPIRED"),
}


def partitioned() -> bool:
    kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'raw_readings'::regclass"
    return bool(op.get_bind().scalar(sa.text(kind)))


def safe(functions):
    return SAFE.format(names=", ".join(f"'{name}'" for name in functions))


def upgrade() -> None:
    if not partitioned():
        op.execute(NO_PARTITIONS)
        return
    for function in (PARTITIONS, MAKE, MISSING, ENSURE, CLOSE, INDEX, DROP_EMPTY):
        op.execute(function)
    for function in (DROP_EXPIRED, DROP_EXPIRED_MONTHS):
        op.execute(function)
    op.execute(safe(DEFINERS))
    op.execute(GRANTS)


def downgrade() -> None:
    """Restores the functions of months. Refused if there are narrower partitions."""
    if partitioned():
        op.execute(NARROW)
        for revision, names in FORMER.items():
            former = context.script.get_revision(revision).module
            for name in names:
                text = getattr(former, name).replace(
                    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
                )
                op.execute(text)
        op.execute(safe(set(DEFINERS) - set(NEW)))
    for function in reversed(NEW):
        op.execute(f"DROP FUNCTION IF EXISTS {function}")
