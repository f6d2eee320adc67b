"""Growing files: what was read of each, and which version is which part.

Revision: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

GRANTS = """
DO $roles$
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON growing_files, growths TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON growing_files, growths TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON growing_files, growths TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER TABLE growing_files OWNER TO sensorflow_owner;
        ALTER TABLE growths OWNER TO sensorflow_owner;
    END IF;
END $roles$;
"""

TIME = sa.DateTime(timezone=True)


def count(name: str) -> sa.Column:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    op.create_table(
        "growing_files",
        sa.Column(
            "root", sa.BigInteger, sa.ForeignKey("files.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("last_file", sa.BigInteger, sa.ForeignKey("files.id"), nullable=False),
        sa.Column("inode", sa.Text, nullable=False),
        count("size"),
        count("lines"),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("tail", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("checked", sa.Text),
        sa.Column("grown_at", TIME, nullable=False, server_default=sa.text("now()")),
        count("rows_read"),
        count("rows_rejected"),
        sa.Column("ts_max", TIME),
    )
    op.create_index("ix_growing_key", "growing_files", ["source", "key", "root"])
    op.create_index("ix_growing_inode", "growing_files", ["source", "inode", "root"])
    op.create_table(
        "growths",
        sa.Column(
            "file_id",
            sa.BigInteger,
            sa.ForeignKey("files.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("root", sa.BigInteger, sa.ForeignKey("growing_files.root"), nullable=False),
        sa.Column("follows", sa.BigInteger, sa.ForeignKey("files.id")),
        sa.Column("byte_offset", sa.BigInteger, nullable=False),
        sa.Column("line_base", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("follows", name="uq_growths_follows"),
        sa.UniqueConstraint("root", "byte_offset", name="uq_growths_offset"),
    )
    op.execute(GRANTS)


def downgrade() -> None:
    """Loaded rows stay: each growth is a version like any other."""
    op.drop_table("growths")
    op.drop_table("growing_files")
