"""The file whose message includes another file; used to count messages that the broker lost.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("files", sa.Column("sent_with", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("files", "sent_with")
