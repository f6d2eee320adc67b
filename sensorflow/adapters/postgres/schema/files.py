"""The tables of files, of the names under which files arrived, and of the replacements of readings by
other files."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from sensorflow.adapters.postgres.schema.columns import STAGES, STATES, count, metadata, time

files = Table(
    "files",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("key_text", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("md5", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("landing", Text, nullable=False),
    Column("sensor_type", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("stage", Text, nullable=False, server_default=text("'validate'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("retries", Integer, nullable=False, server_default=text("0")),
    Column("quarantines", Integer, nullable=False, server_default=text("0")),
    Column("lease_token", BigInteger),
    Column("lease_owner", Text),
    time("lease_until"),
    time("not_before"),
    time("discovered_at", nullable=False),
    time("landed_at", nullable=False),
    time("registered_at", nullable=False, default="now()"),
    time("published_at"),
    time("started_at"),
    time("finished_at"),
    count("rows_read"),
    count("rows_loaded"),
    count("rows_rejected"),
    count("rows_duplicate"),
    count("rows_missing"),
    Column("checksum", Numeric(20, 0)),
    time("ts_min"),
    time("ts_max"),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("error_place", JSONB),
    Column("quarantined_to", Text),
    Column("supersedes", BigInteger, ForeignKey("files.id")),
    Column("profile", Text),
    Column("profile_hash", Text),
    Column("code_version", Text),
    Column("lane", Text, nullable=False, server_default=text("'live'")),
    # the row counts of the load whose rows remain during a replay
    Column("previous", JSONB),
    # the profile of the file, if it is not the profile of the source
    Column("wanted_profile", Text),
    # the file name in the dedupe keys of the file
    Column("identity", Text),
    # the layers that retention has removed
    Column("expired", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # false while the lake may contain a layer that is not needed in the present state
    Column("tidy", Boolean, nullable=False, server_default=text("true")),
    # the file whose message includes this file
    Column("sent_with", BigInteger),
    # number of loaded rows that newer files have replaced
    count("rows_replaced"),
    # how to treat older versions, from the settings
    Column("on_change", Text),
    # remarks about this version and earlier ones
    Column("remarks", Text),
    # finished_at at the last garbage collection of this file
    time("collected_for"),
    # the name that all versions share, if it differs from the key
    Column("name", LargeBinary),
    # number of files that an unpacked archive contained
    Column("members", Integer),
    # bytes of the landed file that were read, and readings so far, while a worker reads a large file
    Column("progress_bytes", BigInteger),
    Column("progress_rows", BigInteger),
    # 16 bytes, if the file is traced
    Column("trace_id", LargeBinary),
    CheckConstraint(f"state IN ({STATES})", name="ck_files_state"),
    CheckConstraint(f"stage IN ({STAGES})", name="ck_files_stage"),
    CheckConstraint(
        "(state = 'running') = (lease_until IS NOT NULL) "
        "AND (state <> 'running' OR lease_token IS NOT NULL)",
        name="ck_files_lease",
    ),
    CheckConstraint(
        "state <> 'loaded' OR rows_read = rows_loaded + rows_rejected + rows_duplicate "
        "AND checksum IS NOT NULL AND finished_at IS NOT NULL",
        name="ck_files_balance",
    ),
    CheckConstraint(
        "state <> 'quarantined' OR error_code IS NOT NULL AND quarantined_to IS NOT NULL",
        name="ck_files_quarantined",
    ),
    CheckConstraint("lane IN ('live', 'backfill')", name="ck_files_lane"),
    CheckConstraint(
        "previous IS NULL OR state IN ('pending', 'running', 'superseded')",
        name="ck_files_previous",
    ),
    CheckConstraint(
        "rows_replaced >= 0 AND (state <> 'loaded' OR rows_replaced <= rows_loaded)",
        name="ck_files_replaced",
    ),
    CheckConstraint(
        "on_change IN ('merge', 'supersede', 'keep', 'reject')", name="ck_files_on_change"
    ),
    # versions with rows in the database, by their latest time
    Index(
        "ix_files_served",
        "source",
        text("coalesce(name, key)"),
        "ts_max",
        postgresql_where=text(
            "ts_max IS NOT NULL AND "
            "(state = 'loaded' AND rows_loaded > rows_replaced OR previous IS NOT NULL)"
        ),
    ),
    Index("uq_files_name", "source", text("coalesce(name, key)"), "version", unique=True),
    Index("ix_files_content", "source", "sha256"),
    Index(
        "ix_files_turn",
        "lane",
        "source",
        "id",
        "size",  # large files are skipped within the index
        postgresql_where=text("state = 'pending' AND published_at IS NULL"),
    ),
    Index("ix_files_untidy", "id", postgresql_where=text("NOT tidy")),
    Index(
        "ix_files_troubled",
        "error_code",
        postgresql_where=text("state IN ('pending', 'running') AND error_code IS NOT NULL"),
    ),
    Index(
        "ix_files_in_flight",
        "published_at",
        postgresql_where=text("state IN ('pending', 'running') AND published_at IS NOT NULL"),
    ),
    Index("ix_files_lease", "lease_until", postgresql_where=text("state = 'running'")),
)

replacements = Table(
    "replacements",
    metadata,
    Column("file_id", BigInteger, ForeignKey("files.id"), primary_key=True),
    Column("by_file", BigInteger, ForeignKey("files.id"), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    CheckConstraint("rows >= 0", name="ck_replacements_rows"),
    Index("ix_replacements_by", "by_file"),
)
"""How many readings of the file `file_id` the file `by_file` has replaced (`rows`). `rows` is 0 if
`file_id` was never loaded because `by_file` begins with all its bytes."""

arrivals = Table(
    "arrivals",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("file_id", BigInteger, ForeignKey("files.id"), nullable=False),
    Column("source", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("key_text", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("kind", Text, nullable=False),
    time("at", nullable=False, default="now()"),
    Column("name", LargeBinary),
    # the archive that contained the file
    Column("archive", BigInteger, ForeignKey("files.id")),
    UniqueConstraint("source", "key", "fingerprint", "file_id", name="uq_arrivals_fingerprint"),
    CheckConstraint("kind IN ('new', 'alias')", name="ck_arrivals_kind"),
    Index("ix_arrivals_name", "source", "name", postgresql_where=text("name IS NOT NULL")),
    Index("ix_arrivals_file", "file_id"),
    Index("ix_arrivals_archive", "archive", postgresql_where=text("archive IS NOT NULL")),
)

REFUSE = """
CREATE OR REPLACE FUNCTION refuse_load_without_merge() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NULL; END $$
"""  # the migrations contain the actual body

GUARD = """
CREATE TRIGGER tr_files_merge BEFORE UPDATE OF state ON files FOR EACH ROW
WHEN (NEW.state = 'loaded' AND NEW.version > 1 AND NEW.code_version LIKE '0.1.%%'
      AND coalesce(NEW.on_change, 'merge') = 'merge')
EXECUTE FUNCTION refuse_load_without_merge()
"""

VACUUM = """
ALTER TABLE files SET (
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_limit = 2000
)
"""

for _statement in (REFUSE, GUARD, VACUUM):
    event.listen(files, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
