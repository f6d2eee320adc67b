"""Old files, from any folder, by the way of all files but in a lane of their own.

They are landed and registered a few ahead of the workers, and never touched: nothing is moved or deleted.
What was registered once is known, so that the same command goes on where it was killed.

It shares `land` and `register` with the intake, and not its loop, which never ends, has leases, waits out
troubles, offers again and acknowledges: nothing of that is wanted here, and each file waits for the workers
anyway (docs/decisions/0031).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from sensorflow.core.arrival import Lane, printable
from sensorflow.core.names import composed
from sensorflow.flow.land import land
from sensorflow.flow.landing import Landing
from sensorflow.flow.register import Found, register
from sensorflow.ports.feed import Busy, Candidate, Denied, Feed, FeedError
from sensorflow.ports.intake import Kind
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings

LOOK = 0.5
"""Seconds between looks at how far the workers are."""


@dataclass(frozen=True)
class Window:
    """Which files: their keys against `patterns` (none: all), their modification times."""

    patterns: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, file: Candidate) -> bool:
        name = composed(file.key.decode("utf-8", "surrogateescape"))
        if self.patterns and not any(fnmatchcase(name, composed(p)) for p in self.patterns):
            return False
        modified = file.modified_ns / 1e9
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
        feed: Feed,
        window: Window,
        landing: Landing,
        ledger: Ledger,
        ahead: int = 200,
        rate: float | None = None,
    ) -> None:
        self._settings, self._feed = settings, feed
        self._window = window
        self._landing = landing
        self._ledger = ledger
        self._ahead = ahead
        self._pause = 0.0 if rate is None else 1.0 / rate
        self.progress = Progress()

    def files(self) -> Iterator[Candidate]:
        """What is to be taken. Raises Transient STORAGE."""
        return filter(self._window.takes, self._feed.scan())

    def run(self, told: Callable[[Progress], None]) -> None:
        """Take all files and wait for the workers; `told` is called often. Raises Transient."""
        self._feed.survey()
        for file in self.files():
            self._wait(self._ahead - 1, told)
            self._take(file)
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

    def _take(self, file: Candidate) -> None:
        p = self.progress
        try:
            kind = self._register(file)
        except FeedError as error:
            p.left_out[printable(file.key)] = _reason(error)
            return
        p.known += kind is Kind.SEEN
        p.aliases += kind is Kind.ALIAS
        p.registered += kind is Kind.NEW

    def _register(self, file: Candidate) -> Kind:
        discovered = datetime.now(UTC)
        if self._ledger.seen(file.source, file.key, file.revision):
            return Kind.SEEN
        self._feed.admit(file)  # old files have their gates beside them
        said = self._feed.announcement(file)
        with self._feed.open(file) as opened:
            landed = land(self._landing, opened)
        if landed is None:
            raise Busy("the file changed while it was read")
        bytes_, state = landed
        times = (discovered, datetime.now(UTC))
        found = Found(state, bytes_, *times, Lane.BACKFILL, said)
        return register(self._ledger, self._settings, found).kind


def _reason(error: FeedError) -> str:
    if isinstance(error, Busy):
        return "it is being written"
    if isinstance(error, Denied):
        return "it may not be read"
    return str(error) or type(error).__name__
