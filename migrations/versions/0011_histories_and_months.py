"""A hash chain over the events of each file, and a limit on the months that a load may create.

The hash of an event includes the previous hash: changing, removing or adding an event changes the last
hash, which is stored in ``file_histories``. Only the trigger and ``forget_events`` write to that table,
with the owner's privileges. Existing events are not hashed, because reading them all would take too long.
Row 0, which belongs to no file, stores the last of them as `after`, and the last existing file as `events`.
An existing file gets its own row with its next event, so the migration blocks nobody.

Revision: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

# Explicit columns, and no text format that depends on session settings.
HASH = """
CREATE FUNCTION event_hash(chain bytea, e file_events) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN sha256(chain || convert_to(CAST(ROW(
        e.file_id, e.id, extract(epoch FROM e.at), e.what, e.from_state, e.to_state, e.stage,
        e.attempt, e.who, e.why, encode(float8send(e.seconds), 'hex'), e.rows) AS text), 'UTF8'));
END $$
"""

# VOLATILE: each statement in the trigger sees what was committed while it waited for the lock.
CHAIN = """
CREATE FUNCTION history_chain(file bigint, since bigint, base bytea, upto bigint,
                              OUT events bigint, OUT head bytea)
LANGUAGE plpgsql AS $$
DECLARE
    e file_events;
BEGIN
    events := 0;
    head := base;
    FOR e IN SELECT * FROM file_events
              WHERE file_id = file AND id > since AND id <= upto ORDER BY id LOOP
        head := event_hash(head, e);
        events := events + 1;
    END LOOP;
END $$
"""

# Hashed in the order of ids. If another transaction with a higher id committed first, all are hashed again.
# Files are locked in the order of ids, which prevents a deadlock.
TRIGGER_FUNCTION = """
CREATE FUNCTION add_to_history() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    e file_events;
    h file_histories;
    late boolean := false;
    began bigint;
BEGIN
    FOR e IN SELECT * FROM added ORDER BY file_id, id LOOP
        IF h.file_id IS DISTINCT FROM e.file_id THEN
            IF h.file_id IS NOT NULL THEN
                PERFORM keep_history(h, late);
            END IF;
            SELECT * INTO h FROM file_histories WHERE file_id = e.file_id FOR UPDATE;
            IF NOT FOUND THEN
                SELECT coalesce(max(b.after), 0) INTO began FROM file_histories b WHERE b.file_id = 0;
                h := ROW(e.file_id, 0, began, '', '', began);
                IF EXISTS (SELECT FROM file_events WHERE file_id = e.file_id AND id <= began) THEN
                    INSERT INTO file_histories SELECT (h).* ON CONFLICT DO NOTHING;
                    SELECT * INTO h FROM file_histories WHERE file_id = e.file_id FOR UPDATE;
                END IF;
            END IF;
            late := e.id < h.last_event;
        END IF;
        h.head := event_hash(h.head, e);
        h.events := h.events + 1;
        h.last_event := greatest(h.last_event, e.id);
    END LOOP;
    IF h.file_id IS NOT NULL THEN
        PERFORM keep_history(h, late);
    END IF;
    RETURN NULL;
END $$
"""
KEEP = """
CREATE FUNCTION keep_history(h file_histories, late boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF late THEN
        SELECT c.head INTO h.head FROM history_chain(h.file_id, h.after, h.base, h.last_event) c;
    END IF;
    INSERT INTO file_histories SELECT (h).*
    ON CONFLICT (file_id) DO UPDATE
       SET events = excluded.events, last_event = excluded.last_event, head = excluded.head;
END $$
"""
TRIGGER = """
CREATE TRIGGER tr_events_history AFTER INSERT ON file_events REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION add_to_history()
"""
BEGINNING = """
INSERT INTO file_histories
SELECT 0, (SELECT coalesce(max(id), 0) FROM files), l.id, '', '', l.id
  FROM (SELECT coalesce(max(id), 0) AS id FROM file_events) l
"""

# Removes old events of finished files, except each file's last. The rest is hashed from the end of the
# removed ones.
FORGET = """
CREATE FUNCTION forget_events(of_source text, age double precision, most bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    old timestamptz := now() - make_interval(secs => age);
    total bigint := 0;
    gone bigint;
    start bytea;
    h file_histories;
    item record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('sensorflow.forget', 0));
    FOR item IN
        SELECT o.file_id, max(o.id) AS upto
          FROM (SELECT e.file_id, e.id FROM file_events e JOIN files f ON f.id = e.file_id
                 WHERE f.source = of_source AND e.at < old
                   AND f.state IN ('loaded', 'quarantined', 'superseded', 'undone')
                   AND e.id < (SELECT max(l.id) FROM file_events l WHERE l.file_id = f.id)
                   AND NOT EXISTS (SELECT FROM file_events k
                                    WHERE k.file_id = e.file_id AND k.id < e.id AND k.at >= old)
                 LIMIT most) o
         GROUP BY o.file_id ORDER BY o.file_id
    LOOP
        SELECT * INTO h FROM file_histories WHERE file_id = item.file_id FOR UPDATE;
        SELECT c.events, c.head INTO gone, start
          FROM history_chain(item.file_id, h.after, h.base, item.upto) c;
        UPDATE file_histories
           SET events = events - gone, base = start, after = greatest(after, item.upto)
         WHERE file_id = item.file_id;
        DELETE FROM file_events WHERE file_id = item.file_id AND id <= item.upto;
        GET DIAGNOSTICS gone = ROW_COUNT;
        total := total + gone;
    END LOOP;
    RETURN total;
END $$
"""

HISTORY = (HASH, CHAIN, KEEP, TRIGGER_FUNCTION, FORGET)
FUNCTIONS = (
    "event_hash(bytea, file_events)",
    "history_chain(bigint, bigint, bytea, bigint)",
    "keep_history(file_histories, boolean)",
    "add_to_history()",
    "forget_events(text, double precision, bigint)",
)

# On a hypertable, a month exists if a chunk overlaps it.
MISSING_MONTHS = """
CREATE FUNCTION missing_reading_partitions(months timestamptz[]) RETURNS SETOF timestamptz
LANGUAGE sql STABLE AS $$
    SELECT m FROM unnest(months) AS m
     WHERE to_regclass('raw_readings_' || to_char(m AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL
$$
"""
MISSING_CHUNKS = """
CREATE FUNCTION missing_reading_partitions(months timestamptz[]) RETURNS SETOF timestamptz
LANGUAGE sql STABLE AS $$
    SELECT m FROM unnest(months) AS m
     WHERE NOT EXISTS (
           SELECT FROM timescaledb_information.chunks c
            WHERE c.hypertable_schema = current_schema() AND c.hypertable_name = 'raw_readings'
              AND c.range_start < (m AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
              AND c.range_end > m)
$$
"""

# Like 0001, with a limit, so that no caller creates more months than the planner can handle. After waiting
# for the lock it queries the catalog: to_regclass may return what this session cached before the wait.
MOST = 2400
ENSURE_MONTHS = f"""
CREATE OR REPLACE FUNCTION ensure_reading_partitions(low timestamptz, high timestamptz)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month timestamp;
    part text;
    made integer := 0;
BEGIN
    IF low < '0001-01-01 00:00:00+00' OR high >= '10000-01-01 00:00:00+00' OR NOT isfinite(low)
       OR NOT isfinite(high) OR high - low > interval '36600 days' THEN
        RAISE EXCEPTION 'months from % to %: at most a hundred years at once, of the years 1 to 9999',
              low, high USING ERRCODE = 'invalid_parameter_value';
    END IF;
    month := date_trunc('month', low AT TIME ZONE 'UTC');
    WHILE month <= high AT TIME ZONE 'UTC' LOOP
        part := 'raw_readings_' || to_char(month, 'YYYY_MM');
        IF to_regclass(part) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('sensorflow.partitions', 0));
            IF NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                            WHERE i.inhparent = 'raw_readings'::regclass AND c.relname = part) THEN
                IF (SELECT count(*) FROM pg_inherits
                     WHERE inhparent = 'raw_readings'::regclass) >= {MOST} THEN
                    RAISE EXCEPTION 'raw_readings has {MOST} months, and no more are made'
                          USING ERRCODE = 'program_limit_exceeded',
                                HINT = 'see `sensorflow doctor`';
                END IF;
                EXECUTE format('CREATE TABLE %I (LIKE raw_readings INCLUDING DEFAULTS)', part);
                EXECUTE format(
                    'ALTER TABLE raw_readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    part, month AT TIME ZONE 'UTC',
                    (month + interval '1 month') AT TIME ZONE 'UTC');
                made := made + 1;
            END IF;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$
"""
UNBOUNDED_MONTHS = """
CREATE OR REPLACE FUNCTION ensure_reading_partitions(low timestamptz, high timestamptz)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', low AT TIME ZONE 'UTC');
    part text;
    made integer := 0;
BEGIN
    WHILE month <= high AT TIME ZONE 'UTC' LOOP
        part := 'raw_readings_' || to_char(month, 'YYYY_MM');
        IF to_regclass(part) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('sensorflow.partitions', 0));
            IF to_regclass(part) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE raw_readings INCLUDING DEFAULTS)', part);
                EXECUTE format(
                    'ALTER TABLE raw_readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    part, month AT TIME ZONE 'UTC',
                    (month + interval '1 month') AT TIME ZONE 'UTC');
                made := made + 1;
            END IF;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$
"""

# A month is dropped when it was empty at two looks that are :pause apart, so that no load that has just
# made it finds it gone (it would be tried again). Only parts that no view or the like depends on; whoever
# is loading or reading comes first: `busy`, and no month is looked at after that. The comment says since
# when a month is empty. Each takes some places of the server's table of locks until the commit, also one
# that is looked at alone: whoever has many months asks for a few at a time.
DROP_EMPTY = r"""
CREATE FUNCTION drop_empty_reading_partitions(months timestamptz[], pause interval,
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
        SELECT c.oid, c.relname, obj_description(c.oid, 'pg_class') AS said
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'raw_readings'::regclass
           AND c.relname IN (SELECT 'raw_readings_' || to_char(m AT TIME ZONE 'UTC', 'YYYY_MM')
                               FROM unnest(months) AS m)
         ORDER BY c.relname
    LOOP
        since := CAST(substring(part.said FROM '^sensorflow: empty since (.*)') AS timestamptz);
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I)', part.relname) INTO rows;
            IF rows THEN
                IF since IS NOT NULL THEN
                    EXECUTE format('COMMENT ON TABLE %I IS NULL', part.relname);
                END IF;
            ELSIF since IS NULL THEN
                EXECUTE format('COMMENT ON TABLE %I IS %L', part.relname,
                               'sensorflow: empty since ' || now());
            ELSIF since <= now() - pause THEN
                EXECUTE format('LOCK TABLE ONLY raw_readings IN ACCESS EXCLUSIVE MODE');
                EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', part.relname);
                EXECUTE format('SELECT EXISTS (SELECT FROM %I)', part.relname) INTO rows;
                IF NOT rows THEN
                    EXECUTE format('DROP TABLE %I', part.relname);
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
CREATE FUNCTION drop_empty_reading_partitions(months timestamptz[], pause interval,
                                              OUT dropped integer, OUT busy boolean)
LANGUAGE sql AS $$ SELECT 0, false $$
"""
MONTHS = (
    "missing_reading_partitions(timestamptz[])",
    "drop_empty_reading_partitions(timestamptz[], interval)",
)

# Like ensure_reading_partitions: with the owner's privileges, and only the owner's schema in its search
# path.
SAFE = """
DO $safe$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['add_to_history()', 'forget_events(text, double precision, bigint)',
                                'drop_empty_reading_partitions(timestamptz[], interval)',
                                'ensure_reading_partitions(timestamptz, timestamptz)'] LOOP
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
    FOREACH role IN ARRAY ARRAY['sensorflow_owner', 'sensorflow_loader'] LOOP
        CONTINUE WHEN to_regrole(role) IS NULL;
        FOREACH name IN ARRAY ARRAY['forget_events(text, double precision, bigint)',
                                    'drop_empty_reading_partitions(timestamptz[], interval)'] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%s TO %I', current_schema(), name, role);
        END LOOP;
    END LOOP;
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT ON file_histories TO sensorflow_loader;
        REVOKE DELETE ON file_events FROM sensorflow_loader; -- `forget_events` alone deletes
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON file_histories TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON file_histories TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER TABLE file_histories OWNER TO sensorflow_owner;
        FOREACH name IN ARRAY ARRAY['event_hash(bytea, file_events)',
                                    'history_chain(bigint, bigint, bytea, bigint)',
                                    'keep_history(file_histories, boolean)',
                                    'add_to_history()',
                                    'forget_events(text, double precision, bigint)',
                                    'missing_reading_partitions(timestamptz[])',
                                    'drop_empty_reading_partitions(timestamptz[], interval)'] LOOP
            EXECUTE format('ALTER FUNCTION %I.%s OWNER TO sensorflow_owner', current_schema(), name);
        END LOOP;
    END IF;
END $roles$;
"""


def partitioned() -> bool:
    kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'raw_readings'::regclass"
    return bool(op.get_bind().scalar(sa.text(kind)))


def upgrade() -> None:
    op.create_table(
        "file_histories",
        sa.Column("file_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("last_event", sa.BigInteger, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("base", sa.LargeBinary, nullable=False),
        sa.Column("after", sa.BigInteger, nullable=False),
    )
    for function in HISTORY:
        op.execute(function)
    if partitioned():
        for function in (ENSURE_MONTHS, MISSING_MONTHS, DROP_EMPTY):
            op.execute(function)
    else:
        for function in (MISSING_CHUNKS, DROP_NOTHING):
            op.execute(function)
    op.execute(SAFE)
    op.execute(GRANTS)
    op.execute(TRIGGER)  # blocks writing of events until the commit
    op.execute(BEGINNING)


def downgrade() -> None:
    """Gives roles that load the privilege to delete events again, which older versions need."""
    op.execute("DROP TRIGGER tr_events_history ON file_events")
    for function in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {function}")
    for function in MONTHS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("file_histories")
    if partitioned():
        op.execute(UNBOUNDED_MONTHS)
        op.execute(
            "ALTER FUNCTION ensure_reading_partitions(timestamptz, timestamptz) SECURITY DEFINER"
        )
        op.execute(
            "DO $$ BEGIN EXECUTE format('ALTER FUNCTION"
            " ensure_reading_partitions(timestamptz, timestamptz) SET search_path = %I, pg_temp',"
            " current_schema()); END $$"
        )
    op.execute(
        "DO $$ BEGIN IF to_regrole('sensorflow_loader') IS NOT NULL THEN"
        " GRANT DELETE ON file_events TO sensorflow_loader; END IF; END $$"
    )
