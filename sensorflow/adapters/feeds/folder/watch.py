"""Watches drop folders by inotify, with the package watchdog. If events are lost, the rescan finds the
files."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.inotify import InotifyFullEmitter
from watchdog.observers.inotify_c import InotifyConstants

from sensorflow.adapters.feeds.folder.drop import STAGING, DropFolder
from sensorflow.adapters.feeds.folder.tree import identity

OnFile = Callable[[bytes], None]
OnDoubt = Callable[[str], None]


WATCHED_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    DirMovedEvent,
    DirCreatedEvent,
]


class _Emitter(InotifyFullEmitter):
    """An emitter of watchdog that subscribes only to the events of arriving files.

    Events of files that are moved away are excluded. watchdog would delay such an event, and all events
    behind it, by half a second, because it waits for the matching arrival. A disposed file has no matching
    arrival, so it would delay the next file.
    """

    def get_event_mask_from_filter(self) -> Any:
        return super().get_event_mask_from_filter() & ~InotifyConstants.IN_MOVED_FROM


class _Handler(FileSystemEventHandler):
    """Passes the events of a watched folder to the feed. root: path of the folder, with links resolved."""

    def __init__(self, folder: DropFolder, root: str, on_file: OnFile, on_doubt: OnDoubt) -> None:
        self._folder = folder
        self._prefix = os.fsencode(root).rstrip(b"/") + b"/"
        self._on_file = on_file
        self._on_doubt = on_doubt

    def dispatch(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileClosedEvent):
            self._file(event.src_path)
        elif isinstance(event, FileMovedEvent) and event.dest_path:
            self._file(event.dest_path)
        elif os.path.basename(os.fsencode(event.src_path)).startswith(STAGING):  # noqa: PTH119
            return  # a staging folder of files that are being disposed
        elif isinstance(event, DirMovedEvent | DirCreatedEvent):
            self._on_doubt("")  # the folder may contain files that arrived before the watch began

    def _file(self, path: bytes | str) -> None:
        raw = os.fsencode(path)
        key = raw.removeprefix(self._prefix)
        if key != raw and (self._folder.takes(key) or self._folder.is_gate(key)):
            self._on_file(key)


class _Overflow(logging.Handler):
    """A log handler that detects lost events, because watchdog reports them only in its log."""

    def __init__(self, on_doubt: OnDoubt) -> None:
        super().__init__(logging.WARNING)
        self._on_doubt = on_doubt

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._on_doubt("the inotify queue overflowed")


RETRY = 30.0
"""Seconds until the next attempt to watch a folder that could not be watched."""


@dataclass
class _WatchedFolder:
    """The state of a watched folder. watch: None if the folder could not be watched. root: device and inode
    of the folder. places: the subfolders at the last scan. retry: time of the next attempt to watch the
    folder, in monotonic seconds. reason: why the folder could not be watched."""

    on_file: OnFile
    on_doubt: OnDoubt
    watch: ObservedWatch | None = None
    root: tuple[int, int] | None = None
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    retry: float = 0.0
    reason: str = ""


class InotifyWatcher:
    """Reports files that were written and closed, or moved into a folder. A process has one instance for
    all folders."""

    def __init__(self) -> None:
        self._observer = BaseObserver(_Emitter)
        self._overflow = _Overflow(self._on_overflow)
        self._watched: dict[DropFolder, _WatchedFolder] = {}
        self._started = False

    def add(self, folder: DropFolder, on_file: OnFile, on_doubt: OnDoubt) -> None:
        """Watch a folder. If this fails, `renew` tries again. Raises OSError once if no folder can be
        watched.

        on_file: called with each file that has arrived. on_doubt: called if events may have been lost and
        the folder must be scanned again. Its argument is a reason to log, or "" if there is nothing to log.
        Both functions are called in watchdog's thread.
        """
        if not self._started:
            self._started = True
            logging.getLogger("watchdog").addHandler(self._overflow)
            # after a rename, the old watch still watches the folder under its new name
            warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, "watchdog")
            self._observer.start()
        if self._observer.is_alive():
            self._watched[folder] = _WatchedFolder(on_file, on_doubt)
            self.renew(folder)

    def _on_overflow(self, reason: str) -> None:
        """Report lost events to all folders, because they share one queue. The reason is logged only
        once."""
        for number, now in enumerate(list(self._watched.values())):
            now.on_doubt("" if number else reason)

    def renew(self, folder: DropFolder) -> None:
        """Start a new watch of a drop folder if the folder or one of its subfolders was replaced, or if the
        watch has ended or could not be started. Call this often.

        inotify watches an inode, not a path. If the path leads to another inode because the folder was
        removed, renamed or mounted over, or because a link was changed, inotify reports no events of the
        new folder.
        """
        now, root = self._watched.get(folder), _root(folder)
        if now is None or root is None or time.monotonic() < now.retry:
            return
        if root != now.root or not self._lives(now) or _replaced(now.places, folder.places):
            self._watch(folder, now, root)
        now.places = folder.places

    def _lives(self, now: _WatchedFolder) -> bool:
        """Whether the watch is still valid. A watch ends when its inode is removed. It is not enough to
        compare inode numbers, because a new folder may get the same number."""
        return any(
            e.watch is now.watch and e.should_keep_running() for e in self._observer.emitters
        )

    def _watch(self, folder: DropFolder, now: _WatchedFolder, root: tuple[int, int]) -> None:
        if now.watch is not None:
            with suppress(KeyError):
                self._observer.unschedule(now.watch)
            now.watch = None
        path = os.path.realpath(folder.root)  # watchdog does not follow a link
        handler = _Handler(folder, path, now.on_file, now.on_doubt)
        try:
            now.watch = self._observer.schedule(
                handler, path, recursive=True, event_filter=WATCHED_EVENTS
            )
        except OSError as error:
            now.root, now.retry = None, time.monotonic() + RETRY
            if now.reason != str(error):
                now.on_doubt(f"{folder.name}: {error}")
            now.reason = str(error)
            return
        now.root, now.reason = root, ""
        now.on_doubt("")  # files may have arrived before the watch began

    def stop(self) -> None:
        logging.getLogger("watchdog").removeHandler(self._overflow)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(5)


def _root(folder: DropFolder) -> tuple[int, int] | None:
    try:
        return identity(os.stat(folder.root))  # noqa: PTH116 - the path may not exist
    except OSError:
        return None


def _replaced(before: dict[bytes, tuple[int, int]], now: dict[bytes, tuple[int, int]]) -> bool:
    """Whether a subfolder was replaced by another folder with the same path."""
    return before is not now and any(
        now.get(path, place) != place for path, place in before.items()
    )
