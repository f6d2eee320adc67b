"""The declared schema. Alembic's migrations make it; a test holds the two equal.

``raw_readings`` is partitioned by month on plain PostgreSQL, and a hypertable where TimescaleDB is.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from sensorflow.core.states import TRANSITIONS, Stage, State

metadata = MetaData()

STATES = ", ".join(f"'{s}'" for s in State)
STAGES = ", ".join(f"'{s}'" for s in Stage)
STEPS = ", ".join(f"('{a}', '{b}')" for a, b in sorted(TRANSITIONS))


def _time(name: str, nullable: bool = True, default: str | None = None) -> Column[object]:
    server_default = text(default) if default else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=server_default)


def _count(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


lease_tokens = Sequence("lease_tokens", metadata=metadata, data_type=BigInteger)

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
    _time("lease_until"),
    _time("not_before"),
    _time("discovered_at", nullable=False),
    _time("landed_at", nullable=False),
    _time("registered_at", nullable=False, default="now()"),
    _time("published_at"),
    _time("started_at"),
    _time("finished_at"),
    _count("rows_read"),
    _count("rows_loaded"),
    _count("rows_rejected"),
    _count("rows_duplicate"),
    _count("rows_missing"),
    Column("checksum", Numeric(20, 0)),
    _time("ts_min"),
    _time("ts_max"),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("error_place", JSONB),
    Column("quarantined_to", Text),
    Column("supersedes", BigInteger, ForeignKey("files.id")),
    Column("profile", Text),
    Column("profile_hash", Text),
    Column("code_version", Text),
    Column("lane", Text, nullable=False, server_default=text("'live'")),
    # the account of the load whose rows are there while the file goes through again
    Column("previous", JSONB),
    # what it is to be read by, where that is not its source's profile
    Column("wanted_profile", Text),
    # the file name that its dedupe keys hold
    Column("identity", Text),
    # the layers that retention has removed
    Column("expired", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # false while a layer may lie in the lake that the state no longer wants
    Column("tidy", Boolean, nullable=False, server_default=text("true")),
    # the file whose message its own is a part of
    Column("sent_with", BigInteger),
    # of the rows loaded, those whose place newer statements of the same readings have taken
    _count("rows_replaced"),
    # what was to be done with older versions, as the settings had it
    Column("on_change", Text),
    # what was noticed about this version and the ones before it
    Column("remarks", Text),
    # the finished_at as it was when its leftovers were looked for last
    _time("collected_for"),
    # what its versions have in common, where that is not the key
    Column("name", LargeBinary),
    # of an archive that was unpacked: how many files it is
    Column("members", Integer),
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
    # versions that hold rows of the database, by the time that these reach to
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
        "size",  # large files are passed over within the index
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
"""How many readings of a file have had their place taken by another file's; 0 of a file that was never
loaded because the other one begins with its bytes."""

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
    _time("at", nullable=False, default="now()"),
    Column("name", LargeBinary),
    # the archive that it came in
    Column("archive", BigInteger, ForeignKey("files.id")),
    UniqueConstraint("source", "key", "fingerprint", "file_id", name="uq_arrivals_fingerprint"),
    CheckConstraint("kind IN ('new', 'alias')", name="ck_arrivals_kind"),
    Index("ix_arrivals_name", "source", "name", postgresql_where=text("name IS NOT NULL")),
    Index("ix_arrivals_file", "file_id"),
    Index("ix_arrivals_archive", "archive", postgresql_where=text("archive IS NOT NULL")),
)

file_events = Table(
    "file_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("file_id", BigInteger, ForeignKey("files.id"), nullable=False),
    # the statement's time, not the transaction's: the order in which things happened
    _time("at", nullable=False, default="clock_timestamp()"),
    Column("what", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text),
    Column("stage", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text),
    Column("seconds", Double),
    Column("rows", BigInteger),
    CheckConstraint(
        f"from_state IS NULL OR (from_state, to_state) IN ({STEPS})", name="ck_events_transition"
    ),
    CheckConstraint(f"stage IN ({STAGES})", name="ck_events_stage"),
    Index("ix_events_file", "file_id", "id"),
)

file_histories = Table(
    "file_histories",
    metadata,
    # no foreign key: what is known of a file's history outlives its row. 0: what was there before histories
    # were, the last file as `events`, the last event as `after`
    Column("file_id", BigInteger, primary_key=True, autoincrement=False),
    # events that are hashed, and the newest of them
    Column("events", BigInteger, nullable=False),
    Column("last_event", BigInteger, nullable=False),
    # the hash of the newest event, over that of the one before it, and so on down to `base`
    Column("head", LargeBinary, nullable=False),
    Column("base", LargeBinary, nullable=False),
    # the last event that is not hashed, or that retention has removed
    Column("after", BigInteger, nullable=False),
)

intake_leases = Table(
    "intake_leases",
    metadata,
    Column("source", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    # boot, namespace, number and start of the process
    Column("process", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    _time("until", nullable=False),
)

leases = Table(
    "leases",
    metadata,
    # what one process does at a time, of all hosts
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    _time("until", nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    # boot, namespace, number and start of the process
    Column("process", Text, primary_key=True),
    # the loop of it, see `core.heartbeat.Role`
    Column("role", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("settings", Text, nullable=False),
    Column("state", JSONB, nullable=False, server_default=text("'{}'")),
    _time("started_at", nullable=False, default="now()"),
    _time("beat_at", nullable=False, default="now()"),
)

growing_files = Table(
    "growing_files",
    metadata,
    # the first growth
    Column("root", BigInteger, ForeignKey("files.id"), primary_key=True),
    Column("source", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    # the newest growth
    Column("last_file", BigInteger, ForeignKey("files.id"), nullable=False),
    # the file on disk: "device:inode", bytes and lines that were taken, SHA-256 of their two ends
    Column("inode", Text, nullable=False),
    _count("size"),
    _count("lines"),
    Column("head", LargeBinary, nullable=False),
    Column("tail", LargeBinary, nullable=False),
    # the state in which it was seen last, and that in which all that was taken was compared
    Column("fingerprint", Text, nullable=False),
    Column("checked", Text),
    _time("grown_at", nullable=False, default="now()"),
    # over its loaded growths; ts_max may be later than the last reading that is there
    _count("rows_read"),
    _count("rows_rejected"),
    _time("ts_max"),
    Index("ix_growing_key", "source", "key", "root"),
    Index("ix_growing_inode", "source", "inode", "root"),
)

growths = Table(
    "growths",
    metadata,
    Column("file_id", BigInteger, ForeignKey("files.id"), primary_key=True),
    Column("root", BigInteger, ForeignKey("growing_files.root"), nullable=False),
    # the growth before it; none has two successors
    Column("follows", BigInteger, ForeignKey("files.id")),
    # bytes and lines of the file before it
    Column("byte_offset", BigInteger, nullable=False),
    Column("line_base", BigInteger, nullable=False),
    UniqueConstraint("follows", name="uq_growths_follows"),
    UniqueConstraint("root", "byte_offset", name="uq_growths_offset"),
)

announcements = Table(
    "announcements",
    metadata,
    Column("source", Text, primary_key=True),
    # the key of the gate, and its state as a fingerprint: sent again, it is another one
    Column("gate", LargeBinary, primary_key=True),
    Column("mark", Text, primary_key=True),
    # the name that it says something of, and the file that was registered under it
    Column("key", LargeBinary, primary_key=True),
    Column("file_id", BigInteger, ForeignKey("files.id"), nullable=False),
    # size, checksums and number of rows, as far as it says so
    Column("what", JSONB, nullable=False),
    _time("at", nullable=False, default="clock_timestamp()"),
    Index("ix_announcements_file", "file_id"),
)
"""What senders said of files, by gates."""

raw_readings = Table(
    "raw_readings",
    metadata,
    _time("ts", nullable=False),
    Column("sensor_id", Text, nullable=False),
    Column("reading_type", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("unit", Text, nullable=False),
    Column("quality", SmallInteger, nullable=False),
    Column("file_id", BigInteger, nullable=False),
    Column("line_no", BigInteger, nullable=False),
    Column("dedupe_key", Uuid, nullable=False),
    # time first: two to four times cheaper than key first, and a hypertable needs the time
    Index("uq_raw_dedupe", "ts", "dedupe_key", unique=True),
    postgresql_partition_by="RANGE (ts)",
)

REFUSE = """
CREATE OR REPLACE FUNCTION refuse_load_without_merge() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NULL; END $$
"""  # the body is the migration's
GUARD = """
CREATE TRIGGER tr_files_merge BEFORE UPDATE OF state ON files FOR EACH ROW
WHEN (NEW.state = 'loaded' AND NEW.version > 1 AND NEW.code_version LIKE '0.1.%%'
      AND coalesce(NEW.on_change, 'merge') = 'merge')
EXECUTE FUNCTION refuse_load_without_merge()
"""
CHAIN = """
CREATE OR REPLACE FUNCTION add_to_history() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NULL; END $$
"""  # the body is the migration's
CHAINED = """
CREATE TRIGGER tr_events_history AFTER INSERT ON file_events REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION add_to_history()
"""
HASH = """
CREATE OR REPLACE FUNCTION event_hash(chain bytea, e file_events) RETURNS bytea LANGUAGE plpgsql
IMMUTABLE AS $$ BEGIN RETURN chain; END $$
"""
KEEP = """
CREATE OR REPLACE FUNCTION keep_history(h file_histories, late boolean) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN NULL; END $$
"""
for _table, _statement in (
    (files, REFUSE),
    (files, GUARD),
    (file_events, CHAIN),
    (file_events, CHAINED),
    (file_events, HASH),
    (file_histories, KEEP),
):
    event.listen(_table, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
