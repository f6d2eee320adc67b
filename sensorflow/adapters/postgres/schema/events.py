"""The tables of the histories of files. The events of each history form a hash chain."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    event,
)

from sensorflow.adapters.postgres.schema.columns import EVENTS, STAGES, STEPS, metadata, time

file_events = Table(
    "file_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("file_id", BigInteger, ForeignKey("files.id"), nullable=False),
    # the time of the statement, not of the transaction, so that the times have the order of the events
    time("at", nullable=False, default="clock_timestamp()"),
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
    CheckConstraint(f"what IN ({EVENTS})", name="ck_events_what"),
    CheckConstraint(f"stage IN ({STAGES})", name="ck_events_stage"),
    Index("ix_events_file", "file_id", "id"),
)

file_histories = Table(
    "file_histories",
    metadata,
    # no foreign key, because the history outlives the file's row. Row 0 records what existed before hashing
    # began: `events` is the id of the last file, `after` the id of the last event
    Column("file_id", BigInteger, primary_key=True, autoincrement=False),
    # number of hashed events, and id of the newest hashed event
    Column("events", BigInteger, nullable=False),
    Column("last_event", BigInteger, nullable=False),
    # head: the hash of the newest event and of the hash before it. The first event is hashed with `base`
    Column("head", LargeBinary, nullable=False),
    Column("base", LargeBinary, nullable=False),
    # id of the last event that is not hashed or that retention has removed
    Column("after", BigInteger, nullable=False),
)

CHAIN = """
CREATE OR REPLACE FUNCTION add_to_history() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NULL; END $$
"""  # the migrations contain the actual body

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

for _statement in (CHAIN, CHAINED, HASH):
    event.listen(file_events, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]

event.listen(file_histories, "after_create", DDL(KEEP))  # type: ignore[no-untyped-call]
