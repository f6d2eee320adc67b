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
"""A function that extends a lease or a delivery. It is called with the number of seconds from now until the
new end. It may raise Transient. It raises Fenced if the lease is lost."""
OnClaims = Callable[[Sequence[Claim]], object]
"""A function that is called with all claims of this process whenever they change. The sequence is empty if
the process has no claims. A watchdog outside the process uses it. It must not raise."""


OnLost = Callable[[int], object]
"""A function that is called with the id of a file as soon as the file's lease is found to be lost. It is
called in another thread and must not raise."""
Note = Callable[[Claim, ReadSoFar], object]
"""A function that is called with the progress of a file at each renewal of its lease. It is called in
another thread and must not raise."""
IsLost = Callable[[Claim], bool]
"""A function that returns whether the lease of a claim is known to be lost, so that another worker may have
claimed the file."""


class Watched:
    """The claims whose leases a `LeaseKeeper` renews. Implements `IsLost`. meters: file id -> meter of the
    file, whose progress is recorded with each renewal."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.meters = {claim.file_id: Meter() for claim in claims}
        self.lost: set[int] = set()

    def __call__(self, claim: Claim) -> bool:
        return claim.file_id in self.lost


def ignore_claims(_claims: Sequence[Claim]) -> None:
    """Do nothing, because no watchdog is attached."""


def ignore_lost(_file_id: int) -> None:
    """Do nothing, because no watchdog needs to know of lost leases."""


def unnoted(_claim: Claim, _read: ReadSoFar) -> None:
    """Do nothing, because only the ledger needs the progress."""


class LeaseKeeper:
    """Renews the leases of this process in one thread, until it is closed. lease: duration of a lease in
    seconds; it is renewed after a third of this time.

    If a renewal fails because the ledger is unavailable, it is repeated. If a lease is lost, it is not
    renewed any more, and the work on its file ends at the next block. on_claims, on_lost, note: see
    `OnClaims`, `OnLost` and `Note`. Raises Transient HOST if no thread can be started.
    """

    def __init__(
        self,
        lease: float,
        on_claims: OnClaims = ignore_claims,
        on_lost: OnLost = ignore_lost,
        note: Note = unnoted,
    ) -> None:
        self._lease, self._on_claims, self._on_lost, self._note = lease, on_claims, on_lost, note
        self._numbers = count()
        self._leases: dict[int, tuple[Renew, float]] = {}
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
    def keep_claims(self, ledger: Claims, claims: Sequence[Claim]) -> Iterator[IsLost]:
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
                self._on_lost(claim.file_id)
                raise

        self._on_claims(claims)
        try:
            with self.keep([partial(renew, claim) for claim in claims]):
                yield watched
        finally:
            self._on_claims(())

    @contextmanager
    def keep(self, renewals: Sequence[Renew]) -> Iterator[None]:
        """Call each renewal repeatedly until the context exits. Its argument is the duration of a lease in
        seconds."""
        renew_at = time.monotonic() + self._lease / 3
        with self._change:
            mine = {next(self._numbers): (renew, renew_at) for renew in renewals}
            self._leases |= mine
            self._change.notify()
        try:
            yield
        finally:
            with self._change:
                for number in mine:
                    self._leases.pop(number, None)

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
        """Wait until renewals are due or the keeper is closed. Returns the renewals that are due."""
        with self._change:
            while True:
                now = time.monotonic()
                found = [
                    (number, renew)
                    for number, (renew, renew_at) in self._leases.items()
                    if renew_at <= now
                ]
                if found or self._closed:
                    return found
                first = min((renew_at for _, renew_at in self._leases.values()), default=None)
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
                self._leases.pop(number, None)
            elif number in self._leases:
                self._leases[number] = renew, time.monotonic() + self._lease / 3
