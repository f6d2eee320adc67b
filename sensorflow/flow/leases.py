"""Keep the leases of files and the deliveries of messages alive while this process works on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

from sensorflow import threads
from sensorflow.errors import Fenced, Transient
from sensorflow.flow.meter import Meter
from sensorflow.ports.claims import Claim, Claims, ReadSoFar
from sensorflow.telemetry import Event, emit

Renew = Callable[[float], object]
"""Extends a lease or a delivery to this many seconds from now. May raise Transient. Raises Fenced
if the lease is lost."""
Hold = Callable[[Sequence[Claim]], object]
"""Takes all claims that this process has from now on; an empty sequence if it has none. Used by a
watchdog outside the process. Must not raise."""


Lose = Callable[[int], object]
"""Takes the id of a file whose lease is found to be lost. Called in another thread; must not raise."""
Note = Callable[[Claim, ReadSoFar], object]
"""Takes how far a file was read, with each renewal of its lease. Called in another thread; must not
raise."""
Lost = Callable[[Claim], bool]
"""Returns whether the lease of a claim is known to be lost, so that another worker may have claimed the
file."""


class Watched:
    """The claims whose leases a `LeaseKeeper` renews. Implements `Lost`. meters: file id -> how far
    the file was read, recorded with each renewal."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.meters = {claim.file_id: Meter() for claim in claims}
        self.lost: set[int] = set()

    def __call__(self, claim: Claim) -> bool:
        return claim.file_id in self.lost


def unwatched(_claims: Sequence[Claim]) -> None:
    """Do nothing, because no watchdog is attached."""


def unheard(_file_id: int) -> None:
    """Do nothing, because no watchdog needs to know of lost leases."""


def unnoted(_claim: Claim, _read: ReadSoFar) -> None:
    """Do nothing, because nobody but the ledger shows progress."""


class LeaseKeeper:
    """Renews the leases of this process in one thread, until it is closed. lease: duration of a
    lease in seconds; it is renewed after a third of this time.

    A renewal is repeated if it fails because the ledger is unavailable. A lost lease is not renewed
    any more, and the work on its file ends at the next block. hold, lose, note: see the types of these
    names. Raises Transient HOST if no thread can be started.
    """

    def __init__(
        self,
        lease: float,
        hold: Hold = unwatched,
        lose: Lose = unheard,
        note: Note = unnoted,
    ) -> None:
        self._lease, self._hold, self._lose, self._note = lease, hold, lose, note
        self._numbers = count()
        self._held: dict[int, tuple[Renew, float]] = {}
        """Number of a renewal -> the renewal, and the time at which it is due."""
        self._closed = False
        self._change = threading.Condition()
        self._thread = threads.start(self._run)

    def __enter__(self) -> LeaseKeeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop renewing. Waits for a renewal that is in progress."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()

    @contextmanager
    def keep_claims(self, ledger: Claims, claims: Sequence[Claim]) -> Iterator[Lost]:
        """Renew the leases of claims until the context exits, see `process.KeepLeases`."""
        watched = Watched(claims)

        def renew(claim: Claim, seconds: float) -> None:
            try:
                read = watched.meters[claim.file_id].read()
                ledger.renew(claim, seconds, read)
                if read is not None:
                    self._note(claim, read)
            except Fenced:
                watched.lost.add(claim.file_id)
                self._lose(claim.file_id)
                raise

        self._hold(claims)
        try:
            with self.keep([partial(renew, claim) for claim in claims]):
                yield watched
        finally:
            self._hold(())

    @contextmanager
    def keep(self, renewals: Sequence[Renew]) -> Iterator[None]:
        """Call each renewal repeatedly until the context exits. A renewal takes the duration of a
        lease in seconds."""
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
                found = self._next_due()
                if self._closed:
                    return
                for number, renew in found:
                    self._renew(number, renew)
            except Exception:  # noqa: BLE001 - without this thread, every lease would be lost
                emit(Event.DEFECT, exc_info=True)
                time.sleep(1.0)

    def _next_due(self) -> list[tuple[int, Renew]]:
        """Wait until renewals are due or the keeper is closed; returns the due ones."""
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
