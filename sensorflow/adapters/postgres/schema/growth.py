"""The tables of growing files, of their parts, and of the announcements of gates."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from sensorflow.adapters.postgres.schema.columns import count, metadata, time

growing_files = Table(
    "growing_files",
    metadata,
    # the first part
    Column("root", BigInteger, ForeignKey("files.id"), primary_key=True),
    Column("source", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    # the newest part
    Column("last_file", BigInteger, ForeignKey("files.id"), nullable=False),
    # the file on disk: "device:inode", bytes and lines read, SHA-256 of the first and last bytes read
    Column("inode", Text, nullable=False),
    count("size"),
    count("lines"),
    Column("head", LargeBinary, nullable=False),
    Column("tail", LargeBinary, nullable=False),
    # the last known state, and the state in which all bytes read so far were last compared
    Column("fingerprint", Text, nullable=False),
    Column("checked", Text),
    time("grown_at", nullable=False, default="now()"),
    # totals of the loaded parts; ts_max may be later than the last existing reading
    count("rows_read"),
    count("rows_rejected"),
    time("ts_max"),
    Index("ix_growing_key", "source", "key", "root"),
    Index("ix_growing_inode", "source", "inode", "root"),
)

growths = Table(
    "growths",
    metadata,
    Column("file_id", BigInteger, ForeignKey("files.id"), primary_key=True),
    Column("root", BigInteger, ForeignKey("growing_files.root"), nullable=False),
    # the previous part; a part has at most one successor
    Column("follows", BigInteger, ForeignKey("files.id")),
    # bytes and lines of the file before this part
    Column("byte_offset", BigInteger, nullable=False),
    Column("line_base", BigInteger, nullable=False),
    UniqueConstraint("follows", name="uq_growths_follows"),
    UniqueConstraint("root", "byte_offset", name="uq_growths_offset"),
)

announcements = Table(
    "announcements",
    metadata,
    Column("source", Text, primary_key=True),
    # the gate's key, and its state as a fingerprint, which differs if the gate is sent again
    Column("gate", LargeBinary, primary_key=True),
    Column("mark", Text, primary_key=True),
    # the announced name, and the file that was registered under it
    Column("key", LargeBinary, primary_key=True),
    Column("file_id", BigInteger, ForeignKey("files.id"), nullable=False),
    # size, checksums and number of rows, if given
    Column("what", JSONB, nullable=False),
    time("at", nullable=False, default="clock_timestamp()"),
    Index("ix_announcements_file", "file_id"),
)
"""The announcements in gates: what senders have announced about files, such as size and checksum."""
