"""Group roles: sensorflow_owner migrates, sensorflow_loader loads, sensorflow_reader reads.

Roles belong to the whole cluster. They are created if they do not exist and the migrating role may create
them; otherwise the migration continues without them, and `sensorflow doctor` reports that. GRANTS may be
run again at any time, also manually: `sensorflow db roles` prints it, including that of later revisions.

On plain PostgreSQL the tables then belong to sensorflow_owner. A hypertable stays with the migrating role:
TimescaleDB runs its policies as the owner, which must be able to log in.

Revision: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"

GRANTS = """
DO $roles$
DECLARE
    role text;
    relation regclass;
    place text := current_schema();
    mine name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass);
    ensure text := format('%I.ensure_reading_partitions(timestamptz, timestamptz)', place);
BEGIN
    FOREACH role IN ARRAY ARRAY['sensorflow_owner', 'sensorflow_loader', 'sensorflow_reader'] LOOP
        BEGIN
            IF to_regrole(role) IS NULL THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- made at the same moment, for another database
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'role % is not there and may not be made: see sensorflow doctor', role;
        END;
    END LOOP;

    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO sensorflow_loader', place);
        GRANT SELECT, INSERT, UPDATE ON files, arrivals TO sensorflow_loader;
        GRANT SELECT, INSERT, DELETE ON file_events, raw_readings TO sensorflow_loader;
        GRANT USAGE ON SEQUENCE lease_tokens TO sensorflow_loader;
        GRANT SELECT ON alembic_version TO sensorflow_loader;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO sensorflow_loader', ensure);
    END IF;

    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO sensorflow_reader', place);
        GRANT SELECT ON files, arrivals, file_events, raw_readings, alembic_version
            TO sensorflow_reader;
    END IF;

    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON files, arrivals, file_events, raw_readings, alembic_version
            TO sensorflow_owner;
        GRANT ALL ON SEQUENCE lease_tokens TO sensorflow_owner;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO sensorflow_owner', ensure);
        IF (SELECT relkind FROM pg_class WHERE oid = 'raw_readings'::regclass) <> 'p' THEN
            RETURN; -- a hypertable
        END IF;
        BEGIN
            IF NOT pg_has_role(mine, 'sensorflow_owner', 'USAGE') THEN
                BEGIN
                    EXECUTE format('GRANT sensorflow_owner TO %I', mine);
                EXCEPTION WHEN unique_violation THEN
                    NULL; -- for another database, at the same moment
                END;
            END IF;
            IF NOT pg_has_role(mine, 'sensorflow_owner', 'USAGE') THEN
                RAISE insufficient_privilege; -- NOINHERIT: it would lose its tables
            END IF;
            EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO sensorflow_owner', place);
            FOR relation IN
                SELECT unnest(ARRAY['files', 'arrivals', 'file_events', 'raw_readings',
                                    'alembic_version']::regclass[])
                UNION ALL
                SELECT inhrelid FROM pg_inherits WHERE inhparent = 'raw_readings'::regclass
            LOOP
                EXECUTE format('ALTER TABLE %s OWNER TO sensorflow_owner', relation);
            END LOOP;
            ALTER SEQUENCE lease_tokens OWNER TO sensorflow_owner;
            EXECUTE format('ALTER FUNCTION %s OWNER TO sensorflow_owner', ensure);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'the tables stay with %: they may not be given to sensorflow_owner', mine;
        END;
    END IF;
END
$roles$;
"""

# The function creates months with the owner's privileges, and its search path contains only the owner's
# schema.
SAFE = """
DO $safe$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION ensure_reading_partitions(timestamptz, timestamptz)'
        ' SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
    REVOKE EXECUTE ON FUNCTION ensure_reading_partitions(timestamptz, timestamptz) FROM PUBLIC;
END
$safe$
"""

UNSAFE = """
ALTER FUNCTION ensure_reading_partitions(timestamptz, timestamptz)
    SECURITY INVOKER RESET search_path;
GRANT EXECUTE ON FUNCTION ensure_reading_partitions(timestamptz, timestamptz) TO PUBLIC;
"""

# The roles stay: other databases of the cluster may use them.
REVOKES = """
DO $roles$
DECLARE
    role text;
    relation regclass;
    place text := current_schema();
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_class c
         WHERE c.relowner = to_regrole('sensorflow_owner')
           AND (c.oid IN (SELECT unnest(ARRAY['files', 'arrivals', 'file_events', 'raw_readings',
                                              'alembic_version', 'lease_tokens']::regclass[]))
                OR c.oid IN (SELECT inhrelid FROM pg_inherits
                              WHERE inhparent = 'raw_readings'::regclass))
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', relation, current_user);
    END LOOP;
    IF (SELECT proowner FROM pg_proc
         WHERE oid = 'ensure_reading_partitions(timestamptz, timestamptz)'::regprocedure)
       = to_regrole('sensorflow_owner') THEN
        EXECUTE format(
            'ALTER FUNCTION ensure_reading_partitions(timestamptz, timestamptz) OWNER TO %I',
            current_user);
    END IF;
    FOREACH role IN ARRAY ARRAY['sensorflow_owner', 'sensorflow_loader', 'sensorflow_reader'] LOOP
        CONTINUE WHEN to_regrole(role) IS NULL OR role = current_user;
        EXECUTE format(
            'REVOKE ALL ON files, arrivals, file_events, raw_readings, alembic_version FROM %I',
            role);
        EXECUTE format('REVOKE ALL ON SEQUENCE lease_tokens FROM %I', role);
        EXECUTE format(
            'REVOKE ALL ON FUNCTION ensure_reading_partitions(timestamptz, timestamptz) FROM %I',
            role);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', place, role);
    END LOOP;
END
$roles$
"""


def upgrade() -> None:
    op.execute(SAFE)
    op.execute(GRANTS)


def downgrade() -> None:
    op.execute(REVOKES)
    for statement in filter(str.strip, UNSAFE.split(";")):
        op.execute(statement)
