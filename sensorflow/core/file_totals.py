"""Sums over all files, kept up to date by counting anew only the chunks of files that have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sensorflow.core.account import Account, account
from sensorflow.core.states import State

CHUNK = 4_000
"""Number of consecutive file ids in a chunk. Chunk n has the ids from n * CHUNK on."""


@dataclass(frozen=True)
class FileGroup:
    """The files of a chunk with one source and state, and one error code if they are in quarantine.

    bytes: their total size. landed: how much of it is in the landing zone. read, loaded, rejected,
    duplicate, replaced: sums of their rows, see `ports.files.Counts`. newest_reading: the newest time of
    readings in the database. newest_file: when the newest was landed. oldest: since when the oldest of
    unfinished files waits. Times are seconds since 1970, None without one.
    """

    source: str
    state: State
    code: str = ""
    files: int = 0
    bytes: int = 0
    landed: int = 0
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0
    replaced: int = 0
    newest_reading: float | None = None
    newest_file: float | None = None
    oldest: float | None = None


SUMS = ("files", "bytes", "landed", "read", "loaded", "rejected", "duplicate", "replaced")
Key = tuple[str, State, str]
Times = tuple[float | None, float | None, float | None]
"""Newest reading, newest file, oldest unfinished file, see `FileGroup`."""


class FileTotals:
    """Sums over all chunks. A chunk is counted by the caller, and is due when one of its files has changed.
    Not thread-safe."""

    def __init__(self) -> None:
        self._chunks: dict[int, Sequence[FileGroup]] = {}
        self._sums: dict[Key, list[int]] = {}
        self._due: dict[int, None] = {}
        self._times: dict[str, Times] | None = None

    def mark(self, chunks: Iterable[int]) -> None:
        """Note that files of these chunks may have changed."""
        self._due.update(dict.fromkeys(chunks))

    def due(self, limit: int) -> list[int]:
        """Returns chunks to count now: the one with the newest files, then those that have waited longest.
        They are no longer due."""
        if not self._due:
            return []
        newest = max(self._due)
        found = [newest, *(chunk for chunk in self._due if chunk != newest)][:limit]
        for chunk in found:
            del self._due[chunk]
        return found

    @property
    def complete(self) -> bool:
        """Whether no chunk is due."""
        return not self._due

    def put(self, counted: Mapping[int, Sequence[FileGroup]]) -> None:
        """Replace the groups of these chunks."""
        self._times = None
        for chunk, groups in counted.items():
            self._add(self._chunks.get(chunk, ()), -1)
            self._add(groups, 1)
            self._chunks[chunk] = groups

    def _add(self, groups: Sequence[FileGroup], sign: int) -> None:
        for group in groups:
            sums = self._sums.setdefault((group.source, group.state, group.code), [0] * len(SUMS))
            for place, name in enumerate(SUMS):
                sums[place] += sign * getattr(group, name)

    def groups(self) -> list[FileGroup]:
        """Returns the sums over all chunks, without the times. A group that has lost all of its files
        remains, with zeros."""
        return [FileGroup(*key, *sums) for key, sums in self._sums.items()]

    def times(self) -> dict[str, Times]:
        """Returns the times of each source."""
        if self._times is None:
            self._times = self._all_times()
        return self._times

    def _all_times(self) -> dict[str, Times]:
        found: dict[str, Times] = {}
        for groups in self._chunks.values():
            for g in groups:
                reading, file, oldest = found.get(g.source, (None, None, None))
                found[g.source] = (
                    _pick(max, reading, g.newest_reading),
                    _pick(max, file, g.newest_file),
                    _pick(min, oldest, g.oldest),
                )
        return found


def account_of(group: FileGroup) -> Account:
    """Returns the account of a group's readings."""
    return account(
        group.state,
        group.read,
        group.loaded,
        group.rejected,
        group.duplicate,
        replaced=group.replaced,
    )


def _pick(choose: Callable[[list[float]], float], *values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None
