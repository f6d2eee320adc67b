"""Heartbeats of the loops of this process.

A separate thread sends the heartbeats, so they continue while a loop waits for a disk, a broker or a lock.
The heartbeats of a loop stop if the loop makes no progress, whether it hangs or has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sensorflow import waiting
from sensorflow.core.heartbeat import INTERVAL_SECONDS, LoopReport, Role
from sensorflow.errors import REMEDY, Code, SensorflowError, Transient
from sensorflow.flow.clock import now
from sensorflow.flow.liveness import LivenessFile
from sensorflow.ports.heartbeats import Heartbeats
from sensorflow.telemetry import Event, emit

PAUSE_EXPIRES_SECONDS = 20.0
"""A call of `resume` without confirmation ends a pause only if the last error occurred at least this number
of seconds ago. Until then, the loop may be between two failing attempts."""
MAX_SILENCE_SECONDS = 12.0
"""Seconds after which no heartbeat is sent for a loop that makes no progress. A loop that waits for a
server is reported as paused."""
TOUCH_SECONDS = 5.0
"""Seconds between the progress reports of a waiting loop."""


class LoopStatus:
    """The status of one loop, which the loop itself updates. Safe to use from several threads."""

    def __init__(self, report: LoopReport, wake: threading.Event) -> None:
        self._report, self._wake = report, wake
        self._state: Mapping[str, Any] = report.state
        self._touched = self._paused_at = now()
        self._in_long_call = False
        self._thread = threading.get_ident()

    @property
    def role(self) -> Role:
        return self._report.role

    def touch(self) -> None:
        """Report progress."""
        self._touched, self._in_long_call = now(), False
        self._thread = threading.get_ident()

    def begin_long_call(self) -> None:
        """Begin a long call that cannot report progress. The call ends at the next `touch`."""
        self._in_long_call = True

    @contextmanager
    def long_call(self) -> Iterator[None]:
        """Returns a context manager for a long call that cannot report progress, such as a directory scan
        or a wait for a lock."""
        self.begin_long_call()
        try:
            yield
        finally:
            self.touch()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait until `stop` is set, but at most `seconds`. Reports progress in the meantime."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, TOUCH_SECONDS)):
            self.touch()

    def set_facts(self, **state: Any) -> None:
        """Update the status fields of the heartbeat; a value of None removes the field. A change is sent at
        once."""
        facts = {
            name: value for name, value in (dict(self._state) | state).items() if value is not None
        }
        self.touch()
        if facts != self._state:
            self._state = facts
            self._wake.set()

    def pause(self, error: SensorflowError) -> None:
        """Report that the loop waits because of an error. Further reports of the same error do not change
        the start time of the pause."""
        before = self._state.get("paused") or {}
        same, self._paused_at = before.get("code") == error.code, now()
        since = before["since"] if same else datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"code": str(error.code), "reason": error.message, "since": since}
        self.set_facts(paused={**facts, "do": error.remedy})

    def resume(self, is_confirmed: bool = True) -> None:
        """Report that the loop works again. is_confirmed: True if the cause of the pause is known to be
        gone; False if the loop has only run once without an error, see `PAUSE_EXPIRES_SECONDS`."""
        if is_confirmed or now() - self._paused_at > PAUSE_EXPIRES_SECONDS:
            self.set_facts(paused=None)

    def report(self) -> LoopReport | None:
        """Returns the heartbeat to record now, or None if the loop makes no progress and does not wait
        for a server."""
        silence = now() - self._touched
        state = dict(self._state)
        if not self._in_long_call and silence > MAX_SILENCE_SECONDS:
            if (code := waiting.awaited(self._thread)) is None:
                return None
            state["paused"] = _unanswered(code, silence)
        p = self._report
        return LoopReport(p.role, p.host, p.pid, p.process, p.settings, state)


def _unanswered(code: Code, seconds: float) -> dict[str, str]:
    """Returns the pause of a loop that waits for a server, as in `LoopStatus.pause`."""
    reason = f"the {waiting.SERVERS[code]} has not answered for {seconds:.0f} s"
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    facts = {"reason": reason, "since": since.isoformat(timespec="seconds")}
    return {"code": str(code), **facts, "do": REMEDY.get(code, "")}


class HeartbeatSender:
    """Sends the heartbeats of this process. process, settings: see `LoopReport`. Continues after outages of
    the database. liveness_file: see `flow.liveness`. state: status fields of all loops."""

    def __init__(
        self,
        store: Heartbeats,
        host: str,
        pid: int,
        process: str,
        settings: str,
        every: float = INTERVAL_SECONDS,
        liveness_file: Path | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._store, self._every, self._state = store, every, dict(state or {})
        self._facts = (host, pid, process, settings)
        self._process = process
        self._loops: list[LoopStatus] = []
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._liveness = LivenessFile(liveness_file, self.is_alive) if liveness_file else None

    def add_loop(self, role: Role, **state: Any) -> LoopStatus:
        """Add a loop of this process, and return its status. Call this before `start`."""
        status = LoopStatus(LoopReport(role, *self._facts, self._state | state), self._wake)
        self._loops.append(status)
        return status

    def is_alive(self) -> bool:
        """Returns whether all loops make progress."""
        return all(loop.report() is not None for loop in self._loops)

    def start(self) -> None:
        """Raises UsageError if the liveness file cannot be written."""
        if self._liveness is not None:
            self._liveness.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop sending. Call this at the regular end of the process. Removes the heartbeats of the process,
        so that it is not reported as missing."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._liveness is not None:
            self._liveness.stop()
        with suppress(Transient):
            self._store.remove_reports(self._process)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for report in filter(None, [loop.report() for loop in self._loops]):
                    self._store.record_report(report)
            except Transient:
                pass  # the loops that use the database report this
            except Exception:  # noqa: BLE001 - this thread must outlive any defect
                emit(Event.DEFECT, exc_info=True)
            self._wake.wait(self._every)
            if self._stop.wait(0.1):  # combine changes in quick succession
                return
            self._wake.clear()
