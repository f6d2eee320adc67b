"""Every feed keeps what `ports.feed.Feed` says."""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest
from installed import EXAMPLES

from sensorflow.adapters.feeds.folder.drop import Folder
from sensorflow.adapters.feeds.folder.feed import FolderFeed
from sensorflow.adapters.feeds.folder.gates import NoBook
from sensorflow.ports.feed import Busy, Candidate, Feed, Gone, Permit, Taker, Unreadable
from sensorflow.settings import FolderSource
from sensorflow.testing.feed import MemoryFeed

NOBODY = 65534
HALF = pytest.mark.parametrize("site", ["folder", "toy"], indirect=True)
"""Of feeds whose files can be half written, or not to be read one by one."""
BOX = (
    "CREATE TABLE box (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, data BLOB,"
    " written_ns INTEGER)"
)
PUT = "REPLACE INTO box (key, data, written_ns) VALUES (?, ?, 1772323200000000000)"
SECONDS = count(time.monotonic())


class Asked(Taker):
    """A taker that knows nothing. gone: what it was told of."""

    def __init__(self) -> None:
        self.gone: list[bytes] = []

    def wake(self) -> None: ...

    def is_known(self, candidate: Candidate) -> bool:
        return False

    def is_registered(self, source: str, key: bytes, stream: object) -> bool:
        return True

    def vanished(self, source: str, key: bytes, why: str) -> None:
        self.gone.append(key)

    def scanned(self) -> None: ...

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()


class Site(Protocol):
    """Where files of one feed are, and what happens to them there. written, failing: see `HALF`."""

    feed: Feed

    def put(self, key: bytes, data: bytes) -> None: ...
    def remove(self, key: bytes) -> None: ...
    def written(self, key: bytes) -> AbstractContextManager[None]: ...
    def failing(self, key: bytes) -> AbstractContextManager[None]: ...


class FolderSite:
    def __init__(self, root: Path) -> None:
        rules = {"path": "drop", "profile": "long", "settle": 0, "after": "delete"}
        self.root = root
        self.feed: Feed = FolderFeed(
            Folder("plant", root, FolderSource.model_validate(rules), root.parent / "archive"),
            NoBook(),
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
        made = _box_feed()
        self.feed: Feed = made("plant", made.Source.model_validate(rules), root)

    def put(self, key: bytes, data: bytes) -> None:
        self._box.execute(PUT, (key.decode(), data))

    def remove(self, key: bytes) -> None:
        self._box.execute("DELETE FROM box WHERE key = ?", (key.decode(),))

    def written(self, key: bytes) -> AbstractContextManager[None]:
        raise NotImplementedError

    failing = written


MADE: Mapping[str, Callable[[Path], Site]] = {
    "folder": FolderSite,
    "toy": lambda _root: ToySite(),
    "box": BoxSite,
}


@pytest.fixture(params=MADE)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        Path(made).chmod(0o755)
        root = Path(made) / "drop"
        root.mkdir()
        found = MADE[request.param](root)
        found.feed.start(Asked())
        found.feed.begin(Permit(1))
        yield found
        found.feed.stop()


def polled(feed: Feed) -> list[Candidate]:
    """What one poll gives, a second after the last one."""
    return [c for files in feed.poll(next(SECONDS)) for c in files if c is not None]


def one(site: Site, key: bytes = b"a.csv", data: bytes = b"1") -> Candidate:
    site.put(key, data)
    [found] = [c for c in polled(site.feed) if c.key == key]
    return found


def test_all_that_is_there_is_polled(site: Site) -> None:
    keys = [b"a.csv", b"deep/b.csv", "ü.csv".encode()]
    for key in keys:
        site.put(key, key)
    found = polled(site.feed)
    assert sorted(c.key for c in found) == sorted(keys)
    assert all((c.source, c.size) == ("plant", len(c.key)) for c in found)
    assert sorted(site.feed.scan(), key=lambda c: c.key) == sorted(found, key=lambda c: c.key)


def test_what_was_not_acknowledged_is_polled_again(site: Site) -> None:
    before = one(site)
    site.feed.rewind()
    assert polled(site.feed) == [before]
    site.feed.begin(Permit(2))
    assert polled(site.feed) == [before]


def test_a_file_is_opened_as_it_is(site: Site) -> None:
    found = one(site, data=b"content")
    with site.feed.open(found) as opened:
        assert opened.state() == found
        assert (opened.read(3), opened.read(), opened.read()) == (b"con", b"tent", b"")
    site.put(b"a.csv", b"other content")
    with site.feed.open(found) as opened:
        assert (opened.state().size, opened.state().revision != found.revision) == (13, True)
        assert opened.read() == b"other content"


def test_a_file_that_changes_while_it_is_read_says_so_or_is_read_as_it_was(site: Site) -> None:
    with site.feed.open(one(site)) as opened:
        before = opened.state()
        site.put(b"a.csv", b"other content")
        assert opened.read() == b"1" or opened.state() != before


def test_a_poll_gives_nothing_while_the_one_before_is_not_through(site: Site) -> None:
    for number in range(3):
        site.put(b"%d.csv" % number, b"1")
    begun = [files for files in site.feed.poll(next(SECONDS)) if next(files)]
    assert polled(site.feed) == []
    assert sum(1 for files in begun for _ in files) == 2


def test_a_file_that_is_gone_cannot_be_opened(site: Site) -> None:
    found = one(site)
    site.remove(b"a.csv")
    with pytest.raises(Gone) as caught, site.feed.open(found):
        pass
    site.feed.nack(found, caught.value)
    site.feed.rewind()
    assert polled(site.feed) == []


@HALF
def test_a_file_that_is_written_is_offered_again_later(site: Site) -> None:
    found = one(site)
    with site.written(b"a.csv"):
        with pytest.raises(Busy) as caught, site.feed.open(found):
            pass
        site.feed.nack(found, caught.value)
    assert [c.key for c in polled(site.feed)] == [b"a.csv"]


@HALF
def test_a_file_that_cannot_be_read_keeps_no_other_out(site: Site) -> None:
    site.put(b"a.csv", b"1")
    site.put(b"b.csv", b"2")
    found, other = sorted(polled(site.feed), key=lambda c: c.key)
    with site.failing(b"a.csv"):
        with pytest.raises(Unreadable) as caught, site.feed.open(found) as opened:
            opened.read()
        site.feed.nack(found, caught.value)
        with site.feed.open(other) as opened:
            assert opened.read() == b"2"


def test_whether_a_file_is_as_it_was(site: Site) -> None:
    found = one(site)
    assert site.feed.unchanged(found)
    site.put(b"a.csv", b"other")
    assert not site.feed.unchanged(found)
    site.remove(b"a.csv")
    assert not site.feed.unchanged(found)


def test_what_is_acknowledged_is_not_offered_again(site: Site) -> None:
    site.put(b"a.csv", b"1")
    site.put(b"b.csv", b"2")
    found = polled(site.feed)
    assert site.feed.ack(found[:1], Permit(1)) == {}
    site.feed.rewind()
    assert polled(site.feed) == found[1:]


def test_nothing_is_acknowledged_by_one_who_is_replaced(site: Site) -> None:
    found = one(site)
    assert site.feed.ack([found], Permit(1, lambda: False)) == {}
    site.feed.rewind()
    assert polled(site.feed) == [found]


def test_other_content_that_came_meanwhile_is_not_acknowledged(site: Site) -> None:
    found = one(site)
    site.put(b"a.csv", b"other")
    site.feed.ack([found], Permit(1))
    site.feed.rewind()
    assert [c.size for c in polled(site.feed)] == [5]
