"""Files of one source whose names differ only in the Unicode normalization of their letters.

The ledger would treat two such files as versions of one file, although both files stay in place. Therefore
only the file that was registered first is taken in. The other file is ignored while the first file exists.
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
    """The result of `Spellings.sort_out`. accepted: files to register now. later: files to check again
    after the files in `accepted` are registered. refused: ignored files, each with the key of the file
    that already has the name."""

    accepted: list[Found] = field(default_factory=list)
    later: list[Found] = field(default_factory=list)
    refused: list[tuple[Found, bytes]] = field(default_factory=list)


class Spellings:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._refused: dict[tuple[str, bytes], tuple[str, bytes]] = {}
        self._growing: dict[tuple[str, bytes], bytes] = {}
        """Key of an ignored growing file -> the key of the other file with the same name, as last
        reported."""

    def refuses(self, feed: Feed, candidate: Candidate, spelt: dict[bytes, bytes]) -> bool:
        """Whether to ignore a growing file because a file that was known earlier has the same name.

        spelt: name -> key of the files that the current scan has found so far. The rejection is reported
        once for each pair of files.
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
        """Whether the file was rejected in this state and the other file with its name still exists."""
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
                done.accepted.append(file)
        return done

    def _other(self, feed: Feed, file: Found) -> bytes | None:
        """Returns the key of an existing file with the same name and different bytes, or None."""
        if file.key.isascii():
            return None
        key = self._ledger.other_spelling(feed.name, file.key, file.landed.sha256)
        return key if key is not None and feed.has_other(key, file.candidate) else None


def log_refused(source: str, key: bytes, other: bytes) -> None:
    """Report a file whose name belongs to another file. Called once per state of the file."""
    facts = {"source": source, "file": printable(key), "code": Code.NAME_TAKEN}
    facts |= {"spelt": ascii(key.decode()), "taken_by": ascii(other.decode())}
    emit(Event.FILE_REFUSED, **facts, do=REMEDY[Code.NAME_TAKEN])
