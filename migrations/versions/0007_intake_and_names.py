"""Who takes the files of a source in: of several daemons on one folder one at a time.

collected_for: the finished_at of a file as it was when its leftovers were looked for last.

Only additions. Daemons of an earlier version do not know the lease: stop them before this one's start.

Revision: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"

GRANTS = """
DO $roles$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass);
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON intake_leases TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON intake_leases TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON intake_leases TO sensorflow_owner;
    END IF;
    IF owner = 'sensorflow_owner' THEN
        ALTER TABLE intake_leases OWNER TO sensorflow_owner;
    END IF;
END
$roles$;
"""


def upgrade() -> None:
    op.create_table(
        "intake_leases",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(GRANTS)
    op.add_column("files", sa.Column("collected_for", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("files", "collected_for")
    op.drop_table("intake_leases")
