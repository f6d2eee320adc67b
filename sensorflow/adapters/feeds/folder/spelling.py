"""Two files in one folder whose names differ only in how their letters are encoded.

They would be versions of each other, while both lie there for good: the first that was registered counts,
and the other one is left alone until the first is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sensorflow.adapters.feeds.folder.drop import Folder
from sensorflow.adapters.feeds.folder.tree import NotAFile
from sensorflow.core.arrival import printable
from sensorflow.core.names import canonical
from sensorflow.core.stability import Stat
from sensorflow.errors import REMEDY, Code
from sensorflow.flow.register import Found
from sensorflow.ports.ledger import Ledger
from sensorflow.telemetry import Event, log


@dataclass
class Sorted:
    """later: to be looked at again when those taken are registered. refused: each with the key of the file
    that has its name."""

    taken: list[Found] = field(default_factory=list)
    later: list[Found] = field(default_factory=list)
    refused: list[tuple[Found, bytes]] = field(default_factory=list)


class Spellings:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._refused: dict[tuple[str, bytes], tuple[Stat, bytes]] = {}

    def is_refused(self, folder: Folder, key: bytes, stat: Stat) -> bool:
        """Whether a file was refused in this state, and still is: the other one is there."""
        known = self._refused.get((folder.name, key))
        if known is None:
            return False
        if known[0] == stat and is_there(folder, known[1], stat):
            return True
        del self._refused[folder.name, key]
        return False

    def sort_out(self, folder: Folder, files: Sequence[Found]) -> Sorted:
        done = Sorted()
        names: dict[bytes, bytes] = {}
        for file in files:
            if names.setdefault(canonical(file.key), file.key) != file.key:
                done.later.append(file)
            elif (other := self._other(folder, file)) is not None:
                self._refused[folder.name, file.key] = (file.stat, other)
                done.refused.append((file, other))
            else:
                done.taken.append(file)
        return done

    def _other(self, folder: Folder, file: Found) -> bytes | None:
        """The key of another file with this name and other bytes that lies in the folder."""
        if file.key.isascii():
            return None
        key = self._ledger.spelt_otherwise(folder.name, file.key, file.landed.sha256)
        return key if key is not None and is_there(folder, key, file.stat) else None


def log_refused(folder: Folder, key: bytes, other: bytes) -> None:
    """Reported once for each state of a file."""
    facts = {"source": folder.name, "file": printable(key), "code": Code.NAME_TAKEN}
    facts |= {"spelt": ascii(key.decode()), "taken_by": ascii(other.decode())}
    log().error(Event.FILE_REFUSED, **facts, do=REMEDY[Code.NAME_TAKEN])


def is_there(folder: Folder, key: bytes, stat: Stat) -> bool:
    """Whether another file than `stat` has this key. Some file systems find one file by either spelling."""
    try:
        found = folder.stat(key)
    except NotAFile:
        return False
    if not stat.inode:
        return found != stat
    return (found.device, found.inode) != (stat.device, stat.inode)
