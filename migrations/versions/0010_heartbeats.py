"""Heartbeats of processes, and an index by which the sources take turns.

Revision: 0010
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"

# Built next to the existing index, while daemon and workers run. A killed migration leaves an invalid
# index. While the migration waits for a lock, it blocks nobody.
BROKEN = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_files_turn')"
TURN = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_files_turn ON files (lane, source, id, size)
WHERE state = 'pending' AND published_at IS NULL
"""
GRANTS = """
DO $roles$
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON heartbeats TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON heartbeats TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON heartbeats TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER TABLE heartbeats OWNER TO sensorflow_owner;
    END IF;
END $roles$;
"""

TIME = sa.DateTime(timezone=True)
DUE = sa.text("state = 'pending' AND published_at IS NULL")


def upgrade() -> None:
    if context.config.attributes.get("connection") is None:
        _index_beside_a_fleet()
    else:  # within the caller's transaction
        op.execute(TURN.replace("CONCURRENTLY ", ""))
        op.drop_index("ix_files_due", "files")
    _make_heartbeats()


def _index_beside_a_fleet() -> None:
    with op.get_context().autocommit_block():
        waits = op.get_bind().scalar(sa.text("SHOW lock_timeout"))
        op.execute("SET lock_timeout = 0")
        if op.get_bind().scalar(sa.text(BROKEN)):
            op.execute("DROP INDEX CONCURRENTLY ix_files_turn")
        op.execute(TURN)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_files_due")
        op.execute(f"SET lock_timeout = '{waits}'")


def _make_heartbeats() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("process", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("state", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("started_at", TIME, nullable=False, server_default=sa.text("now()")),
        sa.Column("beat_at", TIME, nullable=False, server_default=sa.text("now()")),
    )
    op.execute(GRANTS)


def downgrade() -> None:
    op.drop_index("ix_files_turn", "files")
    op.create_index("ix_files_due", "files", ["lane", "id"], postgresql_where=DUE)
    op.drop_table("heartbeats")
