"""Every feed of growing files keeps what `ports.feed.GrowingFeed` says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.growing import GrowingFolder
from sensorflow.ports.feed import Candidate, Gone, GrowingFeed, Permit
from sensorflow.settings import FolderSource
from sensorflow.testing.feed import GrowingMemoryFeed


class Site(Protocol):
    """Where the files of one feed grow. append: by a writer that keeps the file open."""

    feed: GrowingFeed

    def append(self, key: bytes, data: bytes) -> None: ...
    def rename(self, old: bytes, new: bytes) -> None: ...


class FolderSite:
    def __init__(self, root: Path) -> None:
        rules = {"path": "drop", "profile": "long", "after": "keep", "growing": True}
        source = FolderSource.model_validate({**rules, "grow_every": 7})
        self.root = root
        self.feed: GrowingFeed = GrowingFolder(DropFolder("plant", root, source, root))
        self._open: list[object] = []

    def append(self, key: bytes, data: bytes) -> None:
        stream = (self.root / os.fsdecode(key)).open("ab", buffering=0)
        stream.write(data)
        self._open.append(stream)
        time.sleep(0.01)  # a tick of the file system's clock

    def rename(self, old: bytes, new: bytes) -> None:
        os.rename(self.root / os.fsdecode(old), self.root / os.fsdecode(new))
        time.sleep(0.01)


class ToySite:
    def __init__(self) -> None:
        self.toy = GrowingMemoryFeed("plant", {})
        self.toy.delay = 7
        self.feed: GrowingFeed = self.toy

    def append(self, key: bytes, data: bytes) -> None:
        before = self.toy.files.pop(key, b"")
        self.toy.files = {key: before + data, **self.toy.files}

    def rename(self, old: bytes, new: bytes) -> None:
        self.toy.rename(old, new)


SITES: Mapping[str, Callable[[Path], Site]] = {
    "folder": FolderSite,
    "toy": lambda _root: ToySite(),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    return SITES[request.param](tmp_path)


def found(site: Site) -> dict[bytes, Candidate]:
    return {file.key: file for file in site.feed.scan()}


def test_a_file_is_offered_while_it_is_written_and_is_another_state_each_time(site: Site) -> None:
    site.append(b"a.csv", b"one\n")
    first = found(site)[b"a.csv"]
    site.append(b"a.csv", b"two\n")
    second = found(site)[b"a.csv"]
    assert (first.size, second.size) == (4, 8)
    assert first.revision != second.revision
    assert site.feed.delay == 7


def test_a_file_is_read_from_any_byte_on_while_it_is_written(site: Site) -> None:
    site.append(b"a.csv", b"one\ntwo\n")
    file = found(site)[b"a.csv"]
    with site.feed.open(file) as opened:
        opened.seek(4)
        assert opened.read() == b"two\n"
        opened.seek(0)
        assert opened.read(4) == b"one\n"
        assert opened.state() == file


def test_a_file_is_opened_as_it_is_by_its_key_alone(site: Site) -> None:
    site.append(b"a.csv", b"one\n")
    with site.feed.open(Candidate("plant", b"a.csv", "as it was", 0, 0, 0)) as opened:
        assert opened.state().size == 4
    with pytest.raises(Gone), site.feed.open(Candidate("plant", b"b.csv", "", 0, 0, 0)):
        pass


def test_a_renamed_file_keeps_its_place_and_no_other_has_it(site: Site) -> None:
    site.append(b"a.csv", b"one\n")
    before = site.feed.place(found(site)[b"a.csv"])
    site.append(b"a.csv", b"two\n")
    assert site.feed.place(found(site)[b"a.csv"]) == before
    site.rename(b"a.csv", b"a.1.csv")
    site.append(b"a.csv", b"new\n")
    files = found(site)
    assert site.feed.place(files[b"a.1.csv"]) == before
    assert site.feed.place(files[b"a.csv"]) != before


def test_what_a_file_may_have_been_renamed_to_is_found_the_last_changed_first(site: Site) -> None:
    for key in (b"old.csv", b"a.csv"):
        site.append(key, b"one\n")
    site.rename(b"a.csv", b"a.csv.1")
    site.append(b"a.csv", b"new\n")
    siblings = site.feed.siblings(found(site)[b"a.csv"])
    assert [file.key for file in siblings] == [b"a.csv.1", b"old.csv"]


def test_what_is_acknowledged_stays(site: Site) -> None:
    site.append(b"a.csv", b"one\n")
    file = found(site)[b"a.csv"]
    assert site.feed.keeps
    assert site.feed.ack([file], Permit(1)) == {}
    assert found(site)[b"a.csv"] == file
