"""Load old files from any folder. They pass through the same pipeline, but in the backfill lane.

A backfill lands and registers only as many files as the workers can process soon. It reads the originals,
but never moves or deletes them. It skips registered files, so after a kill the same command continues where
it stopped.

A backfill uses `land` and `register` like the intake, but has a loop of its own. The intake's loop never
ends, holds leases, retries after failures, offers files again and acknowledges them. A backfill needs none
of this, because it waits for the workers after each file anyway (docs/decisions/0031).
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

POLL_SECONDS = 0.5
"""Seconds between checks of the workers' progress."""


@dataclass(frozen=True)
class Window:
    """Selects the files to load by key and modification time. patterns: a key must match one of these
    patterns; if there are none, all keys are selected."""

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
    """The progress of a backfill, as numbers of files. known: files that were registered before. entry:
    registered files that are not finished. skipped: name of each file that could not be registered -> the
    reason."""

    registered: int = 0
    known: int = 0
    aliases: int = 0
    entry: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        return self.registered + self.known + self.aliases + len(self.skipped)

    @property
    def finished(self) -> int:
        return max(0, self.seen - self.entry)


class Backfill:
    """Registers files at the pace of the workers.

    max_unfinished: maximum number of registered files that are not finished. rate: maximum number of files
    per second; None for no limit.
    """

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        window: Window,
        landing: Landing,
        ledger: Ledger,
        max_unfinished: int = 200,
        rate: float | None = None,
    ) -> None:
        self._settings, self._feed = settings, feed
        self._window = window
        self._landing = landing
        self._ledger = ledger
        self._max_unfinished = max_unfinished
        self._pause = 0.0 if rate is None else 1.0 / rate
        self.progress = Progress()

    def files(self) -> Iterator[Candidate]:
        """Yield the files to load. Raises Transient STORAGE."""
        return filter(self._window.takes, self._feed.scan())

    def run(self, on_progress: Callable[[Progress], None]) -> None:
        """Register all files and wait until the workers have finished. Calls `on_progress` often. Raises
        Transient."""
        self._feed.treat_all_as_complete()
        for file in self.files():
            self._wait(self._max_unfinished - 1, on_progress)
            self._take(file)
            on_progress(self.progress)
            time.sleep(self._pause)
        self._wait(0, on_progress, is_first=True)

    def _wait(
        self, limit: int, on_progress: Callable[[Progress], None], is_first: bool = False
    ) -> None:
        """Wait until no more than `limit` files of the lane are unfinished."""
        p = self.progress
        if not is_first and p.registered % 20:
            return
        while True:
            p.entry = self._ledger.unfinished(Lane.BACKFILL, self._feed.name)
            on_progress(p)
            if p.entry <= limit:
                return
            time.sleep(POLL_SECONDS)

    def _take(self, file: Candidate) -> None:
        p = self.progress
        try:
            kind = self._register(file)
        except FeedError as error:
            p.skipped[printable(file.key)] = _reason(error)
            return
        p.known += kind is Kind.SEEN
        p.aliases += kind is Kind.ALIAS
        p.registered += kind is Kind.NEW

    def _register(self, file: Candidate) -> Kind:
        discovered = datetime.now(UTC)
        if self._ledger.seen(file.source, file.key, file.revision):
            return Kind.SEEN
        self._feed.admit(file)  # the gates of old files are in the same folder
        announcement = self._feed.announcement(file)
        with self._feed.open(file) as opened:
            landed = land(self._landing, opened)
        if landed is None:
            raise Busy("the file changed while it was read")
        bytes_, state = landed
        times = (discovered, datetime.now(UTC))
        found = Found(state, bytes_, *times, Lane.BACKFILL, announcement)
        return register(self._ledger, self._settings, found).kind


def _reason(error: FeedError) -> str:
    if isinstance(error, Busy):
        return "it is being written"
    if isinstance(error, Denied):
        return "access to it is denied"
    return str(error) or type(error).__name__
