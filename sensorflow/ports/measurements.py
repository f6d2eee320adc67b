"""The part of the ledger that measures the fleet for metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sensorflow.core.controls import Control
from sensorflow.core.event_totals import Ids, Page
from sensorflow.core.file_totals import FileGroup
from sensorflow.core.heartbeat import Heartbeat
from sensorflow.ports.workload import Workload


@dataclass(frozen=True)
class LedgerEnds:
    """The present end of the ledger. newest_event, newest_file: the highest ids of events and files; 0 if
    there are none. schema: the revision of the database schema. now: the database's time, in seconds since
    1970."""

    newest_event: int
    newest_file: int
    schema: str
    now: float


@dataclass(frozen=True)
class Sizes:
    """Sizes on the database's disk, in bytes. database: the whole database. readings: the table
    raw_readings with its indexes."""

    database: int
    readings: int


class Measurements(Workload, Protocol):
    """Measurements of the fleet. Read-only. Methods raise Transient DATABASE if the database is
    unreachable.

    The cost of a call depends only on the ranges or chunks that are requested, and not on the number of
    files in the ledger.
    """

    def ends(self) -> LedgerEnds:
        """Returns the present end of the ledger."""
        ...

    def events_in(self, ranges: Sequence[Ids]) -> Page:
        """Returns the events with ids in these ranges, read in one snapshot. The last range may extend
        beyond the newest event; the page then ends with the newest event."""
        ...

    def files_in(self, chunks: Sequence[int]) -> Mapping[int, Sequence[FileGroup]]:
        """Returns the groups of files in each chunk (see `core.file_totals`), read in one snapshot."""
        ...

    def sizes(self) -> Sizes: ...

    def controls(self) -> Mapping[str, Control]:
        """Returns the controls of sources that are paused or draining, by source."""
        ...

    def lag_seconds(self) -> float:
        """See `ports.gold.Gold.lag_seconds`."""
        ...

    def heartbeats(self) -> list[Heartbeat]: ...
