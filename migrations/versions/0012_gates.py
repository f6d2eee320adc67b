"""What senders announce about files, by gates.

Revision: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"

GRANTS = """
DO $roles$
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON announcements TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON announcements TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON announcements TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER TABLE announcements OWNER TO sensorflow_owner;
    END IF;
END $roles$;
"""


def upgrade() -> None:
    op.create_table(
        "announcements",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("gate", sa.LargeBinary, primary_key=True),
        sa.Column("mark", sa.Text, primary_key=True),
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("file_id", sa.BigInteger, sa.ForeignKey("files.id"), nullable=False),
        sa.Column("what", JSONB, nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
    )
    op.create_index("ix_announcements_file", "announcements", ["file_id"])
    op.execute(GRANTS)


def downgrade() -> None:
    op.drop_table("announcements")
