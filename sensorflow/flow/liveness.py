"""A file that shows that the loops of this process make progress, for liveness probes of containers.

Unlike heartbeats, it does not need the database: an orchestrator should restart a process that hangs, and
not one that waits for a server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sensorflow.errors import Code, UsageError

INTERVAL_SECONDS = 5.0


class LivenessFile:
    """Touches a file every few seconds while `is_alive` returns True. The file's modification time shows
    when the loops last made progress."""

    def __init__(
        self, path: Path, is_alive: Callable[[], bool], every: float = INTERVAL_SECONDS
    ) -> None:
        self._path, self._is_alive, self._every = path, is_alive, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="liveness", daemon=True)

    def start(self) -> None:
        """Raises UsageError if the file cannot be written."""
        try:
            self._path.touch()
        except OSError as error:
            raise UsageError(
                f"liveness_file: {self._path}: {error.strerror}; its folder must exist and be writable",
                Code.SETTINGS,
            ) from error
        self._thread.start()

    def stop(self) -> None:
        """Stop, and remove the file."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            if self._is_alive():
                with suppress(OSError):  # a full disk: then the probe fails
                    self._path.touch()
