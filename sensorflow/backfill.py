"""Old files, from any folder, by the way of all files but in a lane of their own.

They are landed and registered a few ahead of the workers, and never touched: nothing is moved or deleted.
What was registered once is known, so that the same command goes on where it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from sensorflow.adapters.feeds.folder.drop import Folder
from sensorflow.adapters.feeds.folder.gates import Held, of
from sensorflow.adapters.feeds.folder.tree import NotAFile, Readable, StillOpen, Unreadable
from sensorflow.core.arrival import Lane, printable
from sensorflow.core.gates.announced import Announcement
from sensorflow.core.names import composed
from sensorflow.core.stability import Stat
from sensorflow.flow.land import land
from sensorflow.flow.register import register
from sensorflow.ports.intake import Kind
from sensorflow.ports.landing import Landing
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings, as_folder

LOOK = 0.5
"""Seconds between looks at how far the workers are."""


@dataclass(frozen=True)
class Window:
    """Which files: their keys against `patterns` (none: all), their modification times."""

    patterns: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, key: bytes, stat: Stat) -> bool:
        name = composed(key.decode("utf-8", "surrogateescape"))
        if self.patterns and not any(fnmatchcase(name, composed(p)) for p in self.patterns):
            return False
        modified = stat.mtime_ns / 1e9
        late = self.until is not None and modified >= self.until.timestamp()
        return not late and (self.since is None or modified >= self.since.timestamp())


@dataclass
class Progress:
    """How far it is. left_out: name -> why, of files that could not be taken."""

    registered: int = 0
    known: int = 0
    aliases: int = 0
    waiting: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        return self.registered + self.known + self.aliases + len(self.left_out)

    @property
    def finished(self) -> int:
        return max(0, self.seen - self.waiting)


class Backfill:
    """ahead: files registered and not finished at most. rate: files a second at most, None for any."""

    def __init__(
        self,
        settings: Settings,
        source: str,
        root: Path,
        window: Window,
        landing: Landing,
        ledger: Ledger,
        ahead: int = 200,
        rate: float | None = None,
    ) -> None:
        quiet = as_folder(settings.sources[source], after="keep", growing=False)
        self._folder = Folder(source, root.resolve(), quiet, Path())
        self._settings = settings
        self._window = window
        self._landing = landing
        self._ledger = ledger
        self._ahead = ahead
        self._pause = 0.0 if rate is None else 1.0 / rate
        self._gates = of(self._folder, ledger)
        self.progress = Progress()

    def files(self) -> Iterator[tuple[bytes, Stat]]:
        """What is to be taken. Raises Transient STORAGE."""
        for key, stat in self._folder.scan():
            if self._window.takes(key, stat):
                yield key, stat

    def run(self, told: Callable[[Progress], None]) -> None:
        """Take all files and wait for the workers; `told` is called often. Raises Transient."""
        if self._gates is not None:
            self._gates.look()
            self._gates.present(self._folder.scan())
        for key, stat in self.files():
            self._wait(self._ahead - 1, told)
            self._take(key, stat)
            told(self.progress)
            time.sleep(self._pause)
        self._wait(0, told, fresh=True)

    def _wait(self, most: int, told: Callable[[Progress], None], fresh: bool = False) -> None:
        """Until no more than `most` files of the lane are unfinished."""
        p = self.progress
        if not fresh and p.registered % 20:
            return
        while True:
            p.waiting = self._ledger.unfinished(Lane.BACKFILL)
            told(p)
            if p.waiting <= most:
                return
            time.sleep(LOOK)

    def _take(self, key: bytes, stat: Stat) -> None:
        p = self.progress
        try:
            kind = self._register(key, stat)
        except (NotAFile, StillOpen, PermissionError, Unreadable, _Waits) as error:
            p.left_out[printable(key)] = _reason(error)
            return
        p.known += kind is Kind.SEEN
        p.aliases += kind is Kind.ALIAS
        p.registered += kind is Kind.NEW

    def _register(self, key: bytes, stat: Stat) -> Kind:
        name, discovered = self._folder.name, datetime.now(UTC)
        if self._ledger.seen(name, key, stat.fingerprint):
            return Kind.SEEN
        said = self._announced(key, stat)
        with self._folder.open(key) as stream:
            landed = land(self._landing, Readable(stream), lambda: self._folder.stat_of(stream))
        if landed is None:
            raise StillOpen
        now, lane = datetime.now(UTC), Lane.BACKFILL
        return register(
            self._ledger, self._settings, name, key, *landed, discovered, now, lane, said
        ).kind

    def _announced(self, key: bytes, stat: Stat) -> Announcement | None:
        """What the file's gate says, where the source has gates: old files have theirs beside them."""
        if self._gates is None:
            return None
        found = self._gates.admit(key, stat)
        if isinstance(found, Held):
            raise _Waits(found.why)
        return found.announcement


class _Waits(Exception):
    """The file's gate is not there."""


def _reason(error: Exception) -> str:
    if isinstance(error, StillOpen):
        return "it is being written"
    if isinstance(error, PermissionError):
        return "it may not be read"
    return str(error) or type(error).__name__
