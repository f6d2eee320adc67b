"""Two files of a source whose names differ only in the encoding of their letters.

They would become versions of each other although both stay in place. The file that was registered first
counts; the other is ignored while the first exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sensorflow.core.arrival import printable
from sensorflow.core.names import canonical
from sensorflow.errors import REMEDY, Code
from sensorflow.flow.register import Found
from sensorflow.ports.feed import Candidate, Feed
from sensorflow.ports.ledger import Ledger
from sensorflow.telemetry import Event, emit


@dataclass
class Sorted:
    """later: check again after the accepted files are registered. refused: each with the key of the file
    that has its name."""

    taken: list[Found] = field(default_factory=list)
    later: list[Found] = field(default_factory=list)
    refused: list[tuple[Found, bytes]] = field(default_factory=list)


class Spellings:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._refused: dict[tuple[str, bytes], tuple[str, bytes]] = {}
        self._growing: dict[tuple[str, bytes], bytes] = {}
        """Growing files whose name another file has -> that file's key, as last reported."""

    def refuses(self, feed: Feed, candidate: Candidate, spelt: dict[bytes, bytes]) -> bool:
        """Whether another growing file has this file's name. The file that was known first counts.

        spelt: name -> key of the files seen so far in a scan. Each refusal is reported once per other file.
        """
        if candidate.key.isascii():
            return False
        other = self._ledger.other_spelling(feed.name, candidate.key, b"")
        if other is None or not feed.has_other(other, candidate):
            other = spelt.setdefault(canonical(candidate.key), candidate.key)
            if other == candidate.key:
                return False
        place = (feed.name, candidate.key)
        if self._growing.get(place) != other:
            log_refused(*place, other)
        self._growing[place] = other
        return True

    def is_refused(self, feed: Feed, candidate: Candidate) -> bool:
        """Whether a file was refused in this state and still is, because the other file exists."""
        known = self._refused.get((feed.name, candidate.key))
        if known is None:
            return False
        if known[0] == candidate.revision and feed.has_other(known[1], candidate):
            return True
        del self._refused[feed.name, candidate.key]
        return False

    def sort_out(self, feed: Feed, files: Sequence[Found]) -> Sorted:
        done = Sorted()
        names: dict[bytes, bytes] = {}
        for file in files:
            if names.setdefault(canonical(file.key), file.key) != file.key:
                done.later.append(file)
            elif (other := self._other(feed, file)) is not None:
                self._refused[feed.name, file.key] = (file.candidate.revision, other)
                done.refused.append((file, other))
            else:
                done.taken.append(file)
        return done

    def _other(self, feed: Feed, file: Found) -> bytes | None:
        """Returns the key of an existing file with the same name and other bytes, or None."""
        if file.key.isascii():
            return None
        key = self._ledger.other_spelling(feed.name, file.key, file.landed.sha256)
        return key if key is not None and feed.has_other(key, file.candidate) else None


def log_refused(source: str, key: bytes, other: bytes) -> None:
    """Called once per state of a file."""
    facts = {"source": source, "file": printable(key), "code": Code.NAME_TAKEN}
    facts |= {"spelt": ascii(key.decode()), "taken_by": ascii(other.decode())}
    emit(Event.FILE_REFUSED, **facts, do=REMEDY[Code.NAME_TAKEN])
