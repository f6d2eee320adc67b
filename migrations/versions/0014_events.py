"""The words of histories are a closed list.

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
# of new rows at once; again from the start where a try before this one got no further
CHECK = (
    "ALTER TABLE file_events DROP CONSTRAINT IF EXISTS ck_events_what, "
    f"ADD CONSTRAINT ck_events_what CHECK (what IN ({WORDS})) NOT VALID"
)
# all versions so far wrote no others; what somebody wrote by hand is no reason not to upgrade
VALIDATE = """
DO $$ BEGIN
    ALTER TABLE file_events VALIDATE CONSTRAINT ck_events_what;
EXCEPTION WHEN check_violation THEN
    RAISE WARNING 'file_events holds events that sensorflow did not write; they stay as they are';
END $$
"""


def upgrade() -> None:
    """Beside a fleet: the lock that keeps it waiting is let go before old rows are read."""
    beside = context.config.attributes.get("connection") is None
    with op.get_context().autocommit_block() if beside else nullcontext():
        op.execute(CHECK)
        op.execute(VALIDATE)


def downgrade() -> None:
    op.drop_constraint("ck_events_what", "file_events")
