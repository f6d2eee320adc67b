"""Sums over all files. To keep them up to date, only the chunks that contain changed files are counted
again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sensorflow.core.account import Account, account
from sensorflow.core.states import State

CHUNK = 4_000
"""Number of consecutive file ids in a chunk. Chunk n contains the ids from n * CHUNK up to, but not
including, (n + 1) * CHUNK."""


@dataclass(frozen=True)
class FileGroup:
    """Sums over the files of a chunk that have the same source, the same state and, if they are
    quarantined, the same error code.

    code: the error code without its name, such as "F104"; "" unless the files are quarantined. files: the
    number of files. bytes: their total size. landed: the part of `bytes` that is in the landing zone. read,
    loaded, rejected, duplicate, replaced: the sums of these counts of the files, see `ports.files.Counts`.

    All times are seconds since 1970, or None if there is no such time. newest_reading: the newest time of a
    reading in the database. newest_file: when the newest file was landed. oldest: since when the unfinished
    file that has waited longest has waited.
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
"""(newest_reading, newest_file, oldest) as in `FileGroup`."""


class FileTotals:
    """Sums over the files of all chunks. The caller marks the chunks whose files have changed, counts the
    chunks that are due, and puts the results. Not thread-safe."""

    def __init__(self) -> None:
        self._chunks: dict[int, Sequence[FileGroup]] = {}
        self._sums: dict[Key, list[int]] = {}
        self._due: dict[int, None] = {}
        self._times: dict[str, Times] | None = None

    def mark(self, chunks: Iterable[int]) -> None:
        """Mark these chunks as due, because their files may have changed."""
        self._due.update(dict.fromkeys(chunks))

    def due(self, limit: int) -> list[int]:
        """Return at most `limit` chunks to count now, and mark them as no longer due. The chunk with the
        newest files comes first, followed by those that have been due for longest."""
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
        """Replace the groups of these chunks. counted: number of the chunk -> its groups."""
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
        """Return the sums over all chunks, without the times. A group that no longer has any files is still
        returned, with zeros."""
        return [FileGroup(*key, *sums) for key, sums in self._sums.items()]

    def times(self) -> dict[str, Times]:
        """Return source -> its `Times` over all chunks."""
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
    """Return the account of a group's readings."""
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
