"""The columns of a reading in the database. This module does not import Arrow, because the daemon uses it
and must not import Arrow.

The table definition, COPY, the statements that move rows, and the schemas of the layers derive from these
columns. A test compares them with the migrations.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """The type of a column. A TIME has a resolution of microseconds; a KEY is 16 bytes long."""

    TIME = "time"
    TEXT = "text"
    NUMBER = "number"
    SMALL = "16 bits"
    INTEGER = "64 bits"
    KEY = "key"


READING = MappingProxyType(
    {
        "ts": Kind.TIME,
        "sensor_id": Kind.TEXT,
        "reading_type": Kind.TEXT,
        "value": Kind.NUMBER,
        "unit": Kind.TEXT,
        "quality": Kind.SMALL,
        "file_id": Kind.INTEGER,
        "line_no": Kind.INTEGER,
        "dedupe_key": Kind.KEY,
    }
)
"""Name -> kind, in the order of the table. All columns are NOT NULL."""
