"""How long things are kept, and spans of time as settings give them: "90d", "12h", "forever"."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from sensorflow.core.profile.strict import Strict
from sensorflow.core.times.durations import seconds

UNITS = "mhdwy"


def duration(value: Any) -> Any:
    """A time such as "90d"; "forever" is None. ValueError for anything else."""
    if value is None or value == "forever":
        return None
    text = str(value).strip()
    found = seconds(text, UNITS) if text.isascii() and text.isalnum() else None
    if not found:
        raise ValueError('give a time such as "12h", "90d", "8w" or "2y", or "forever"')
    return timedelta(seconds=found)


Duration = Annotated[timedelta | None, BeforeValidator(duration)]


def span(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    found = duration(value)
    if found is None:
        raise ValueError('give a time such as "12h", "7d" or "2w"')
    return found


def patience(value: Any) -> Any:
    """As `duration`, and of seconds too."""
    if re.fullmatch(r"[1-9][0-9]{0,6}s", str(value).strip()):
        return timedelta(seconds=int(str(value).strip()[:-1]))
    return value if isinstance(value, timedelta) else duration(value)


class Retention(Strict):
    """How long things are kept after a file was finished; rows: after they were measured."""

    landing: Duration = None
    """The original bytes. Without them a file cannot be replayed."""
    bronze: Duration = None
    """Accepted rows, in the lake."""
    rejects: Duration = None
    """Rejected rows, in the lake."""
    silver: Duration = None
    """Readings, in the lake."""
    rows: Duration = None
    """Readings in the database: removed when the newest reading of their file is this old."""
    history: Duration = None
    """Events of a file; the last one stays."""
