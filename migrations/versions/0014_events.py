"""The events of histories are a closed list.

Revision: 0014
"""

from contextlib import nullcontext

from alembic import context, op

revision = "0014"
down_revision = "0013"

WORDS = (
    "'registered', 'published', 'claimed', 'stage done', 'will be tried again', 'lease expired', "
    "'message missing', 'loaded', 'unpacked', 'superseded', 'replaced', 'readings not returned', "
    "'condemned', 'quarantined', 'replayed', 'replay failed', 'undone', 'expired', "
    "'orphaned rows removed'"
)
# checks new rows at once; starts over if an earlier attempt stopped here
CHECK = (
    "ALTER TABLE file_events DROP CONSTRAINT IF EXISTS ck_events_what, "
    f"ADD CONSTRAINT ck_events_what CHECK (what IN ({WORDS})) NOT VALID"
)
# all earlier versions wrote only these; a row written manually must not block the upgrade
VALIDATE = """
DO $$ BEGIN
    ALTER TABLE file_events VALIDATE CONSTRAINT ck_events_what;
EXCEPTION WHEN check_violation THEN
    RAISE WARNING 'file_events holds events that sensorflow did not write; they stay as they are';
END $$
"""


def upgrade() -> None:
    """Runs while a fleet works: the blocking lock is released before existing rows are read."""
    beside = context.config.attributes.get("connection") is None
    with op.get_context().autocommit_block() if beside else nullcontext():
        op.execute(CHECK)
        op.execute(VALIDATE)


def downgrade() -> None:
    op.drop_constraint("ck_events_what", "file_events")
