"""Columns for replay, undo, backfill and retention. Only additions, so 0.1.0 continues to work.

lane: live, or backfill, which never delays a live file. previous: the row counts of the load whose rows are
in the database during a replay. wanted_profile: the profile to read the file by, if not its source's.
identity: the file name in its dedupe keys. expired: the layers that retention has removed. tidy: false
while the lake may contain a layer that the state no longer needs.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

STEPS = (
    "('loaded', 'pending'), ('loaded', 'superseded'), ('loaded', 'undone'), "
    "('pending', 'pending'), ('pending', 'running'), ('pending', 'superseded'), "
    "('quarantined', 'pending'), ('quarantined', 'superseded'), "
    "('running', 'loaded'), ('running', 'pending'), ('running', 'quarantined'), "
    "('running', 'running'), ('running', 'superseded'), "
    "('undone', 'pending'), ('undone', 'superseded')"
)
TROUBLED = "state IN ('pending', 'running') AND error_code IS NOT NULL"

# Like 0001, except when two sessions create the same month: the second one waits for the lock, and its
# first check may be outdated by then.
ENSURE_MONTHS = """
CREATE OR REPLACE FUNCTION ensure_reading_partitions(low timestamptz, high timestamptz)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', low AT TIME ZONE 'UTC');
    part text;
    made integer := 0;
BEGIN
    WHILE month <= high AT TIME ZONE 'UTC' LOOP
        part := 'raw_readings_' || to_char(month, 'YYYY_MM');
        IF to_regclass(part) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('sensorflow.partitions', 0));
            BEGIN
                EXECUTE format('CREATE TABLE %I (LIKE raw_readings INCLUDING DEFAULTS)', part);
                EXECUTE format(
                    'ALTER TABLE raw_readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    part, month AT TIME ZONE 'UTC',
                    (month + interval '1 month') AT TIME ZONE 'UTC');
                made := made + 1;
            EXCEPTION WHEN duplicate_table THEN
                NULL;
            END;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$
"""
DUE = "state = 'pending' AND published_at IS NULL"


def transitions(steps: str) -> None:
    op.drop_constraint("ck_events_transition", "file_events")
    op.create_check_constraint(
        "ck_events_transition",
        "file_events",
        f"from_state IS NULL OR (from_state, to_state) IN ({steps})",
    )


def upgrade() -> None:
    op.add_column(
        "files", sa.Column("lane", sa.Text, nullable=False, server_default=sa.text("'live'"))
    )
    op.add_column("files", sa.Column("previous", postgresql.JSONB))
    op.add_column("files", sa.Column("wanted_profile", sa.Text))
    op.add_column("files", sa.Column("identity", sa.Text))
    op.add_column(
        "files",
        sa.Column(
            "expired", postgresql.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")
        ),
    )
    op.add_column(
        "files", sa.Column("tidy", sa.Boolean, nullable=False, server_default=sa.text("true"))
    )
    op.create_check_constraint("ck_files_lane", "files", "lane IN ('live', 'backfill')")
    op.create_check_constraint(
        "ck_files_previous",
        "files",
        "previous IS NULL OR state IN ('pending', 'running', 'superseded')",
    )
    op.drop_index("ix_files_due", "files")
    op.create_index("ix_files_due", "files", ["lane", "id"], postgresql_where=sa.text(DUE))
    op.create_index("ix_files_untidy", "files", ["id"], postgresql_where=sa.text("NOT tidy"))
    op.create_index(
        "ix_files_troubled", "files", ["error_code"], postgresql_where=sa.text(TROUBLED)
    )
    transitions(STEPS)
    partitioned = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'raw_readings'::regclass"
    if op.get_bind().scalar(sa.text(partitioned)):
        op.execute(ENSURE_MONTHS)


def downgrade() -> None:
    """Restores the row counts of the last load of files with a pending replay."""
    op.execute("DELETE FROM file_events WHERE from_state = 'loaded' AND to_state = 'pending'")
    op.execute(
        "UPDATE files SET state = 'loaded', stage = 'load', lease_until = NULL,"
        " rows_read = (previous->>'rows_read')::bigint,"
        " rows_loaded = (previous->>'rows_loaded')::bigint,"
        " rows_rejected = (previous->>'rows_rejected')::bigint,"
        " rows_duplicate = (previous->>'rows_duplicate')::bigint,"
        " rows_missing = (previous->>'rows_missing')::bigint, finished_at = now()"
        " WHERE previous IS NOT NULL AND state IN ('pending', 'running')"
    )
    op.execute("DELETE FROM file_events WHERE from_state = 'undone' AND to_state = 'superseded'")
    steps = STEPS.replace("('loaded', 'pending'), ", "")
    transitions(steps.replace(", ('undone', 'superseded')", ""))
    op.drop_index("ix_files_troubled", "files")
    op.drop_index("ix_files_untidy", "files")
    op.drop_index("ix_files_due", "files")
    op.create_index("ix_files_due", "files", ["id"], postgresql_where=sa.text(DUE))
    for name in ("ck_files_previous", "ck_files_lane"):
        op.drop_constraint(name, "files")
    for name in ("tidy", "expired", "identity", "wanted_profile", "previous", "lane"):
        op.drop_column("files", name)
