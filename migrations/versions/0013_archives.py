"""Archives with several members: the archive that contained a file, and the number of files of an archive.

Revision: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("files", sa.Column("members", sa.Integer))
    op.add_column("arrivals", sa.Column("archive", sa.BigInteger))
    op.create_foreign_key("arrivals_archive_fkey", "arrivals", "files", ["archive"], ["id"])
    op.create_index(
        "ix_arrivals_archive",
        "arrivals",
        ["archive"],
        postgresql_where=sa.text("archive IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_arrivals_archive", "arrivals")
    op.drop_column("arrivals", "archive")
    op.drop_column("files", "members")
