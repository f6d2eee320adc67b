"""inotify, when the folder that it watches is taken away or another one comes in its place."""

from __future__ import annotations

import queue
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE

from sensorflow import bootstrap
from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.watch import InotifyWatcher
from sensorflow.settings import FolderSource, Settings


class WatchedFolder:
    """A watched folder, and what is told of it."""

    def __init__(self, root: Path, **rules: str) -> None:
        source = FolderSource.model_validate({"path": "drop", "profile": "long", **rules})
        self.folder = DropFolder("plant", root, source, root.parent)
        self.files: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.doubts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.watch = InotifyWatcher()
        self.watch.add(self.folder, self.files.put, self.doubts.put)
        self.renew()

    def renew(self) -> None:
        self.watch.renew(self.folder)

    def is_reported(self, name: str) -> None:
        """A file that is dropped now is told of, without a scan."""
        (self.folder.root / name).write_bytes(b"1")
        assert self.files.get(timeout=PATIENCE) == name.encode()

    def scan(self) -> None:
        """As the daemon does: in turns, with other work in between."""
        for _ in self.folder.scan():
            self.renew()

    def rewatch(self) -> None:
        """As the daemon does each second; what came before is looked for."""
        while not self.doubts.empty():
            self.doubts.get()
        deadline = time.monotonic() + PATIENCE
        while self.doubts.empty() and time.monotonic() < deadline:
            self.renew()
            time.sleep(0.05)
        assert self.doubts.get(timeout=0.1) == ""


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[WatchedFolder]:
    (tmp_path / "drop").mkdir()
    seen = WatchedFolder(tmp_path / "drop")
    yield seen
    seen.watch.stop()


def test_a_gate_is_told_of_too(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    seen = WatchedFolder(tmp_path / "drop", gate="{name}.done")
    seen.is_reported("a.csv.done")
    seen.watch.stop()


def test_a_folder_that_was_removed_and_made_again_is_watched(seen: WatchedFolder) -> None:
    seen.is_reported("a.csv")
    shutil.rmtree(seen.folder.root)
    seen.renew()
    seen.folder.root.mkdir()
    seen.rewatch()
    seen.is_reported("b.csv")


def test_another_folder_under_the_name_is_watched(seen: WatchedFolder) -> None:
    (seen.folder.root.parent / "new").mkdir()
    seen.folder.root.rename(seen.folder.root.parent / "old")
    (seen.folder.root.parent / "new").rename(seen.folder.root)
    seen.rewatch()
    seen.is_reported("b.csv")


def test_a_link_that_leads_elsewhere_by_now_is_watched(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "drop").symlink_to("one")
    settings = Settings.model_validate(
        {"home": tmp_path, "sources": {"plant": {"path": "drop", "profile": "long"}}}
    )
    (folder,) = bootstrap.folders(settings)
    seen = WatchedFolder(folder.root)
    seen.is_reported("a.csv")
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "drop")
    seen.rewatch()
    seen.is_reported("b.csv")
    assert (tmp_path / "two" / "b.csv").exists()
    seen.watch.stop()


def test_a_folder_that_comes_later_is_watched(tmp_path: Path) -> None:
    seen = WatchedFolder(tmp_path / "drop")
    seen.renew()
    (tmp_path / "drop").mkdir()
    seen.rewatch()
    seen.is_reported("a.csv")
    seen.watch.stop()


def test_a_folder_within_that_is_mounted_over_is_watched(seen: WatchedFolder) -> None:
    """The scan sees that it is another one: the kernel tells nothing of a mount."""
    sub = seen.folder.root / "sub"
    sub.mkdir()
    (seen.folder.root / "old.csv").write_bytes(b"1")
    seen.scan()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "sensorflow-test", str(sub)]
    subprocess.run(mount, check=True)
    try:
        seen.scan()
        seen.rewatch()
        (sub / "a.csv").write_bytes(b"1")
        while (key := seen.files.get(timeout=PATIENCE)) != b"sub/a.csv":
            assert key == b"old.csv"
    finally:
        seen.watch.stop()
        subprocess.run(["umount", str(sub)], check=True)


def test_what_is_watched_is_left_alone(seen: WatchedFolder) -> None:
    before = seen.watch._watched[seen.folder].watch
    list(seen.folder.scan())
    seen.renew()
    assert seen.watch._watched[seen.folder].watch is before


def test_on_a_share_a_file_is_known_by_what_lasts(tmp_path: Path) -> None:
    source = FolderSource.model_validate({"path": "drop", "profile": "long", "polling": True})
    (tmp_path / "a.csv").write_bytes(b"1")
    found = DropFolder("plant", tmp_path, source, tmp_path).stat(b"a.csv")
    plain = DropFolder("plant", tmp_path, source.model_copy(update={"polling": False}), tmp_path)
    stat = plain.stat(b"a.csv")
    assert found.fingerprint == f"*:*:1:{stat.mtime_ns}:{stat.ctime_ns}"
    assert stat.fingerprint == f"{stat.device}:{stat.inode}:1:{stat.mtime_ns}:{stat.ctime_ns}"
