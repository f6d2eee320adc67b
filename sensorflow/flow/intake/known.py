"""States of files that need not be taken in again."""

from __future__ import annotations

import hashlib

from sensorflow.flow.intake.spelling import Spellings
from sensorflow.ports.feed import Candidate, Feed
from sensorflow.ports.ledger import Ledger


class Known:
    """A cache that only saves work. The ledger is queried for anything that is not in it."""

    def __init__(self, ledger: Ledger, spellings: Spellings) -> None:
        self._ledger, self._spellings = ledger, spellings
        self._marks: set[bytes] = set()
        self._refused: dict[tuple[str, bytes], str] = {}

    def has(self, feed: Feed, candidate: Candidate) -> bool:
        """Whether the file was refused in this state, or stays in place and was registered."""
        if self.is_refused(candidate):
            return True
        if self._spellings.is_refused(feed, candidate):
            return True
        if not feed.keeps:
            return False
        mark = _mark(candidate)
        if mark in self._marks:
            return True
        if self._ledger.seen(feed.name, candidate.key, candidate.revision):
            self._marks.add(mark)
            return True
        return False

    def add(self, candidate: Candidate) -> None:
        """Add a registered file that stays in place."""
        self._marks.add(_mark(candidate))

    def refuse(self, candidate: Candidate) -> bool:
        """Ignore the file until it changes. Returns whether this is new and must be reported."""
        is_new = not self.is_refused(candidate)
        self._refused[candidate.source, candidate.key] = candidate.revision
        return is_new

    def is_refused(self, candidate: Candidate) -> bool:
        return self._refused.get((candidate.source, candidate.key)) == candidate.revision


def _mark(candidate: Candidate) -> bytes:
    """Returns a state of a file as sixteen bytes, because a source may keep a million files."""
    whole = b"\0".join((candidate.source.encode(), candidate.key, candidate.revision.encode()))
    return hashlib.blake2b(whole, digest_size=16).digest()
