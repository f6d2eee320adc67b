"""States of files that the intake can skip."""

from __future__ import annotations

import hashlib

from sensorflow.flow.intake.spelling import Spellings
from sensorflow.ports.feed import Candidate, Feed
from sensorflow.ports.ledger import Ledger


class Known:
    """A cache of file states that need not be taken in again. If a state is missing in the cache, the
    ledger is queried."""

    def __init__(self, ledger: Ledger, spellings: Spellings) -> None:
        self._ledger, self._spellings = ledger, spellings
        self._marks: set[bytes] = set()
        self._refused: dict[tuple[str, bytes], str] = {}

    def has(self, feed: Feed, candidate: Candidate) -> bool:
        """Whether to skip the file in this state, because it was rejected, or because it was registered and
        stays in place."""
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
        """Ignore the file until it changes. Returns True if this state was not ignored before; the caller
        then reports it."""
        is_new = not self.is_refused(candidate)
        self._refused[candidate.source, candidate.key] = candidate.revision
        return is_new

    def is_refused(self, candidate: Candidate) -> bool:
        return self._refused.get((candidate.source, candidate.key)) == candidate.revision


def _mark(candidate: Candidate) -> bytes:
    """Returns a hash of 16 bytes that identifies a file in one state. It is short because a source may keep
    a million files."""
    identity = b"\0".join((candidate.source.encode(), candidate.key, candidate.revision.encode()))
    return hashlib.blake2b(identity, digest_size=16).digest()
