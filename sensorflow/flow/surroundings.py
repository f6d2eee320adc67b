"""Measures the broker, the disk and the sizes of stored files, which the ledger does not contain. Each is
measured in a thread of its own, so that none delays the others."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from sensorflow import threads
from sensorflow.core.disk_forecast import DiskForecast
from sensorflow.errors import Code, SensorflowError, Transient
from sensorflow.flow.fleet_samples import Surroundings
from sensorflow.telemetry import Event, emit

QUEUES_SECONDS = 10.0
"""Seconds between two measurements of the queues."""
DISK_SECONDS = 10.0
ZONES_SECONDS = 300.0
"""Seconds between two measurements of the sizes of stored files."""

Walk = Callable[[Callable[[float], bool]], int | None]
"""A function that measures the size of a zone, see `adapters.local.volumes.size`."""


class SurroundingsWatch:
    """Measures the broker, the disk and the zones repeatedly. `current` returns the latest measurements.

    depths: returns name of a queue -> number of messages. free: returns the free bytes of the disk. zones:
    name of a zone -> function that measures its size.
    """

    def __init__(
        self,
        depths: Callable[[], Mapping[str, int]],
        free: Callable[[], int],
        zones: Mapping[str, Walk],
    ) -> None:
        self._depths, self._free, self._zones = depths, free, zones
        self._forecast = DiskForecast()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._now = Surroundings()
        self.broker_error: str | None = "the broker has not been asked yet"
        """Why the broker does not answer, or None if it does."""

    def current(self) -> Surroundings:
        return self._now

    def start(self) -> None:
        """Start the threads."""
        every = (
            *((self.look_at_queues, QUEUES_SECONDS), (self.look_at_disk, DISK_SECONDS)),
            (self.look_at_zones, ZONES_SECONDS),
        )
        for look, seconds in every:
            threading.Thread(target=self._run, args=(look, seconds), daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self, look: Callable[[], None], seconds: float) -> None:
        while not self._stop.is_set():
            try:
                look()
            except Exception:  # noqa: BLE001 - this thread must outlive any defect
                emit(Event.DEFECT, exc_info=True)
            self._stop.wait(seconds)

    def look_at_queues(self, limit_seconds: float | None = None) -> None:
        """Measure the queues. limit_seconds: seconds after which a broker that does not answer counts as
        unavailable; None to wait as long as its driver does."""
        try:
            depths = self._depths() if limit_seconds is None else self._depths_within(limit_seconds)
            found: Mapping[str, int] | None = dict(depths)
            self.broker_error = None
        except SensorflowError as error:
            found, self.broker_error = None, str(error)
        self._put(queues=found)

    def _depths_within(self, seconds: float) -> Mapping[str, int]:
        """Return the depths. Raises Transient BROKER if the broker does not answer within `seconds`
        seconds. In this case, a daemon thread continues to wait, and its result is discarded."""
        answers: queue.SimpleQueue[Mapping[str, int] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._depths())
            except Exception as error:  # noqa: BLE001 - it is raised below
                answers.put(error)

        threads.start(ask)
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            reason = f"the broker has not answered for {seconds:g} s"
            raise Transient(Code.BROKER, reason) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def look_at_disk(self) -> None:
        try:
            free = self._free()
        except OSError:
            self._put(free=None, full=None)
            return
        self._put(free=free, full=self._forecast.add(time.monotonic(), free))

    def look_at_zones(self, at_once: bool = False) -> None:
        """Measure all zones. at_once: whether to measure without pauses."""
        for name, walk in self._zones.items():
            size = walk(_no_rest if at_once else self._stop.wait)
            if size is not None:
                self._put(zones={**self._now.zones, name: size})

    def _put(self, **facts: object) -> None:
        with self._lock:
            self._now = replace(self._now, **facts)  # type: ignore[arg-type]


def _no_rest(_seconds: float) -> bool:
    return False
