"""What keeps files from being loaded for longer than an outage lasts, for `doctor` and `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sensorflow.errors import REMEDY

OUTAGE = "see `sensorflow files show {}` and the worker's log"


@dataclass(frozen=True)
class Lasting:
    """code: with its name. todo: what to do."""

    code: str
    files: int
    since: datetime
    detail: str
    todo: str

    def __str__(self) -> str:
        many = "1 file" if self.files == 1 else f"{self.files:,} files"
        return f"{many} given back since {self.since:%Y-%m-%d %H:%M} UTC with {self.code}: {self.detail}"


def lasting(url: str) -> list[Lasting]:
    """Raises Transient."""
    from sensorflow.adapters.postgres import inspect

    return [
        Lasting(row.code, row.files, row.since, row.detail or "", _todo(row.code, row.file_id))
        for row in inspect.lasting(url)
    ]


def _todo(code: str, file_id: int) -> str:
    known = {str(code): todo for code, todo in REMEDY.items()}
    return known.get(code, OUTAGE.format(file_id))
