"""Which states of which files need not be taken again."""

from __future__ import annotations

import hashlib

from sensorflow.flow.intake.spelling import Spellings
from sensorflow.ports.feed import Candidate, Feed
from sensorflow.ports.ledger import Ledger


class Known:
    """What it holds is only to save work: the ledger is asked for what is not here."""

    def __init__(self, ledger: Ledger, spellings: Spellings) -> None:
        self._ledger, self._spellings = ledger, spellings
        self._marks: set[bytes] = set()
        self._refused: dict[tuple[str, bytes], str] = {}

    def has(self, feed: Feed, candidate: Candidate) -> bool:
        """Whether it was refused, or stays where it is and was registered."""
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
        """It was registered, and stays."""
        self._marks.add(_mark(candidate))

    def refuse(self, candidate: Candidate) -> bool:
        """It is left alone until it changes. Returns whether that is new, and to be reported."""
        is_new = not self.is_refused(candidate)
        self._refused[candidate.source, candidate.key] = candidate.revision
        return is_new

    def is_refused(self, candidate: Candidate) -> bool:
        return self._refused.get((candidate.source, candidate.key)) == candidate.revision


def _mark(candidate: Candidate) -> bytes:
    """A state of a file in sixteen bytes: a source may keep a million of them."""
    whole = b"\0".join((candidate.source.encode(), candidate.key, candidate.revision.encode()))
    return hashlib.blake2b(whole, digest_size=16).digest()
