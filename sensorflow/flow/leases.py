"""Keep what this process holds while it works: files by their leases, messages by the broker's patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

from sensorflow import threads
from sensorflow.errors import Fenced, Transient
from sensorflow.ports.claims import Claim, Claims
from sensorflow.telemetry import Event, emit

Renew = Callable[[float], object]
"""Keeps something for so many seconds from now on. May raise Transient, or Fenced when it is lost."""
Hold = Callable[[Sequence[Claim]], object]
"""Takes the claims that this process holds from now on, none of them any more: for whoever watches it from
outside. Must not raise."""


Lose = Callable[[int], object]
"""Takes the id of a file whose lease is found to be lost. Called in another thread; must not raise."""
Lost = Callable[[Claim], bool]
"""Whether the lease of a claim is known to be lost: the file may be another worker's."""


def unwatched(_claims: Sequence[Claim]) -> None:
    """Nobody watches."""


def unheard(_file_id: int) -> None:
    """Nobody wants to know."""


class LeaseKeeper:
    """Renews what this process holds every third of `lease` (seconds), in one thread, until it is closed.

    A renewal that fails for want of the ledger is tried again; a lost lease is not renewed any more, and
    the work ends at its next block. Raises Transient HOST where there is no thread to be had.
    """

    def __init__(self, lease: float, hold: Hold = unwatched, lose: Lose = unheard) -> None:
        self._lease, self._hold, self._lose = lease, hold, lose
        self._numbers = count()
        self._held: dict[int, tuple[Renew, float]] = {}
        """And when each is due."""
        self._closed = False
        self._change = threading.Condition()
        self._thread = threads.start(self._run)

    def __enter__(self) -> LeaseKeeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """A renewal that goes on is waited for."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()

    @contextmanager
    def claims(self, ledger: Claims, claims: Sequence[Claim]) -> Iterator[Lost]:
        """See `process.Keep`."""
        lost: set[int] = set()

        def renew(claim: Claim, seconds: float) -> None:
            try:
                ledger.renew(claim, seconds)
            except Fenced:
                lost.add(claim.file_id)
                self._lose(claim.file_id)
                raise

        self._hold(claims)
        try:
            with self.keep([partial(renew, claim) for claim in claims]):
                yield lambda claim: claim.file_id in lost
        finally:
            self._hold(())

    @contextmanager
    def keep(self, renewals: Sequence[Renew]) -> Iterator[None]:
        """Each is called with the seconds of a lease, again and again as long as the context lasts."""
        due = time.monotonic() + self._lease / 3
        with self._change:
            mine = {next(self._numbers): (renew, due) for renew in renewals}
            self._held |= mine
            self._change.notify()
        try:
            yield
        finally:
            with self._change:
                for number in mine:
                    self._held.pop(number, None)

    def _run(self) -> None:
        while True:
            try:
                found = self._due()
                if self._closed:
                    return
                for number, renew in found:
                    self._renew(number, renew)
            except Exception:  # noqa: BLE001 - without it every file would be lost
                emit(Event.DEFECT, exc_info=True)
                time.sleep(1.0)

    def _due(self) -> list[tuple[int, Renew]]:
        """Waits until there are any, or it is closed."""
        with self._change:
            while True:
                now = time.monotonic()
                found = [
                    (number, renew) for number, (renew, due) in self._held.items() if due <= now
                ]
                if found or self._closed:
                    return found
                first = min((due for _, due in self._held.values()), default=None)
                self._change.wait(None if first is None else first - now)

    def _renew(self, number: int, renew: Renew) -> None:
        lost = False
        try:
            renew(self._lease)
        except Fenced:
            lost = True
        except Transient:
            pass
        with self._change:
            if lost:
                self._held.pop(number, None)
            elif number in self._held:
                self._held[number] = renew, time.monotonic() + self._lease / 3
