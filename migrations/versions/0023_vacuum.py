"""Vacuum the table of files after a number of changes that hardly depends on its size.

Each file is updated several times within seconds, and then never again. By the default of PostgreSQL, dead
versions of rows stay until they are a fifth of the table: with ten million files, two million of them are
in the indexes of pending files, which are read for each batch of messages.

A vacuum of the table is not slowed down as much as others: what changes meanwhile stays dead until the next
one.

Revision: 0023
"""

from alembic import op

revision = "0023"
down_revision = "0022"

SETTINGS = {
    "autovacuum_vacuum_threshold": 1000,
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_cost_limit": 2000,
}


def upgrade() -> None:
    """Waits for no reader and no writer of the table."""
    op.execute(f"ALTER TABLE files SET ({', '.join(f'{k} = {v}' for k, v in SETTINGS.items())})")


def downgrade() -> None:
    op.execute(f"ALTER TABLE files RESET ({', '.join(SETTINGS)})")
