"""inotify, by way of watchdog: the fast path, which may lose events. The rescan is the guarantee."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver

from sensorflow.adapters.feeds.folder import HOLD, Folder

OnFile = Callable[[Folder, bytes], None]
OnDoubt = Callable[[str], None]


class _Handler(FileSystemEventHandler):
    def __init__(self, folder: Folder, on_file: OnFile, on_doubt: OnDoubt) -> None:
        self._folder = folder
        self._on_file = on_file
        self._on_doubt = on_doubt

    def dispatch(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileClosedEvent):
            self._file(event.src_path)
        elif isinstance(event, FileMovedEvent) and event.dest_path:
            self._file(event.dest_path)
        elif os.fsencode(event.src_path).endswith(b"/" + HOLD):
            return  # our own, for files that are being put away
        elif isinstance(event, DirMovedEvent | DirCreatedEvent):
            self._on_doubt("")  # files may have come with it, before it was watched

    def _file(self, path: bytes | str) -> None:
        key = self._folder.key_of(os.fsencode(path))
        if key is not None and self._folder.takes(key):
            self._on_file(self._folder, key)


class _Overflow(logging.Handler):
    """watchdog tells of lost events in its log, and nowhere else."""

    def __init__(self, on_doubt: OnDoubt) -> None:
        super().__init__(logging.WARNING)
        self._on_doubt = on_doubt

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._on_doubt("the inotify queue overflowed")


class Watch:
    """Tells of files that were closed after writing, or renamed in.

    on_file and on_doubt are called in watchdog's thread. on_doubt: events may have been lost, with a
    reason for the log unless that is usual; look at everything again.
    """

    def __init__(self, on_file: OnFile, on_doubt: OnDoubt) -> None:
        self._on_file = on_file
        self._on_doubt = on_doubt
        self._observer = InotifyObserver(generate_full_events=True)
        self._overflow = _Overflow(on_doubt)

    def start(self, folders: list[Folder]) -> None:
        """Raises OSError when the kernel has no watches left."""
        logging.getLogger("watchdog").addHandler(self._overflow)
        self._observer.start()
        for folder in folders:
            handler = _Handler(folder, self._on_file, self._on_doubt)
            self._observer.schedule(handler, os.fspath(folder.root), recursive=True)

    def stop(self) -> None:
        logging.getLogger("watchdog").removeHandler(self._overflow)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(5)
