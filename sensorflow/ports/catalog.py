"""The part of the ledger that answers users' queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sensorflow.core.account import Totals
from sensorflow.core.heartbeat import Heartbeat
from sensorflow.core.listing import Activity, FileFilter, LargeFile
from sensorflow.core.states import State
from sensorflow.ports.files import ArrivalRecord, ChainView, FileView, HistoryEvent, Listed


@dataclass(frozen=True)
class Member:
    """A file that arrived in an archive. name: the file's name in the archive. besides: ids of the other
    archives that contain the file, without archives that were undone. If the file also arrived outside of
    an archive, `besides` contains 0."""

    name: str
    file_id: int
    besides: frozenset[int]


class Catalog(Protocol):
    """Queries for users: files, their histories, and totals. Read-only.

    Every method is one transaction. All times are by the database's clock. Methods raise Transient
    DATABASE if the database is unreachable.
    """

    def files(
        self,
        state: State | None = None,
        source: str | None = None,
        limit: int = 50,
        first_parts_only: bool = False,
    ) -> list[FileView]:
        """Returns at most `limit` files, newest first. state, source: return only files in this state, and
        only files of this source. first_parts_only: of each growing file, return only the first part."""
        ...

    def matching(self, file_filter: FileFilter, limit: int) -> Listed:
        """Returns the newest files that match the filter, at most `limit`, and the number of all files
        that match it."""
        ...

    def activity(self) -> dict[str, Activity]:
        """Returns the activity of each source that has ever had a file."""
        ...

    def large_files(self, lease: float) -> list[LargeFile]:
        """Returns the running files for which workers have reported progress. lease: the duration of a
        worker's lease in seconds."""
        ...

    def file(self, file_id: int) -> FileView | None: ...

    def named(self, name: str, source: str | None = None) -> list[FileView]:
        """Returns all versions of the files with a display name, in any Unicode normalization. If the name
        is an alias, returns the registered file with the same bytes."""
        ...

    def select(
        self, states: tuple[str, ...], source: str | None = None, since: datetime | None = None
    ) -> list[FileView]:
        """Returns all files in one of `states` that were landed at or after `since`, oldest first."""
        ...

    def members(self, file_id: int) -> list[Member]:
        """Returns the files that arrived in an archive, sorted by name; an empty list if the file is not an
        archive."""
        ...

    def chains(self, file_ids: Sequence[int]) -> dict[int, ChainView]:
        """Returns the growing file, with all its parts, for each id that belongs to a part of a growing
        file."""
        ...

    def heartbeats(self) -> list[Heartbeat]:
        """Returns the last heartbeat of each loop, sorted by role. Within a role, the oldest loop comes
        first."""
        ...

    def history(self, file_id: int) -> list[HistoryEvent]:
        """Returns a file's events in chronological order."""
        ...

    def arrivals(self, file_id: int) -> list[ArrivalRecord]:
        """Returns the arrivals of a file, in chronological order."""
        ...

    def totals(self) -> dict[str, Totals]:
        """Returns the totals of each source."""
        ...
