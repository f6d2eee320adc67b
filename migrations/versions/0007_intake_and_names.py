"""Intake leases: of several daemons on one folder, only one at a time takes in a source.

collected_for: finished_at of a file at its last garbage collection. name: what the versions of a file
share, if not the key: the key in composed form (NFC), see `core/names.py`. This migration sets it only for
names that exist in a single spelling. Existing names that differ only in spelling remain separate, and so
do their files.

Only additions. Earlier daemons do not know the lease: stop them before starting one of this version.

Revision: 0007
"""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

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


SERVED = (
    "ts_max IS NOT NULL AND "
    "(state = 'loaded' AND rows_loaded > rows_replaced OR previous IS NOT NULL)"
)


# Keys with non-ASCII characters.
ODD = """
SELECT source, key FROM files WHERE octet_length(key_text) <> char_length(key_text)
UNION
SELECT source, key FROM arrivals WHERE octet_length(key_text) <> char_length(key_text)
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
    op.add_column("files", sa.Column("name", sa.LargeBinary))
    op.add_column("arrivals", sa.Column("name", sa.LargeBinary))
    _name()
    op.execute("CREATE UNIQUE INDEX uq_files_name ON files (source, coalesce(name, key), version)")
    op.execute(
        f"CREATE INDEX ix_files_served ON files (source, coalesce(name, key), ts_max) WHERE {SERVED}"
    )
    op.create_index(
        "ix_arrivals_name",
        "arrivals",
        ["source", "name"],
        postgresql_where=sa.text("name IS NOT NULL"),
    )
    op.drop_constraint("uq_files_version", "files")


def _name() -> None:
    spellings: dict[tuple[str, bytes], set[bytes]] = {}
    for source, key in op.get_bind().execute(sa.text(ODD)):
        spellings.setdefault((source, _composed(bytes(key))), set()).add(bytes(key))
    for (source, name), keys in spellings.items():
        if len(keys) == 1 and name not in keys:
            (key,) = keys
            for table in ("files", "arrivals"):
                where = "WHERE source = :source AND key = :key"
                update = sa.text(f"UPDATE {table} SET name = :name {where}")
                op.get_bind().execute(update, {"source": source, "key": key, "name": name})


def _composed(key: bytes) -> bytes:
    try:
        return unicodedata.normalize("NFC", key.decode()).encode()
    except UnicodeDecodeError:
        return key


def downgrade() -> None:
    op.create_unique_constraint("uq_files_version", "files", ["source", "key", "version"])
    op.drop_index("ix_arrivals_name", "arrivals")
    op.drop_index("ix_files_served", "files")
    op.drop_index("uq_files_name", "files")
    op.drop_column("arrivals", "name")
    op.drop_column("files", "name")
    op.drop_column("files", "collected_for")
    op.drop_table("intake_leases")
