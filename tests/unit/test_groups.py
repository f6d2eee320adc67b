"""Files that wait together are taken in together, and each is judged by itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from patience import PATIENCE
from samples import NOW

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.feed import FolderFeed
from sensorflow.adapters.feeds.folder.watch import InotifyWatcher
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.arrival import Arrival
from sensorflow.daemon import Daemon
from sensorflow.flow.intake.take import GROUP_BYTES
from sensorflow.flow.landing import Landing
from sensorflow.ports.feed import Denied
from sensorflow.ports.intake import Kind, OnChange, Registration
from sensorflow.settings import FolderSource, Settings
from sensorflow.testing.objects import MemoryObjects
from sensorflow.testing.queue import MemoryQueue

LONG = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}


class RecordingLedger(PostgresLedger):
    """Remembers what was registered together; what is told of by name is a defect."""

    def __init__(self, database: str, defect: bytes = b"") -> None:
        super().__init__(database, "test")
        self.groups: list[list[tuple[bytes, Kind]]] = []
        self._defect = defect

    def register_many(
        self, arrivals: Any, on_change: OnChange, name_matters: bool, lease: Any = None
    ) -> list[Registration]:
        keys = [arrival.key for arrival in arrivals]
        if self._defect in keys:
            raise ZeroDivisionError
        done = super().register_many(arrivals, on_change, name_matters, lease)
        self.groups.append(list(zip(keys, [r.kind for r in done], strict=True)))
        return done


class Guarded(DropFolder):
    """One of its files may not be read, whoever asks."""

    def open(self, key: bytes) -> AbstractContextManager[BinaryIO]:
        if key == b"secret.csv":
            raise Denied("not for you")
        return super().open(key)


def drop(tmp_path: Path, **content: bytes) -> None:
    for name, data in content.items():
        (tmp_path / f"{name}.csv").write_bytes(data)


@contextmanager
def taking(tmp_path: Path, ledger: RecordingLedger) -> Iterator[Daemon]:
    source = {"path": "drop", "profile": "long", "stability_window": 0, "after": "delete"}
    settings = Settings.model_validate(
        {
            "sources": {"plant": source},
            "profiles": {"long": LONG},
            "home": tmp_path,
        }
    )
    folder = Guarded("plant", tmp_path / "drop", settings.sources["plant"], tmp_path / "archive")
    feed = FolderFeed(folder, ledger, settings.rescan, InotifyWatcher())
    daemon = Daemon(settings, [feed], Landing(MemoryObjects()), ledger, MemoryQueue())
    running = threading.Thread(target=daemon.run)
    running.start()
    try:
        yield daemon
    finally:
        daemon.stop()
        running.join()


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


def test_an_alias_a_version_a_seen_and_an_unreadable_file_among_plain_ones(
    tmp_path: Path, root: Path, emptied: str
) -> None:
    ledger = RecordingLedger(emptied)
    drop(root, again=b"one")
    source = FolderSource.model_validate({"path": "drop", "profile": "long"})
    stat = DropFolder("plant", root, source, tmp_path).stat(b"again.csv")
    landed = Landing(MemoryObjects()).put((root / "again.csv").open("rb"))
    for key, mark in ((b"again.csv", stat.fingerprint), (b"version.csv", "before")):
        ledger.register(
            Arrival("plant", key, landed, 0, mark, "long", NOW, NOW), OnChange.SUPERSEDE, False
        )
    ledger.groups.clear()
    drop(root, alias=b"one", plain=b"two", secret=b"three", twin=b"two", version=b"four")
    with taking(tmp_path, ledger):
        wait(lambda: [p.name for p in root.iterdir()] == ["secret.csv"])
    assert ledger.groups == [
        [
            (b"again.csv", Kind.SEEN),
            (b"alias.csv", Kind.ALIAS),
            (b"plain.csv", Kind.NEW),
            (b"twin.csv", Kind.ALIAS),
            (b"version.csv", Kind.NEW),
        ]
    ]


def test_a_large_file_keeps_no_small_one_waiting(tmp_path: Path, root: Path, emptied: str) -> None:
    ledger = RecordingLedger(emptied)
    drop(root, a=b"1", b=b"2", large=bytes(GROUP_BYTES + 1), small=b"3")
    with taking(tmp_path, ledger):
        wait(lambda: not any(root.iterdir()))
    assert [[key for key, _ in group] for group in ledger.groups] == [
        [b"a.csv", b"b.csv"],
        [b"large.csv"],
        [b"small.csv"],
    ]


def test_what_cannot_be_registered_keeps_no_other_file_out(
    tmp_path: Path, root: Path, emptied: str
) -> None:
    ledger = RecordingLedger(emptied, defect=b"bad.csv")
    drop(root, a=b"1", bad=b"2", c=b"3")
    with taking(tmp_path, ledger):
        wait(lambda: [p.name for p in root.iterdir()] == ["bad.csv"])
    assert [key for group in ledger.groups for key, _ in group] == [b"a.csv", b"c.csv"]


def test_who_stands_by_keeps_nothing_of_what_it_is_told(
    tmp_path: Path, root: Path, emptied: str
) -> None:
    ledger = RecordingLedger(emptied)
    ledger.acquire_intake_lease("plant", "another", "another", 3600)
    with taking(tmp_path, ledger) as daemon:
        feed = daemon._intake.strategy("plant").feed
        assert isinstance(feed, FolderFeed)
        wait(lambda: feed._taker is not None)
        drop(root, a=b"1")
        feed._on_file(b"a.csv")
        wait(lambda: not feed._reported)
    assert [p.name for p in root.iterdir()] == ["a.csv"]
    assert ledger.groups == []


def test_a_file_is_told_of_at_once_after_others_were_moved_away(tmp_path: Path, root: Path) -> None:
    """watchdog holds such moves back for half a second, and all events that come after them."""
    found: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    source = FolderSource.model_validate({"path": "drop", "profile": "long"})
    watch = InotifyWatcher()
    watch.add(DropFolder("plant", root, source, tmp_path), found.put, lambda _reason: None)
    durations = []
    for _ in range(3):
        drop(root, old=b"1")
        assert found.get(timeout=PATIENCE) == b"old.csv"
        began = time.monotonic()
        (root / "old.csv").rename(tmp_path / "old.csv")
        drop(root, new=b"2")
        assert found.get(timeout=PATIENCE) == b"new.csv"
        durations.append(time.monotonic() - began)
    watch.stop()
    assert min(durations) < 0.4
