"""Growing files that were renamed to what their source does not take: their last lines are taken.

A file that was not seen before it was renamed is left alone, and told of.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress

from sensorflow.core.arrival import printable
from sensorflow.core.growth import Taken
from sensorflow.ports.feed import Candidate, FeedError, GrowingFeed
from sensorflow.ports.ledger import Ledger
from sensorflow.telemetry import Event, emit

FOLLOWED = 60.0
"""Seconds after its last change in which a file that was renamed is looked at."""


class Renamed:
    """newest: of how many files, the newest, it is asked at a start whether they were renamed meanwhile."""

    def __init__(self, feed: GrowingFeed, ledger: Ledger, newest: int) -> None:
        self._feed, self._ledger, self._newest = feed, ledger, newest
        self._there: Set[bytes] | None = None
        """The names in the scan before."""
        self._followed: dict[bytes, tuple[str, float]] = {}
        """A name -> the last state, and until when (monotonic) another one is waited for."""
        self._suspects: dict[bytes, Candidate] = {}

    def __contains__(self, key: bytes) -> bool:
        """Whether it is the name of such a file, which is not in a scan."""
        return key in self._followed

    def scanned(self, there: Set[bytes]) -> Iterator[Candidate]:
        """The renamed files that are there, after a scan that found these names."""
        for file in self._new_names(there):
            self._followed.setdefault(file.key, ("", math.inf))
        for key, (state, until) in list(self._followed.items()):
            now = None if key in there else self._now(key)
            if now is None or (now.revision == state and time.monotonic() >= until):
                del self._followed[key]
                continue
            if now.revision != state:
                self._followed[key] = (now.revision, time.monotonic() + FOLLOWED)
            yield now
        self._tell(there)
        self._there = there

    def _new_names(self, there: Set[bytes]) -> Iterator[Candidate]:
        """Files of which something was taken under names that are no longer there."""
        if self._there is None:
            known = self._ledger.grown(self._feed.name, [], [], self._newest)
        else:
            gone = [key for key in self._there if key not in there]
            known = self._ledger.grown(self._feed.name, gone, []) if gone else []
        lost = [taken for taken in known if taken.key not in there]
        places = {taken.inode for taken in lost}
        for key in {taken.key.rpartition(b"/")[0]: taken.key for taken in lost}.values():
            for file in self._feed.siblings(self._named(key)):
                if file.key not in there and self._feed.place(file) in places:
                    yield file

    def _now(self, key: bytes) -> Candidate | None:
        with suppress(FeedError), self._feed.open(self._named(key)) as opened:
            return opened.state()
        return None

    def _named(self, key: bytes) -> Candidate:
        return Candidate(self._feed.name, key, "", 0, 0, 0)

    # --- what was not seen in time ---

    def replaced(self, file: Candidate, taken: Taken, siblings: Iterable[Candidate]) -> None:
        """A file is begun anew: what was rotated since the last look, and was never seen, is beside it."""
        since = time.time_ns() - int(taken.age * 1e9)
        stem = _stem(file.key)
        late = {
            self._feed.place(other): other
            for other in siblings
            if other.modified_ns > since and other.key.startswith(stem)
        }
        late.pop(taken.inode, None)
        if late:
            for known in self._ledger.grown(self._feed.name, [], list(late)):
                late.pop(known.inode, None)
            self._suspects.update((other.key, other) for other in late.values())

    def _tell(self, there: Set[bytes]) -> None:
        for key, file in self._suspects.items():
            if key not in there:  # else it is taken under that name
                facts = {"source": file.source, "file": printable(key), "size": file.size}
                reason = "rotated before it was looked at, to a name that the source does not take"
                emit(Event.FILE_MISSED, **facts, why=reason, do="rename it to one that it takes")
        self._suspects.clear()


def _stem(key: bytes) -> bytes:
    """What the names begin with to which a file is rotated: data.1.csv, data.csv.1."""
    folder, slash, name = key.rpartition(b"/")
    return folder + slash + (name.rpartition(b".")[0] or name) + b"."
