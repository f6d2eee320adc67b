"""The ledger (files, arrivals, file_events) and the readings.

On plain PostgreSQL, raw_readings is partitioned by month; if the TimescaleDB extension can be created, it
is a hypertable. Both have the same columns, the same unique index, and a function
`ensure_reading_partitions(low, high)` that the loader calls; on a hypertable it does nothing.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

CHUNK = "7 days"

STATES = "'pending', 'running', 'loaded', 'quarantined', 'superseded', 'undone'"
STAGES = "'validate', 'transform', 'load', 'quarantine'"
STEPS = (
    "('loaded', 'superseded'), ('loaded', 'undone'), "
    "('pending', 'pending'), ('pending', 'running'), ('pending', 'superseded'), "
    "('quarantined', 'pending'), ('quarantined', 'superseded'), "
    "('running', 'loaded'), ('running', 'pending'), ('running', 'quarantined'), "
    "('running', 'running'), ('running', 'superseded'), "
    "('undone', 'pending')"
)

# A new month's table is created separately and then attached: ATTACH takes SHARE UPDATE EXCLUSIVE on
# raw_readings, which blocks no COPY; CREATE ... PARTITION OF would take ACCESS EXCLUSIVE.
ENSURE_MONTHS = """
CREATE FUNCTION ensure_reading_partitions(low timestamptz, high timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', low AT TIME ZONE 'UTC');
    part text;
    made integer := 0;
BEGIN
    WHILE month <= high AT TIME ZONE 'UTC' LOOP
        part := 'raw_readings_' || to_char(month, 'YYYY_MM');
        IF to_regclass(part) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('sensorflow.partitions', 0));
            IF to_regclass(part) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE raw_readings INCLUDING DEFAULTS)', part);
                EXECUTE format(
                    'ALTER TABLE raw_readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    part, month AT TIME ZONE 'UTC',
                    (month + interval '1 month') AT TIME ZONE 'UTC');
                made := made + 1;
            END IF;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$
"""
ENSURE_NOTHING = """
CREATE FUNCTION ensure_reading_partitions(low timestamptz, high timestamptz) RETURNS integer
LANGUAGE sql AS 'SELECT 0'
"""


def time(name, nullable=True, default=None):
    default = sa.text(default) if default else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def count(name):
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def timescale() -> bool:
    """Whether the extension is there, or can be created now.

    Where its library is not preloaded, CREATE EXTENSION is FATAL: it ends the connection, savepoint
    or not. pg_settings shows the library's own parameter to every role, once it is really loaded;
    shared_preload_libraries is hidden from most roles, on managed services too.
    """
    bind = op.get_bind()
    ready = (
        "SELECT 1 FROM pg_available_extensions AS e, pg_settings AS s"
        " WHERE e.name = 'timescaledb' AND s.name = 'timescaledb.disable_load'"
    )
    if bind.scalar(sa.text(ready)) is None:
        return False
    try:
        with bind.begin_nested():
            bind.execute(sa.text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
    except sa.exc.DBAPIError:  # not allowed: use plain PostgreSQL
        return False
    return True


def upgrade() -> None:
    hyper = timescale()
    op.execute(sa.schema.CreateSequence(sa.Sequence("lease_tokens", data_type=sa.BigInteger)))
    op.create_table(
        "files",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("key_text", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("md5", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("landing", sa.Text, nullable=False),
        sa.Column("sensor_type", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default=sa.text("'pending'")),
        sa.Column("stage", sa.Text, nullable=False, server_default=sa.text("'validate'")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("retries", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("quarantines", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("lease_token", sa.BigInteger),
        sa.Column("lease_owner", sa.Text),
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
        sa.Column("checksum", sa.Numeric(20, 0)),
        time("ts_min"),
        time("ts_max"),
        sa.Column("error_code", sa.Text),
        sa.Column("error_detail", sa.Text),
        sa.Column("error_place", postgresql.JSONB),
        sa.Column("quarantined_to", sa.Text),
        sa.Column("supersedes", sa.BigInteger, sa.ForeignKey("files.id")),
        sa.Column("profile", sa.Text),
        sa.Column("profile_hash", sa.Text),
        sa.Column("code_version", sa.Text),
        sa.UniqueConstraint("source", "key", "version", name="uq_files_version"),
        sa.CheckConstraint(f"state IN ({STATES})", name="ck_files_state"),
        sa.CheckConstraint(f"stage IN ({STAGES})", name="ck_files_stage"),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL) "
            "AND (state <> 'running' OR lease_token IS NOT NULL)",
            name="ck_files_lease",
        ),
        sa.CheckConstraint(
            "state <> 'loaded' OR rows_read = rows_loaded + rows_rejected + rows_duplicate "
            "AND checksum IS NOT NULL AND finished_at IS NOT NULL",
            name="ck_files_balance",
        ),
        sa.CheckConstraint(
            "state <> 'quarantined' OR error_code IS NOT NULL AND quarantined_to IS NOT NULL",
            name="ck_files_quarantined",
        ),
    )
    op.create_index("ix_files_content", "files", ["source", "sha256"])
    due = "state = 'pending' AND published_at IS NULL"
    op.create_index("ix_files_due", "files", ["id"], postgresql_where=sa.text(due))
    flying = "state IN ('pending', 'running') AND published_at IS NOT NULL"
    op.create_index(
        "ix_files_in_flight", "files", ["published_at"], postgresql_where=sa.text(flying)
    )
    running = sa.text("state = 'running'")
    op.create_index("ix_files_lease", "files", ["lease_until"], postgresql_where=running)
    op.create_table(
        "arrivals",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("file_id", sa.BigInteger, sa.ForeignKey("files.id"), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("key_text", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        time("at", nullable=False, default="now()"),
        sa.UniqueConstraint(
            "source", "key", "fingerprint", "file_id", name="uq_arrivals_fingerprint"
        ),
        sa.CheckConstraint("kind IN ('new', 'alias')", name="ck_arrivals_kind"),
    )
    op.create_index("ix_arrivals_file", "arrivals", ["file_id"])
    op.create_table(
        "file_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("file_id", sa.BigInteger, sa.ForeignKey("files.id"), nullable=False),
        time("at", nullable=False, default="clock_timestamp()"),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text),
        sa.Column("to_state", sa.Text),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text),
        sa.Column("seconds", sa.Double),
        sa.Column("rows", sa.BigInteger),
        sa.CheckConstraint(
            f"from_state IS NULL OR (from_state, to_state) IN ({STEPS})",
            name="ck_events_transition",
        ),
        sa.CheckConstraint(f"stage IN ({STAGES})", name="ck_events_stage"),
    )
    op.create_index("ix_events_file", "file_events", ["file_id", "id"])
    op.create_table(
        "raw_readings",
        time("ts", nullable=False),
        sa.Column("sensor_id", sa.Text, nullable=False),
        sa.Column("reading_type", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("quality", sa.SmallInteger, nullable=False),
        sa.Column("file_id", sa.BigInteger, nullable=False),
        sa.Column("line_no", sa.BigInteger, nullable=False),
        sa.Column("dedupe_key", sa.Uuid, nullable=False),
        **({} if hyper else {"postgresql_partition_by": "RANGE (ts)"}),
    )
    if hyper:
        op.execute(
            "SELECT create_hypertable('raw_readings', "
            f"by_range('ts', INTERVAL '{CHUNK}'), create_default_indexes => false)"
        )
    op.create_index("uq_raw_dedupe", "raw_readings", ["ts", "dedupe_key"], unique=True)
    op.execute(ENSURE_NOTHING if hyper else ENSURE_MONTHS)


def downgrade() -> None:
    """Drops all rows. The extension stays: other objects in this database may use it."""
    op.execute("DROP FUNCTION ensure_reading_partitions(timestamptz, timestamptz)")
    op.drop_table("raw_readings")
    op.drop_table("file_events")
    op.drop_table("arrivals")
    op.drop_table("files")
    op.execute(sa.schema.DropSequence(sa.Sequence("lease_tokens")))
