"""What keeps files from being loaded for a minute, or longer than an outage, for `doctor` and `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sensorflow.errors import REMEDY

SHORT = 60.0
"""Seconds after which files that are given back are worth a warning."""
SHOWN = 3
"""Other causes that are shown beside that of the file that waits longest."""
OUTAGE = "see `sensorflow files show {}` and the worker's log"


@dataclass(frozen=True)
class Lasting:
    """code: with its name. todo: what to do. passing: it may be an outage that passes by itself.
    others: what is said of other files with the same code.
    """

    code: str
    files: int
    since: datetime
    detail: str
    todo: str
    passing: bool
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        many = "1 file" if self.files == 1 else f"{self.files:,} files"
        return (
            f"{many} given back since {self.since:%Y-%m-%d %H:%M} UTC with {self.code}: {self._why}"
        )

    @property
    def _why(self) -> str:
        if not self.others:
            return self.detail
        more = len(self.others) - SHOWN
        told = [*self.others[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
        return f"{self.detail}; of others of them: {'; '.join(told)}"


def lasting(url: str) -> list[Lasting]:
    """Raises Transient."""
    from sensorflow.adapters.postgres import inspect

    long_ago = datetime.now(UTC) - timedelta(seconds=inspect.OUTAGE)
    return [
        Lasting(
            row.code,
            row.files,
            row.since,
            row.detail or "",
            _todo(row.code, row.file_id),
            row.since > long_ago,
            tuple(text for text in row.details if text and text != row.detail),
        )
        for row in inspect.lasting(url, SHORT)
    ]


def _todo(code: str, file_id: int) -> str:
    known = {str(code): todo for code, todo in REMEDY.items()}
    return known.get(code, OUTAGE.format(file_id))
