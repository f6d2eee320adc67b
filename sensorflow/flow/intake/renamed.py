"""Growing files that were renamed to a name that their source does not accept. Their last lines are still
taken in.

A file is not followed if nothing was taken in from it before it was renamed. It is only reported.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress

from sensorflow.core.arrival import printable
from sensorflow.core.growth import Ingested
from sensorflow.ports.feed import Candidate, FeedError, GrowingFeed
from sensorflow.ports.ledger import Ledger
from sensorflow.telemetry import Event, emit

FOLLOWED = 60.0
"""Seconds for which a renamed file is followed after its last change."""


class Renamed:
    """Finds and follows the renamed files of a source.

    newest: at the start, this number of the newest files is searched for under other names, because they
    may have been renamed while the daemon was down.
    """

    def __init__(self, feed: GrowingFeed, ledger: Ledger, newest: int) -> None:
        self._feed, self._ledger, self._newest = feed, ledger, newest
        self._last_names: Set[bytes] | None = None
        """The names that the previous scan found."""
        self._followed: dict[bytes, tuple[str, float]] = {}
        """Name -> the file's last state, and the time (monotonic seconds) until which the file is
        followed."""
        self._suspects: dict[bytes, Candidate] = {}

    def __contains__(self, key: bytes) -> bool:
        """Whether a renamed file with this name is followed."""
        return key in self._followed

    def scanned(self, names: Set[bytes]) -> Iterator[Candidate]:
        """Yield the renamed files that still exist. Call this after each scan. names: the names that the
        scan found."""
        for file in self._new_names(names):
            self._followed.setdefault(file.key, ("", math.inf))
        for key, (state, until) in list(self._followed.items()):
            now = None if key in names else self._now(key)
            if now is None or (now.revision == state and time.monotonic() >= until):
                del self._followed[key]
                continue
            if now.revision != state:
                self._followed[key] = (now.revision, time.monotonic() + FOLLOWED)
            yield now
        self._log_missed(names)
        self._last_names = names

    def _new_names(self, names: Set[bytes]) -> Iterator[Candidate]:
        """Yield the files that were renamed: the name under which they were taken in no longer exists. The
        files are yielded under their new names."""
        if self._last_names is None:
            known = self._ledger.find_ingested(self._feed.name, [], [], self._newest)
        else:
            gone = [key for key in self._last_names if key not in names]
            known = self._ledger.find_ingested(self._feed.name, gone, []) if gone else []
        lost = [ingested for ingested in known if ingested.key not in names]
        places = {ingested.inode for ingested in lost}
        for key in {ingested.key.rpartition(b"/")[0]: ingested.key for ingested in lost}.values():
            for file in self._feed.siblings(self._named(key)):
                if file.key not in names and self._feed.place(file) in places:
                    yield file

    def _now(self, key: bytes) -> Candidate | None:
        with suppress(FeedError), self._feed.open(self._named(key)) as opened:
            return opened.state()
        return None

    def _named(self, key: bytes) -> Candidate:
        return Candidate(self._feed.name, key, "", 0, 0, 0)

    # --- files that were renamed before they were inspected ---

    def replaced(self, file: Candidate, ingested: Ingested, siblings: Iterable[Candidate]) -> None:
        """Remember the files that were rotated after the last inspection and of which no bytes have been
        taken in. `scanned` reports them if the source does not accept their names. Called when a file is
        taken in from its start again."""
        since = time.time_ns() - int(ingested.age * 1e9)
        stem = _stem(file.key)
        late = {
            self._feed.place(other): other
            for other in siblings
            if other.modified_ns > since and other.key.startswith(stem)
        }
        late.pop(ingested.inode, None)
        if late:
            for known in self._ledger.find_ingested(self._feed.name, [], list(late)):
                late.pop(known.inode, None)
            self._suspects.update((other.key, other) for other in late.values())

    def _log_missed(self, names: Set[bytes]) -> None:
        for key, file in self._suspects.items():
            if key not in names:  # otherwise its lines are taken in under that name
                facts = {"source": file.source, "file": printable(key), "size": file.size}
                reason = (
                    "rotated before it was inspected, to a name that the source does not accept"
                )
                do = "rename the file to a name that the source accepts"
                emit(Event.FILE_MISSED, **facts, why=reason, do=do)
        self._suspects.clear()


def _stem(key: bytes) -> bytes:
    """Returns the beginning that the rotated names of a file have in common, for example "data." for
    data.csv, whose rotated names are data.1.csv or data.csv.1."""
    folder, slash, name = key.rpartition(b"/")
    return folder + slash + (name.rpartition(b".")[0] or name) + b"."
