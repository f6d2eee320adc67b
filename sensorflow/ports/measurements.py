"""The ledger for the metrics of the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sensorflow.core.event_totals import Ids, Page
from sensorflow.core.file_totals import FileGroup
from sensorflow.core.heartbeat import Heartbeat
from sensorflow.ports.workload import Workload


@dataclass(frozen=True)
class LedgerEnds:
    """newest_event, newest_file: the highest ids, 0 without any. schema: the revision of the schema. now:
    the database's time, in seconds since 1970."""

    newest_event: int
    newest_file: int
    schema: str
    now: float


@dataclass(frozen=True)
class Sizes:
    """Bytes on the database's disk. readings: the table raw_readings with its indexes."""

    database: int
    readings: int


class Measurements(Workload, Protocol):
    """Measurements of the fleet. Read-only. Raises Transient DATABASE if the database is unreachable.

    The cost of every method is bounded by the ranges or chunks that it is given, whatever the number of
    files.
    """

    def ends(self) -> LedgerEnds:
        """Returns the ends of the ledger."""
        ...

    def events_in(self, ranges: Sequence[Ids]) -> Page:
        """Returns the events with these ids, in one snapshot. The last range may extend beyond the newest
        event; the page then ends there."""
        ...

    def files_in(self, chunks: Sequence[int]) -> Mapping[int, Sequence[FileGroup]]:
        """Returns the groups of files of each chunk, in one snapshot."""
        ...

    def sizes(self) -> Sizes: ...

    def lag_seconds(self) -> float:
        """See `ports.gold.Gold.lag_seconds`."""
        ...

    def heartbeats(self) -> list[Heartbeat]: ...
