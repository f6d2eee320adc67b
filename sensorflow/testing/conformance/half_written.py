"""Further tests of the contract of `ports.feed.Feed`, for feeds in which a file can be incomplete, or in
which one file can be unreadable while others are readable.

The fixture `site` is the same as in the suite `feeds`.
"""

from __future__ import annotations

import pytest

from sensorflow.ports.feed import Busy, Unreadable
from sensorflow.testing.conformance.feeds import FeedSite, one, polled


def test_a_file_that_is_written_is_offered_again_later(site: FeedSite) -> None:
    found = one(site)
    with site.written(b"a.csv"):
        with pytest.raises(Busy) as caught, site.feed.open(found):
            pass
        site.feed.nack(found, caught.value)
    assert [c.key for c in polled(site.feed)] == [b"a.csv"]


def test_a_file_that_cannot_be_read_keeps_no_other_out(site: FeedSite) -> None:
    site.put(b"a.csv", b"1")
    site.put(b"b.csv", b"2")
    found, other = sorted(polled(site.feed), key=lambda c: c.key)
    with site.failing(b"a.csv"):
        with pytest.raises(Unreadable) as caught, site.feed.open(found) as opened:
            opened.read()
        site.feed.nack(found, caught.value)
        with site.feed.open(other) as opened:
            assert opened.read() == b"2"
