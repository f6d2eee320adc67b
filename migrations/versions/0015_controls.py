"""Paused and drained sources, the progress of files that are being read, and the trace of each file.

Revision: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

GRANTS = """
DO $roles$
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON source_controls TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON source_controls TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON source_controls TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER TABLE source_controls OWNER TO sensorflow_owner;
    END IF;
END $roles$;
"""


def upgrade() -> None:
    """Runs while a fleet works. The table is made first, because columns without a default need the
    blocking lock of `files` only until the transaction ends."""
    op.create_table(
        "source_controls",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")
        ),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.CheckConstraint("mode IN ('paused', 'draining')", name="ck_controls_mode"),
    )
    op.execute(GRANTS)
    op.execute(
        "ALTER TABLE files ADD COLUMN progress_bytes bigint, "
        "ADD COLUMN progress_rows bigint, ADD COLUMN trace_id bytea"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE files DROP COLUMN progress_bytes, "
        "DROP COLUMN progress_rows, DROP COLUMN trace_id"
    )
    op.drop_table("source_controls")
