"""Heartbeats of the loops of this process.

They are sent by a thread, which does not wait where a loop waits (for a disk, a broker, a lock); but only
while the loop itself goes on: one that hangs is as silent as one that was stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sensorflow.core.heartbeat import EVERY, Pulse, Role
from sensorflow.errors import REMEDY, SensorflowError, Transient
from sensorflow.flow.clock import now
from sensorflow.ports.heartbeats import Heartbeats
from sensorflow.telemetry import Event, emit

PAUSED = 20.0
"""Seconds after which a pause is over that nothing has confirmed; between two tries a loop seems well."""
SILENT = 12.0
"""Seconds after which a loop that did not go on is not vouched for."""
PATIENCE = 5.0
"""Seconds between signs of life of a loop that waits."""


class Loop:
    """One loop, as it says of itself. Safe to use from several threads."""

    def __init__(self, pulse: Pulse, wake: threading.Event) -> None:
        self._pulse, self._wake = pulse, wake
        self._state: Mapping[str, Any] = pulse.state
        self._touched = self._paused_at = now()
        self._held = False

    def touch(self) -> None:
        """The loop goes on."""
        self._touched, self._held = now(), False

    def hold(self) -> None:
        """The loop waits where it cannot say so, until the next `touch`."""
        self._held = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """During a call that cannot say so: a tree is walked, a lock waited for."""
        self.hold()
        try:
            yield
        finally:
            self.touch()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Until `stop`, or so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, PATIENCE)):
            self.touch()

    def note(self, **state: Any) -> None:
        """Facts for people; a value of None removes one. Sent at once where they change."""
        told = {
            name: value for name, value in (dict(self._state) | state).items() if value is not None
        }
        self.touch()
        if told != self._state:
            self._state = told
            self._wake.set()

    def pause(self, error: SensorflowError) -> None:
        """The loop waits for something; since when is kept as long as it waits for the same."""
        before = self._state.get("paused") or {}
        same, self._paused_at = before.get("code") == error.code, now()
        since = before["since"] if same else datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"code": str(error.code), "reason": error.message, "since": since}
        self.note(paused={**facts, "do": REMEDY.get(error.code, "")})

    def resume(self, sure: bool = True) -> None:
        """The loop works again. sure: what it waited for is there; else it is only not missed now."""
        if sure or now() - self._paused_at > PAUSED:
            self.note(paused=None)

    def pulse(self) -> Pulse | None:
        """What is to be written now; None of a loop that does not go on."""
        if not self._held and now() - self._touched > SILENT:
            return None
        p = self._pulse
        return Pulse(p.role, p.host, p.pid, p.process, p.settings, dict(self._state))


class Heart:
    """process, settings: see `Pulse`. A database that is away is no concern here."""

    def __init__(
        self,
        store: Heartbeats,
        host: str,
        pid: int,
        process: str,
        settings: str,
        every: float = EVERY,
    ) -> None:
        self._store, self._every = store, every
        self._facts = (host, pid, process, settings)
        self._process = process
        self._loops: list[Loop] = []
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def loop(self, role: Role, **state: Any) -> Loop:
        """A loop of this process, before `start`."""
        made = Loop(Pulse(role, *self._facts, state), self._wake)
        self._loops.append(made)
        return made

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The process ends in order: nothing of it is left to be missed."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(Transient):
            self._store.end_beats(self._process)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for pulse in filter(None, [loop.pulse() for loop in self._loops]):
                    self._store.beat(pulse)
            except Transient:
                pass  # who works with the database reports it
            except Exception:  # noqa: BLE001 - this thread must outlive any defect
                emit(Event.DEFECT, exc_info=True)
            self._wake.wait(self._every)
            if self._stop.wait(0.1):  # not at each of many changes
                return
            self._wake.clear()
