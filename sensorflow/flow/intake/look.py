"""Inspect a growing file once: find its new bytes, and decide whether it is still the same file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sensorflow.core.arrival import printable
from sensorflow.core.growth import (
    CAP,
    CHECK_AFTER,
    CHECK_RATE,
    EDGE,
    Increment,
    Ingested,
    Lines,
    Verdict,
    begins,
    compare,
    complete,
    edges,
    holds,
    why_head_refused,
)
from sensorflow.flow.intake.strategy import Unit
from sensorflow.flow.landing import LandingBatch
from sensorflow.flow.register import Found
from sensorflow.flow.segments import segments
from sensorflow.ports.feed import Candidate, FeedError, GrowingFeed, OpenAnywhere
from sensorflow.telemetry import Event, emit

if TYPE_CHECKING:
    from sensorflow.flow.intake.parts import Parts

SIBLINGS = 20
"""Maximum number of files of a folder that are searched for the unread end of a file that was copied and
truncated."""


@dataclass(frozen=True)
class InspectedState:
    """A state in which a file was inspected and had nothing new. The file is not inspected again before
    `until` (monotonic seconds), unless its state changes.

    state: the file's revision. If None, all states of the file at `place` (see `GrowingFeed.place`) are
    meant.
    """

    state: str | None
    until: float
    place: str | None = None


class _Touching:
    """An open file that calls `touch` on each read, because comparing the whole file may take long."""

    def __init__(self, opened: OpenAnywhere, touch: Callable[[], object]) -> None:
        self._opened, self._touch = opened, touch
        self.seek, self.state = opened.seek, opened.state

    def read(self, size: int = -1, /) -> bytes:
        self._touch()
        return self._opened.read(size)


class Inspection:
    """One inspection of an open growing file. Its methods return the new parts of the file, already
    landed."""

    def __init__(self, parts: Parts, batch: LandingBatch, opened: OpenAnywhere) -> None:
        self._all, self._batch, self._opened = parts, batch, _Touching(opened, parts.touch)
        self._seen_at = datetime.now(UTC)
        self._file = opened.state()
        self._key, self._size, self._mark = self._file.key, self._file.size, self._file.revision

    def found(self, by_inode: Ingested | None, by_key: Ingested | None) -> Unit:
        """Land and return the new parts. If the file has replaced an old file that now has another name,
        the unread end of the old file comes first.

        by_inode: describes the bytes that were taken in from the file with this inode. by_key: describes
        the bytes that were taken in from the file with this name.
        """
        verdicts: dict[int, Verdict] = {}
        for ingested in filter(None, (by_inode, by_key)):
            verdict = verdicts[ingested.root] = self._verdict(ingested, ingested is by_key)
            if verdict is Verdict.SAME:
                return self._more(ingested)
        if by_key is None:
            copied = self._copied(by_inode)
            return self._new() if copied is None else copied
        verdict = verdicts[by_key.root]
        # no delay if there is a backlog or after a rotation, because the old file may be deleted soon
        if by_key.age < self._every and not self._is_rotated(by_key, verdict):
            return self._later(replace(by_key, waiting=False))
        return self._replaced(by_key, verdict)

    def left(self, ingested: Ingested | None) -> Unit:
        """Land and return the unread end of a file that was renamed or copied."""
        is_same = ingested is not None and self._verdict(ingested, True) is Verdict.SAME
        return self._landed(ingested) if is_same else []

    def _is_rotated(self, ingested: Ingested, verdict: Verdict) -> bool:
        """Whether the old file of this name still exists under another name."""
        feed = self._all.feed
        return verdict is Verdict.REPLACED and any(
            feed.place(file) == ingested.inode for file in feed.siblings(self._file)
        )

    def _copied(self, by_inode: Ingested | None) -> Unit | None:
        """Returns the new parts of a file that is a copy of another file, or None if the file is not known
        to be a copy. After copying, the original may have been truncated (`copytruncate` of logrotate)."""
        if by_inode is not None or self._all.name_matters:
            return None
        for ingested in self._all.newest():
            if self._is_copy(ingested):
                if self._size > ingested.size:
                    return self._landed(ingested) or None
                place = (self._all.feed.name, self._key, ingested, None)
                self._all.ledger.record_inspection(*place, self._mark, False)
                self._all.inspected[self._key] = InspectedState(self._mark, math.inf)
                return []
        return None

    def _is_copy(self, ingested: Ingested) -> bool:
        """Whether this file is a copy of another file: all its bytes equal the first bytes that were taken
        in from the other file. If the other file no longer exists, this file may contain further bytes."""
        size = self._size
        if not ingested.rows or ingested.key == self._key:
            return False
        if size > ingested.size:
            verdict = self._compare(ingested)
            may_be_complete = verdict is Verdict.PERHAPS and not self._is_live(ingested)
            parts = segments(self._all.ledger, ingested.root, ingested.size)
            return may_be_complete and holds(self._opened, parts)
        if size >= EDGE and edges(self._opened, EDGE)[0] != ingested.head:
            return False
        landed = segments(self._all.ledger, ingested.root, size)
        return begins(self._opened, size, (self._all.landing.open(s.landing) for s in landed))

    def _is_live(self, ingested: Ingested) -> bool:
        """Whether the original file still exists under its name and begins with the bytes that were taken
        in."""
        feed = self._all.feed
        last = Candidate(feed.name, ingested.key, ingested.fingerprint, ingested.size, 0, 0)
        with suppress(FeedError), feed.open(last) as opened:
            return _compared(feed, ingested, opened) is Verdict.SAME
        return False

    @property
    def _inode(self) -> str:
        return self._all.feed.place(self._file)

    def _compare(self, ingested: Ingested) -> Verdict:
        return compare(ingested, self._inode, self._size, self._opened)

    @property
    def _every(self) -> float:
        return self._all.feed.delay

    def _later(self, ingested: Ingested) -> Unit:
        """Return no parts, and inspect the file again when its next part is due."""
        until = time.monotonic() + ingested.recheck_seconds(self._every)
        self._all.inspected[self._key] = InspectedState(None, until, self._inode)
        return []

    def _verdict(self, ingested: Ingested, named: bool) -> Verdict:
        verdict = self._compare(ingested)
        if (
            verdict is Verdict.PERHAPS
        ):  # an editor or rsync may have written the same content to a new inode
            compared_fully = named and holds(
                self._opened, segments(self._all.ledger, ingested.root, ingested.size)
            )
            return Verdict.SAME if compared_fully else Verdict.REPLACED
        return verdict

    def _more(self, ingested: Ingested) -> Unit:
        """Return the bytes that were added after the last part."""
        if not ingested.is_due(self._every) and self._size - ingested.size < CAP:
            return self._later(ingested)
        found = self._landed(ingested)
        if found:
            return found
        mark, compared_fully = self._mark, False
        if ingested.checked != mark and ingested.idle:
            if not holds(self._opened, segments(self._all.ledger, ingested.root, ingested.size)):
                return self._replaced(ingested, Verdict.REWRITTEN)
            compared_fully = True
        if compared_fully or (ingested.key, ingested.inode, ingested.fingerprint) != (
            self._key,
            self._inode,
            mark,
        ):
            place = (self._all.feed.name, self._key, ingested, self._inode)
            self._all.ledger.record_inspection(*place, mark, compared_fully)
        done = compared_fully or ingested.checked == mark
        wait = max(CHECK_AFTER, ingested.size / CHECK_RATE)
        until = math.inf if done else time.monotonic() + wait
        self._all.inspected[self._key] = InspectedState(mark, until)
        return []

    def _replaced(self, ingested: Ingested, verdict: Verdict) -> Unit:
        """Take in the file from its start as a new file. If the old file is found under another name, its
        unread end comes first."""
        siblings = self._all.feed.siblings(self._file)
        unread_end = self._unread_end_of(ingested, verdict, siblings)
        begun = self._new()
        if begun:
            self._all.renamed.replaced(self._file, ingested, siblings)
            emit(
                Event.FILE_REPLACED,
                source=self._all.feed.name,
                file=printable(self._key),
                file_id=ingested.last,
                how=str(verdict),
                taken=ingested.size,
                rest=sum(file.landed.size for file in unread_end),
            )
            return [*unread_end, *begun]
        return unread_end

    def _unread_end_of(
        self, ingested: Ingested, verdict: Verdict, siblings: Sequence[Candidate]
    ) -> Unit:
        """Find the old file under another name, because it was renamed, or copied and then truncated.
        Returns its unread end."""
        feed = self._all.feed
        if verdict is Verdict.REPLACED:
            wanted = [file for file in siblings if feed.place(file) == ingested.inode]
        else:
            wanted = [file for file in siblings[:SIBLINGS] if file.size > ingested.size]
        for file in wanted:
            with suppress(FeedError), feed.open(file) as opened:
                if found := Inspection(self._all, self._batch, opened).left(ingested):
                    return found
        return []

    def _new(self) -> Unit:
        self._opened.seek(0)
        reason = why_head_refused(self._opened.read(8))
        if reason is not None:
            self._all.set_aside(self._file, Event.FILE_SKIPPED, reason)
            return []
        found = self._landed(None)
        if not found:  # no complete line yet
            self._all.inspected[self._key] = InspectedState(self._mark, math.inf)
        return found

    def _landed(self, ingested: Ingested | None) -> Unit:
        """Land the complete lines after the last part. Returns an empty list if there are none, or if the
        file changed in the meantime."""
        start = ingested.size if ingested else 0
        end = complete(self._opened, start, self._size, CAP)
        if end == start:
            if self._size - start >= CAP:
                reason = f"{CAP:,} bytes without the end of a line"
                self._all.set_aside(self._file, Event.FILE_NOT_DISPOSED, reason)
            return []
        self._all.scan_at_once |= self._size - start > CAP
        part = Lines(self._opened, start, end)
        landed = self._batch.put(part)
        now = self._opened.state()
        head, tail = part.edges(self._opened, start, end)
        unchanged = (
            ingested is None or _compared(self._all.feed, ingested, self._opened) in _UNCHANGED
        )
        if landed.size != end - start or now.size < end or not unchanged:
            return []  # the file is inspected again
        new = Increment(ingested, landed.size, part.count, self._inode, head, tail)
        times = self._seen_at, datetime.now(UTC)
        return [Found(self._file, landed, *times, increment=new)]


def _compared(feed: GrowingFeed, ingested: Ingested, opened: OpenAnywhere) -> Verdict:
    """Compare an open file with the bytes that were taken in from it."""
    now = opened.state()
    return compare(ingested, feed.place(now), now.size, opened)


_UNCHANGED = (Verdict.SAME, Verdict.PERHAPS)
