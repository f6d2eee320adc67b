"""Where the files of each feed are, in the tests of what all feeds must keep."""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from installed import EXAMPLES

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.feed import FolderFeed
from sensorflow.adapters.feeds.folder.gates import NoRegistrations
from sensorflow.ports.feed import Busy, Feed, Permit, Unreadable
from sensorflow.settings import FolderSource
from sensorflow.testing.conformance.feeds import FeedSite, RecordingHost
from sensorflow.testing.feed import MemoryFeed

NOBODY = 65534
BOX = (
    "CREATE TABLE box (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, data BLOB,"
    " written_ns INTEGER)"
)
PUT = "REPLACE INTO box (key, data, written_ns) VALUES (?, ?, 1772323200000000000)"


class FolderSite:
    def __init__(self, root: Path) -> None:
        rules = {"path": "drop", "profile": "long", "stability_window": 0, "after": "delete"}
        self.root = root
        self.feed: Feed = FolderFeed(
            DropFolder("plant", root, FolderSource.model_validate(rules), root.parent / "archive"),
            NoRegistrations(),
        )

    def _path(self, key: bytes) -> Path:
        return self.root / os.fsdecode(key)

    def put(self, key: bytes, data: bytes) -> None:
        self._path(key).parent.mkdir(exist_ok=True)
        self._path(key).write_bytes(data)

    def remove(self, key: bytes) -> None:
        self._path(key).unlink()

    @contextmanager
    def written(self, key: bytes) -> Iterator[None]:
        with self._path(key).open("ab"):
            yield

    @contextmanager
    def failing(self, key: bytes) -> Iterator[None]:
        """Read by somebody who may not."""
        self._path(key).chmod(0)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if is_root:
                os.seteuid(0)


class ToySite:
    def __init__(self) -> None:
        self.toy = MemoryFeed("plant", {})
        self.feed: Feed = self.toy

    def put(self, key: bytes, data: bytes) -> None:
        self.toy.files[key] = data

    def remove(self, key: bytes) -> None:
        del self.toy.files[key]

    @contextmanager
    def _broken(self, key: bytes, error: Exception) -> Iterator[None]:
        self.toy.errors[key] = error
        yield
        del self.toy.errors[key]

    def written(self, key: bytes) -> AbstractContextManager[None]:
        return self._broken(key, Busy("written"))

    def failing(self, key: bytes) -> AbstractContextManager[None]:
        return self._broken(key, Unreadable("broken"))


def _box_feed() -> Any:
    """Its class, of a module that nobody else gets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES / "sensorflow-box")
        importlib.import_module("sensorflow_box")
        return sys.modules.pop("sensorflow_box").BoxFeed


class BoxSite:
    """Of the authors' guide. A row is there whole or not at all: the last two are not asked of it."""

    def __init__(self, root: Path) -> None:
        rules = {"kind": "box", "file": "box.sqlite", "profile": "long"}
        self._box = sqlite3.connect(root / "box.sqlite", isolation_level=None)
        self._box.execute(BOX)
        feed = _box_feed()
        self.feed: Feed = feed("plant", feed.Source.model_validate(rules), root)

    def put(self, key: bytes, data: bytes) -> None:
        self._box.execute(PUT, (key.decode(), data))

    def remove(self, key: bytes) -> None:
        self._box.execute("DELETE FROM box WHERE key = ?", (key.decode(),))

    def written(self, key: bytes) -> AbstractContextManager[None]:
        raise NotImplementedError

    failing = written


SITES: Mapping[str, Callable[[Path], FeedSite]] = {
    "folder": FolderSite,
    "toy": lambda _root: ToySite(),
    "box": BoxSite,
}


@contextmanager
def started(name: str) -> Iterator[FeedSite]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "drop"
        root.mkdir()
        found = SITES[name](root)
        found.feed.start(RecordingHost())
        found.feed.activate(Permit(1))
        yield found
        found.feed.stop()
