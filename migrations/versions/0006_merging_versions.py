"""What a newer version of a file replaced of an older one (counts and files), and how to load a file.

Only additions. Workers of 0.1.0 cannot merge and would replace a whole file. A trigger therefore rejects
their loads of newer versions, with an error that they treat as a database error and retry.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# 55000 is an OperationalError to psycopg: a worker of 0.1.0 nacks the file without counting the attempt.
REFUSE = """
CREATE FUNCTION refuse_load_without_merge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a worker of sensorflow % cannot load version % of a file with on_change = "merge"; '
                    'upgrade the worker', NEW.code_version, NEW.version
        USING ERRCODE = 'object_not_in_prerequisite_state';
END $$
"""
GUARD = """
CREATE TRIGGER tr_files_merge BEFORE UPDATE OF state ON files FOR EACH ROW
WHEN (NEW.state = 'loaded' AND NEW.version > 1 AND NEW.code_version LIKE '0.1.%'
      AND coalesce(NEW.on_change, 'merge') = 'merge')
EXECUTE FUNCTION refuse_load_without_merge()
"""
GRANTS = """
DO $roles$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass);
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON replacements TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON replacements TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON replacements TO sensorflow_owner;
    END IF;
    IF owner = 'sensorflow_owner' THEN
        ALTER TABLE replacements OWNER TO sensorflow_owner;
        ALTER FUNCTION refuse_load_without_merge() OWNER TO sensorflow_owner;
    END IF;
END
$roles$;
"""
STEPS = (
    "('loaded', 'pending'), ('loaded', 'superseded'), ('loaded', 'undone'), "
    "('pending', 'pending'), ('pending', 'running'), ('pending', 'superseded'), "
    "('pending', 'undone'), "
    "('quarantined', 'pending'), ('quarantined', 'superseded'), "
    "('running', 'loaded'), ('running', 'pending'), ('running', 'quarantined'), "
    "('running', 'running'), ('running', 'superseded'), ('superseded', 'pending'), "
    "('undone', 'pending'), ('undone', 'superseded')"
)


def transitions(steps: str) -> None:
    op.drop_constraint("ck_events_transition", "file_events")
    op.create_check_constraint(
        "ck_events_transition",
        "file_events",
        f"from_state IS NULL OR (from_state, to_state) IN ({steps})",
    )


def upgrade() -> None:
    op.add_column(
        "files",
        sa.Column("rows_replaced", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.add_column("files", sa.Column("on_change", sa.Text))
    op.add_column("files", sa.Column("remarks", sa.Text))
    op.create_check_constraint(
        "ck_files_replaced",
        "files",
        "rows_replaced >= 0 AND (state <> 'loaded' OR rows_replaced <= rows_loaded)",
    )
    op.create_check_constraint(
        "ck_files_on_change", "files", "on_change IN ('merge', 'supersede', 'keep', 'reject')"
    )
    op.create_table(
        "replacements",
        sa.Column("file_id", sa.BigInteger, sa.ForeignKey("files.id"), primary_key=True),
        sa.Column("by_file", sa.BigInteger, sa.ForeignKey("files.id"), primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.CheckConstraint("rows >= 0", name="ck_replacements_rows"),
    )
    op.create_index("ix_replacements_by", "replacements", ["by_file"])
    transitions(STEPS)
    op.execute(REFUSE)
    op.execute(GUARD)
    op.execute(GRANTS)


def downgrade() -> None:
    """Raises an error while readings are replaced: the older schema cannot record that."""
    merged = "SELECT count(*) FROM files WHERE rows_replaced > 0"
    if count := op.get_bind().scalar(sa.text(merged)):
        raise RuntimeError(
            f"{count} files have readings that a newer version replaced; undo these versions first"
        )
    op.execute("DELETE FROM file_events WHERE from_state = 'superseded'")
    op.execute("DELETE FROM file_events WHERE from_state = 'pending' AND to_state = 'undone'")
    steps = STEPS.replace("('superseded', 'pending'), ", "")
    transitions(steps.replace("('pending', 'undone'), ", ""))
    op.execute("DROP TRIGGER tr_files_merge ON files")
    op.execute("DROP FUNCTION refuse_load_without_merge()")
    op.drop_table("replacements")
    for name in ("ck_files_on_change", "ck_files_replaced"):
        op.drop_constraint(name, "files")
    for name in ("remarks", "on_change", "rows_replaced"):
        op.drop_column("files", name)
