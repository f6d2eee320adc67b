"""The publisher lease. It replaces a session lock, which a disconnected host would hold for long.

Only an addition. Earlier publishers do not know the lease: until they are stopped, two may publish at a
time, which causes extra messages but loses no readings.

Revision: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

GRANTS = """
DO $roles$
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON leases TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON leases TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON leases TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER TABLE leases OWNER TO sensorflow_owner;
    END IF;
END $roles$;
"""


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(GRANTS)


def downgrade() -> None:
    op.drop_table("leases")
