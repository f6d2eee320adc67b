"""Applies changes of the settings files to the running stack."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli.show import line
from sensorflow.cli.up.stack import Stack
from sensorflow.errors import Transient, UsageError

if TYPE_CHECKING:
    from sensorflow.settings import Settings

RETRY_SECONDS = 3.0
"""Seconds between attempts to apply a change that has failed."""

RESTART = "{} edited: daemon, workers and beat are restarting with the new settings"


class Edits:
    """Applies changes of sensorflow.toml and its profile files to the running stack.

    If a change cannot be applied, the stack continues with the previous settings, and the reason is printed
    once. The change is retried every `RETRY_SECONDS` seconds, because the cause may be outside the files,
    such as a missing folder or an unavailable database.
    """

    def __init__(self, path: Path | None, settings: Settings) -> None:
        self._path = path
        self._seen = self._stamps(settings)
        self._next = 0.0
        self._refused = ""
        self._edited: list[str] = []

    def _stamps(self, settings: Settings) -> dict[Path, tuple[int, int, int] | None]:
        """Returns a stamp of sensorflow.toml and of each profile file, by path. The stamp of a file changes
        if the file changes; it is None if the file is missing."""
        paths = [*([self._path] if self._path else []), *settings.profile_files.values()]
        return {path: _stamp(path) for path in paths}

    def apply(self, running: Stack) -> bool:
        """Apply changes of the files since the last call. Returns whether new settings were applied."""
        now = self._stamps(running.settings)
        edited = [path.name for path, stamp in now.items() if stamp != self._seen.get(path)]
        if not edited and not (self._refused and time.monotonic() >= self._next):
            return False
        if edited and not self._refused and running.as_copied():
            self._seen = (
                now  # only the mtime has changed, or the last change added the profile file
            )
            return False
        if edited:
            self._refused, self._edited = "", edited
        self._seen, self._next = now, time.monotonic() + RETRY_SECONDS
        try:
            running.apply()
        except Exception as error:  # noqa: BLE001 - no edit may end the running stack
            known = isinstance(error, UsageError | Transient)
            what = " ".join(str(error).split())[:300]
            reason = str(error) if known else f"{type(error).__name__}: {what}"
            if reason != self._refused:
                line(f"{reason}\nthe stack continues with its previous settings")
                sys.stdout.flush()
            self._refused = reason
            return False
        self._refused = ""
        line(RESTART.format(", ".join(self._edited)))
        sys.stdout.flush()
        return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
