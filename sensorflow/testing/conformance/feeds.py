"""Tests of the contract of `ports.feed.Feed`. The fixture `site` returns a `FeedSite` whose feed has the
name "plant".

The feed must be started and activated: `feed.start(RecordingHost())`, `feed.activate(Permit(1))`.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Protocol

import pytest

from sensorflow.ports.feed import Candidate, Feed, FeedHost, Gone, Permit

SECONDS = count(time.monotonic())


class RecordingHost(FeedHost):
    """A feed host for `Feed.start` that knows no files. gone: keys of the files that the feed has reported
    as vanished."""

    def __init__(self) -> None:
        self.gone: list[bytes] = []

    def wake(self) -> None: ...

    def is_known(self, candidate: Candidate) -> bool:
        return False

    def is_registered(self, source: str, key: bytes, stream: object) -> bool:
        return True

    def file_vanished(self, source: str, key: bytes, reason: str) -> None:
        self.gone.append(key)

    def scan_finished(self) -> None: ...

    def long_call(self) -> AbstractContextManager[None]:
        return nullcontext()


class FeedSite(Protocol):
    """A feed under test, and operations on the storage of its files.

    put: create a file that the next poll returns; if the feed scans in a thread, wait until the thread has
    found the file. written: make a file incomplete while the context lasts. failing: make a file unreadable
    while the context lasts. Only `half_written` uses `written` and `failing`.
    """

    feed: Feed

    def put(self, key: bytes, data: bytes) -> None: ...
    def remove(self, key: bytes) -> None: ...
    def written(self, key: bytes) -> AbstractContextManager[None]: ...
    def failing(self, key: bytes) -> AbstractContextManager[None]: ...


def polled(feed: Feed) -> list[Candidate]:
    """Poll once, one second after the previous poll by the feed's clock. Return the files."""
    return [c for files in feed.poll(next(SECONDS)) for c in files if c is not None]


def one(site: FeedSite, key: bytes = b"a.csv", data: bytes = b"1") -> Candidate:
    site.put(key, data)
    [found] = [c for c in polled(site.feed) if c.key == key]
    return found


def test_all_that_is_there_is_polled(site: FeedSite) -> None:
    keys = [b"a.csv", b"deep/b.csv", "ü.csv".encode()]
    for key in keys:
        site.put(key, key)
    found = polled(site.feed)
    assert sorted(c.key for c in found) == sorted(keys)
    assert all((c.source, c.size) == ("plant", len(c.key)) for c in found)
    assert sorted(site.feed.scan(), key=lambda c: c.key) == sorted(found, key=lambda c: c.key)


def test_what_was_not_acknowledged_is_polled_again(site: FeedSite) -> None:
    before = one(site)
    site.feed.rewind()
    assert polled(site.feed) == [before]
    site.feed.activate(Permit(2))
    assert polled(site.feed) == [before]


def test_a_file_is_opened_as_it_is(site: FeedSite) -> None:
    found = one(site, data=b"content")
    with site.feed.open(found) as opened:
        assert opened.state() == found
        assert (opened.read(3), opened.read(), opened.read()) == (b"con", b"tent", b"")
    site.put(b"a.csv", b"other content")
    with site.feed.open(found) as opened:
        assert (opened.state().size, opened.state().revision != found.revision) == (13, True)
        assert opened.read() == b"other content"


def test_a_file_that_changes_while_it_is_read_says_so_or_is_read_as_it_was(site: FeedSite) -> None:
    with site.feed.open(one(site)) as opened:
        before = opened.state()
        site.put(b"a.csv", b"other content")
        assert opened.read() == b"1" or opened.state() != before


def test_a_poll_gives_nothing_while_the_one_before_is_not_through(site: FeedSite) -> None:
    for number in range(3):
        site.put(b"%d.csv" % number, b"1")
    begun = [files for files in site.feed.poll(next(SECONDS)) if next(files)]
    assert polled(site.feed) == []
    assert sum(1 for files in begun for _ in files) == 2


def test_a_file_that_is_gone_cannot_be_opened(site: FeedSite) -> None:
    found = one(site)
    site.remove(b"a.csv")
    with pytest.raises(Gone) as caught, site.feed.open(found):
        pass
    site.feed.nack(found, caught.value)
    site.feed.rewind()
    assert polled(site.feed) == []


def test_whether_a_file_is_as_it_was(site: FeedSite) -> None:
    found = one(site)
    assert site.feed.is_unchanged(found)
    site.put(b"a.csv", b"other")
    assert not site.feed.is_unchanged(found)
    site.remove(b"a.csv")
    assert not site.feed.is_unchanged(found)


def test_what_is_acknowledged_is_not_offered_again(site: FeedSite) -> None:
    site.put(b"a.csv", b"1")
    site.put(b"b.csv", b"2")
    found = polled(site.feed)
    assert site.feed.ack(found[:1], Permit(1)) == {}
    site.feed.rewind()
    assert polled(site.feed) == found[1:]


def test_nothing_is_acknowledged_by_one_who_is_replaced(site: FeedSite) -> None:
    found = one(site)
    assert site.feed.ack([found], Permit(1, lambda: False)) == {}
    site.feed.rewind()
    assert polled(site.feed) == [found]


def test_other_content_that_came_meanwhile_is_not_acknowledged(site: FeedSite) -> None:
    found = one(site)
    site.put(b"a.csv", b"other")
    site.feed.ack([found], Permit(1))
    site.feed.rewind()
    assert [c.size for c in polled(site.feed)] == [5]
