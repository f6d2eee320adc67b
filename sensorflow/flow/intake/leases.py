"""Intake leases: if several daemons use one folder, only the daemon with the source's lease takes in files.

A separate thread renews the leases, however long a file takes. Another daemon takes over if a daemon is
suspended or disconnected for too long. The suspended daemon notices this when it registers files, because
the ledger rejects files that were read under an old lease. When this daemon acquires the lease again, it
scans the folder again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sensorflow.errors import IntakeLost, Transient
from sensorflow.flow.clock import now
from sensorflow.ports.intake import IntakeLease
from sensorflow.ports.ledger import Ledger
from sensorflow.telemetry import Event, emit

MAX_LEASE_SECONDS = 30.0
"""Maximum seconds of a lease. If a host fails, another daemon takes over within a minute."""
STANDBY_POLL_SECONDS = 2.0
"""Maximum seconds between attempts of a standby daemon to acquire a lease."""


@dataclass(frozen=True)
class _HeldLease:
    """A lease that no other process can acquire before `until`, by this host's clock."""

    lease: IntakeLease
    until: float
    renew_at: float


class Leases:
    """The intake leases of this daemon: acquires, renews and releases them.

    owner, process: see `IntakeLease`; `process` is unique to this object. has_ended: returns whether the
    process of another daemon has certainly ended.
    """

    def __init__(
        self,
        ledger: Ledger,
        sources: Sequence[str],
        owner: str,
        process: str,
        lease: float,
        has_ended: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._sources = sources
        self._owner, self._process = owner, process
        self._lease = min(lease, MAX_LEASE_SECONDS)
        self._has_ended = has_ended
        self._held_leases: dict[str, _HeldLease] = {}
        self._standing_by: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake-lease")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Release all leases, so that a standby daemon takes over at once."""
        self._stop.set()
        self._thread.join()
        for held_lease in self._held_leases.values():
            with suppress(Transient):  # then it expires by itself
                self._ledger.release_intake_lease(held_lease.lease)

    def held(self, source: str) -> IntakeLease | None:
        """Returns the last known lease of a source, or None. The lease may have been lost since: see
        `is_certain`."""
        found = self._held_leases.get(source)
        return None if found is None else found.lease

    def is_certain(self, lease: IntakeLease) -> bool:
        """Whether it is certain that no other daemon has taken over."""
        found = self._held_leases.get(lease.source)
        return found is not None and found.lease == lease and now() < found.until

    def lost(self, lease: IntakeLease) -> None:
        """Forget a lease that the ledger has rejected. Idempotent."""
        with self._lock:
            if self.held(lease.source) == lease:
                del self._held_leases[lease.source]
                self._stand_by(lease.source, "another daemon took over when the lease had ended")

    def _run(self) -> None:
        while True:
            self.keep()
            if self._stop.wait(min(STANDBY_POLL_SECONDS, self._lease / 3)):
                return

    def keep(self) -> None:
        """Acquire free leases and renew this daemon's leases. The thread calls this repeatedly."""
        try:
            for source in self._sources:
                self._keep(source)
        except Transient:
            pass  # the database is unavailable, which the intake reports; nobody can take over
        except Exception:  # noqa: BLE001 - this thread must outlive any defect
            emit(Event.DEFECT, exc_info=True)

    def _keep(self, source: str) -> None:
        at, held_lease = now(), self._held_leases.get(source)
        if held_lease is None:
            self._take(source, at)
        elif at >= held_lease.renew_at:
            try:
                self._ledger.renew_intake_lease(held_lease.lease, self._lease)
                self._hold(held_lease.lease, at)
            except IntakeLost:
                self.lost(held_lease.lease)

    def _take(self, source: str, at: float) -> None:
        ours = (source, self._owner, self._process, self._lease)
        lease = self._ledger.acquire_intake_lease(*ours)
        if lease.process != self._process and self._has_ended(lease.process):
            lease = self._ledger.acquire_intake_lease(*ours, lease.process)
        if lease.process == self._process:
            self._hold(lease, at)
            self._standing_by.discard(source)
            emit(Event.INTAKE_TAKEN, source=source)
        else:
            self._stand_by(source, f"held by {lease.owner}")

    def _hold(self, lease: IntakeLease, since: float) -> None:
        until = since + self._lease
        self._held_leases[lease.source] = _HeldLease(lease, until, renew_at=since + self._lease / 3)

    def _stand_by(self, source: str, reason: str) -> None:
        if source not in self._standing_by:
            self._standing_by.add(source)
            emit(Event.INTAKE_STANDBY, source=source, why=reason)
