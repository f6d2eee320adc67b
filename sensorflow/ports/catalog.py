"""The ledger, for what people ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sensorflow.core.account import Totals
from sensorflow.core.heartbeat import Heartbeat
from sensorflow.core.listing import Activity, FileFilter
from sensorflow.core.states import State
from sensorflow.ports.files import ArrivalRecord, ChainView, FileView, HistoryEvent, Listed


@dataclass(frozen=True)
class Member:
    """A file that came in an archive. name: by which it came. besides: other archives that it came in too,
    and 0 where it also came by itself; of archives that were undone nothing is told."""

    name: str
    file_id: int
    besides: frozenset[int]


class Catalog(Protocol):
    """What people ask about files. Nothing is changed.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it cannot be
    reached.
    """

    def files(
        self,
        state: State | None = None,
        source: str | None = None,
        limit: int = 50,
        whole: bool = False,
    ) -> list[FileView]:
        """The newest first. whole: of a growing file its first growth alone."""
        ...

    def matching(self, wanted: FileFilter, limit: int) -> Listed:
        """The newest files that fit, and how many fit in all."""
        ...

    def activity(self) -> dict[str, Activity]:
        """How each source that ever had a file is doing."""
        ...

    def file(self, file_id: int) -> FileView | None: ...

    def named(self, name: str, source: str | None = None) -> list[FileView]:
        """All versions of a name, as people see it, however its letters are encoded; of an alias, the
        file that has its bytes."""
        ...

    def select(
        self, states: tuple[str, ...], source: str | None = None, since: datetime | None = None
    ) -> list[FileView]:
        """All files in one of `states`, landed at `since` or later, oldest first."""
        ...

    def members(self, file_id: int) -> list[Member]:
        """The files that came in an archive, by name; none of a file that is no archive."""
        ...

    def chains(self, file_ids: Sequence[int]) -> dict[int, ChainView]:
        """Of those of these files that are a growth: the whole file, by the id that was given."""
        ...

    def heartbeats(self) -> list[Heartbeat]:
        """The last heartbeat of each loop, by role, the oldest loops first."""
        ...

    def history(self, file_id: int) -> list[HistoryEvent]:
        """What happened to a file, in the order in which it did."""
        ...

    def arrivals(self, file_id: int) -> list[ArrivalRecord]:
        """The names that a file came under, in their order."""
        ...

    def totals(self) -> dict[str, Totals]:
        """By source."""
        ...
