"""Retention periods, and time spans in settings: "90d", "12h", "forever"."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from sensorflow.core.profile.strict import Strict
from sensorflow.core.times.durations import seconds

UNITS = "mhdwy"


def duration(value: Any) -> Any:
    """Parse a time span such as "90d"; "forever" is None. Raises ValueError for anything else."""
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
    """Like `duration`, and also accepts seconds."""
    if re.fullmatch(r"[1-9][0-9]{0,6}s", str(value).strip()):
        return timedelta(seconds=int(str(value).strip()[:-1]))
    return value if isinstance(value, timedelta) else duration(value)


class Retention(Strict):
    """How long data is kept. For `rows` the time counts from the time of measurement, for all other keys
    from the time at which the file was finished."""

    landing: Duration = None
    """The original bytes. A file cannot be replayed without them."""
    bronze: Duration = None
    """Accepted rows, in the lake."""
    rejects: Duration = None
    """Rejected rows, in the lake."""
    silver: Duration = None
    """Readings, in the lake."""
    rows: Duration = None
    """Readings in the database. A file's readings are removed when the newest of them is this old."""
    history: Duration = None
    """Events of a file. The last event is always kept."""
