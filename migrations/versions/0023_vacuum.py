"""Vacuum the table of files after a number of changes that hardly depends on its size.

Each file is updated several times within seconds, and then never again. By the default of PostgreSQL, dead
versions of rows stay until they are a fifth of the table: with ten million files, two million of them are
in the indexes of pending files, which are read for each batch of messages.

Revision: 0023
"""

from alembic import op

revision = "0023"
down_revision = "0022"

SETTINGS = "autovacuum_vacuum_threshold", "autovacuum_vacuum_scale_factor"


def upgrade() -> None:
    """Waits for no reader and no writer of the table."""
    threshold, scale = SETTINGS
    op.execute(f"ALTER TABLE files SET ({threshold} = 1000, {scale} = 0.01)")


def downgrade() -> None:
    op.execute(f"ALTER TABLE files RESET ({', '.join(SETTINGS)})")
