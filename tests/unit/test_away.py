"""Feeds that cannot be asked, or that are broken: each by itself, and none of them all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from looks import Looks
from structlog.testing import capture_logs

from sensorflow.flow.intake.away import LONGEST, REPORTS, Away
from sensorflow.flow.landing import Landing
from sensorflow.ports.feed import Candidate, Unreadable
from sensorflow.settings import Settings
from sensorflow.testing.feed import AwayFeed, MemoryFeed
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.objects import MemoryObjects

LONG = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}
TROUBLE = {"source.away", "defect", "intake.paused"}


class BrokenFeed(MemoryFeed):
    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        raise ZeroDivisionError


class BrokenLater(MemoryFeed):
    def scan(self) -> Iterator[Candidate]:
        yield from super().scan()
        raise ZeroDivisionError


@pytest.fixture
def looks(tmp_path: Path) -> Callable[..., Looks]:
    def made(*feeds: MemoryFeed) -> Looks:
        source = {"path": "drop", "profile": "long"}
        given = {
            "sources": dict.fromkeys([feed.name for feed in feeds], source),
            "profiles": {"long": LONG},
            "home": tmp_path,
        }
        settings = Settings.model_validate(given)
        return Looks(settings, feeds, Landing(MemoryObjects()), MemoryLedger())

    return made


def told(logs: Iterable[Any], events: set[str]) -> list[tuple[str, str]]:
    return [(one["event"], one.get("source", "all")) for one in logs if one["event"] in events]


@pytest.mark.parametrize(
    ("dead", "event"),
    [(AwayFeed, "source.away"), (BrokenFeed, "defect"), (BrokenLater, "defect")],
    ids=["away", "broken", "broken while it looks"],
)
def test_a_dead_feed_is_reported_once_and_keeps_no_other_waiting(
    looks: Callable[..., Looks], dead: type[MemoryFeed], event: str
) -> None:
    feed, other = dead("dead", {b"0.csv": b"0"}), MemoryFeed("toy", {})
    site = looks(feed, other)
    with capture_logs() as logs:
        for number in range(20):
            other.files[b"%d.csv" % number] = b"%d" % number
            site.look()
            assert other.files == {}
    assert told(logs, TROUBLE) == [(event, "dead")]


def test_a_file_that_cannot_be_read_and_is_offered_again_is_reported_once(
    looks: Callable[..., Looks],
) -> None:
    feed = MemoryFeed("toy", {b"a.csv": b"1"})
    feed.errors[b"a.csv"] = Unreadable("broken")
    site = looks(feed)
    with capture_logs() as logs:
        site.look()
        site.look()
        feed.files[b"a.csv"] = b"other"
        site.look()
    assert told(logs, {"file.unreadable"}) == [("file.unreadable", "toy")] * 2


def test_a_source_is_left_alone_longer_each_time_and_reported_once_a_minute() -> None:
    away, now, waits, reports = Away(), 1000.0, [], []
    while now < 1000 + 10 * REPORTS:
        assert not away.is_left_alone("plant", now)
        if away.failed("plant", now):
            reports.append(now)
        assert not away.failed("plant", now)  # for another thing that was asked for
        began = now
        while away.is_left_alone("plant", now):
            now += 0.25
        waits.append(now - began)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.75, pytest.approx(0.75 * LONGEST, abs=0.25))
    assert all(later - before >= REPORTS for before, later in pairwise(reports))
    assert 9 <= len(reports) <= 10
    assert not away.is_left_alone("other", now)


def test_an_outage_after_a_while_without_one_begins_anew() -> None:
    away = Away()
    for now in range(100, 200, 20):
        away.failed("plant", now)
    assert away.failed("plant", 1000)
    assert not away.is_left_alone("plant", 1000.8)
