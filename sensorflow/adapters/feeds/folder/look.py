"""One look at a growing file: what is new in it, and whether it is still the file that it was."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from sensorflow.adapters.feeds.folder.feed import file_of
from sensorflow.adapters.feeds.folder.tree import Readable, stat_of
from sensorflow.core.arrival import printable
from sensorflow.core.growth import (
    CAP,
    CHECK_AFTER,
    CHECK_RATE,
    EDGE,
    Growth,
    Lines,
    Taken,
    Verdict,
    begins,
    compare,
    complete,
    edges,
    holds,
    inode_of,
    refused,
)
from sensorflow.flow.landing import LandingBatch
from sensorflow.flow.register import Found, arrivals_of
from sensorflow.flow.segments import segments
from sensorflow.ports.feed import Denied, Gone
from sensorflow.telemetry import Event, emit

if TYPE_CHECKING:
    from sensorflow.adapters.feeds.folder.growing import Growing

SIBLINGS = 20
"""Files in a folder in which the rest of one is looked for that was truncated after it was copied."""
_NOT_READ = (Gone, Denied, PermissionError)
"""What another file than the one that is looked at may raise; some shares ask at each read."""


@dataclass(frozen=True)
class Rest:
    """A state of a file in which there was nothing new (None: any), and until when (monotonic) that is
    believed."""

    state: str | None
    until: float


class Look:
    """One look at an open file."""

    def __init__(
        self,
        growing: Growing,
        batch: LandingBatch,
        key: bytes,
        stream: BinaryIO,
        known: dict[bytes, Rest],
    ) -> None:
        self._all, self._batch, self._key, self._stream = growing, batch, key, stream
        self._known = known
        self._seen_at = datetime.now(UTC)
        self.stat = stat_of(stream)

    def growths(self, ours: Sequence[Taken | None]) -> list[Growth]:
        """As a list: what a file under another name still had comes before what begins anew."""
        by_inode, by_key = ours
        verdicts: dict[int, Verdict] = {}
        for taken in filter(None, ours):
            verdict = verdicts[taken.root] = self._verdict(taken, taken is by_key)
            if verdict is Verdict.SAME:
                return self._more(taken)
        if by_key is None:
            copied = self._copied(by_inode)
            return self._new() if copied is None else copied
        if by_key.age < self._every:  # a backlog is no reason to wait: the old file may go for good
            return self._later(replace(by_key, waiting=False))
        return self._replaced(by_key, verdicts[by_key.root])

    def _copied(self, by_inode: Taken | None) -> list[Growth] | None:
        """What is new in a file that was copied from another one; None if it was not, or not as far as is
        known. The original may have been truncated after it (`copytruncate` of logrotate)."""
        if by_inode is not None or self._all.name_matters:
            return None
        for taken in self._all.newest():
            if self._is_copy(taken):
                if self.stat.size > taken.size:
                    return self._landed(taken) or None
                place = (self._all.folder.name, self._key, taken, None)
                self._all._ledger.looked_at(*place, self.stat.fingerprint, False)
                self._known[self._key] = Rest(self.stat.fingerprint, math.inf)
                return []
        return None

    def _is_copy(self, taken: Taken) -> bool:
        """Whether this file holds nothing but what was taken of another, or more where that is gone."""
        size = self.stat.size
        if not taken.rows or taken.key == self._key:
            return False
        if size > taken.size:
            verdict = compare(taken, self.stat, self._stream)
            whole = verdict is Verdict.PERHAPS and not self._is_live(taken)
            parts = segments(self._all._ledger, taken.root, taken.size)
            return whole and holds(self._stream, parts)
        if size >= EDGE and edges(self._stream, EDGE)[0] != taken.head:
            return False
        landed = segments(self._all._ledger, taken.root, size)
        return begins(self._stream, size, (self._all._landing.open(s.landing) for s in landed))

    def _is_live(self, taken: Taken) -> bool:
        """Whether the file of which something was taken is still there under its name, and goes on."""
        with suppress(*_NOT_READ), self._all.folder.open(taken.key) as stream:
            return compare(taken, stat_of(stream), stream) is Verdict.SAME
        return False

    @property
    def _every(self) -> float:
        return self._all.folder.source.grow_every

    def _later(self, taken: Taken) -> list[Growth]:
        """It grew a moment ago."""
        until = time.monotonic() + taken.wait(self._every)
        self._known[self._key] = Rest(None, until)
        return []

    def _verdict(self, taken: Taken, named: bool) -> Verdict:
        verdict = compare(taken, self.stat, self._stream)
        if verdict is Verdict.PERHAPS:  # an editor, rsync: the same, written to a new inode
            whole = named and holds(
                self._stream, segments(self._all._ledger, taken.root, taken.size)
            )
            return Verdict.SAME if whole else Verdict.REPLACED
        return verdict

    def _more(self, taken: Taken) -> list[Growth]:
        """What the file has beyond what was taken of it."""
        if not taken.due(self._every) and self.stat.size - taken.size < CAP:
            return self._later(taken)
        found = self._landed(taken)
        if found:
            return found
        mark, whole = self.stat.fingerprint, False
        if taken.checked != mark and taken.idle:
            if not holds(self._stream, segments(self._all._ledger, taken.root, taken.size)):
                return self._replaced(taken, Verdict.REWRITTEN)
            whole = True
        if whole or (taken.key, taken.inode, taken.fingerprint) != (
            self._key,
            inode_of(self.stat),
            mark,
        ):
            place = (self._all.folder.name, self._key, taken, inode_of(self.stat))
            self._all._ledger.looked_at(*place, mark, whole)
        done = whole or taken.checked == mark
        wait = max(CHECK_AFTER, taken.size / CHECK_RATE)
        until = math.inf if done else time.monotonic() + wait
        self._known[self._key] = Rest(mark, until)
        return []

    def _replaced(self, taken: Taken, verdict: Verdict) -> list[Growth]:
        """Begin the file anew; what was written to the old one since may be under another name."""
        rest = self._rest_of(taken, verdict)
        begun = self._new()
        if begun:
            emit(
                Event.FILE_REPLACED,
                source=self._all.folder.name,
                file=printable(self._key),
                how=str(verdict),
                taken=taken.size,
                rest=sum(growth.arrival.landed.size for growth in rest),
            )
            return [*rest, *begun]
        return rest

    def _rest_of(self, taken: Taken, verdict: Verdict) -> list[Growth]:
        """Of a file that was renamed, or copied and then truncated."""
        siblings = self._all.folder.siblings(self._key)
        if verdict is Verdict.REPLACED:
            wanted = [key for key, stat in siblings if inode_of(stat) == taken.inode]
        else:
            wanted = [key for key, stat in siblings[:SIBLINGS] if stat.size > taken.size]
        for key in wanted:
            with suppress(*_NOT_READ), self._all.folder.open(key) as stream:
                look = Look(self._all, self._batch, key, stream, {})
                same = look._verdict(taken, True) is Verdict.SAME
                if found := look._landed(taken) if same else []:
                    return found
        return []

    def _new(self) -> list[Growth]:
        self._stream.seek(0)
        why = refused(self._stream.read(8))
        if why is not None:
            self._all._set_aside(self._key, self._known, Event.FILE_SKIPPED, why)
            return []
        found = self._landed(None)
        if not found:  # not one whole line so far
            self._known[self._key] = Rest(self.stat.fingerprint, math.inf)
        return found

    def _landed(self, taken: Taken | None) -> list[Growth]:
        """Land the complete lines behind what was taken; none where there are none, or it changed."""
        start = taken.size if taken else 0
        end = complete(self._stream, start, self.stat.size, CAP)
        if end == start:
            if self.stat.size - start >= CAP:
                why = f"{CAP:,} bytes without the end of a line"
                self._all._set_aside(self._key, self._known, Event.FILE_STUCK, why)
            return []
        self._all._hurry |= self.stat.size - start > CAP
        part = Lines(self._stream, start, end)
        landed = self._batch.put(Readable(part))  # type: ignore[arg-type]
        now = stat_of(self._stream)
        head, tail = part.edges(self._stream, start, end)
        unchanged = taken is None or compare(taken, now, self._stream) in _STILL
        if landed.size != end - start or now.size < end or not unchanged:
            return []  # it is looked at again
        name, settings = self._all.folder.name, self._all._settings
        state = file_of(name, self._key, self.stat)
        found = Found(state, landed, self._seen_at, datetime.now(UTC))
        [arrival] = arrivals_of(settings, name, [found])
        return [Growth(arrival, taken, part.count, inode_of(self.stat), head, tail)]


_STILL = (Verdict.SAME, Verdict.PERHAPS)
