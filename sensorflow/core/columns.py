"""The columns of a reading, as the database keeps it. Words only, without Arrow: the daemon needs the SQL.

The declared table, COPY, the statements that move rows and the schemas of the layers follow from these; of
what the migrations made of them a test knows.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """What a column holds. A TIME is an instant to the microsecond, a KEY sixteen bytes."""

    TIME = "time"
    TEXT = "text"
    NUMBER = "number"
    SMALL = "16 bits"
    WHOLE = "64 bits"
    KEY = "key"


READING = MappingProxyType(
    {
        "ts": Kind.TIME,
        "sensor_id": Kind.TEXT,
        "reading_type": Kind.TEXT,
        "value": Kind.NUMBER,
        "unit": Kind.TEXT,
        "quality": Kind.SMALL,
        "file_id": Kind.WHOLE,
        "line_no": Kind.WHOLE,
        "dedupe_key": Kind.KEY,
    }
)
"""In the order of the table. None may be null."""
