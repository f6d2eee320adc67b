"""Feeds that cannot be asked, or that are broken: each by itself, and none of them all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from looks import Inspections
from structlog.testing import capture_logs

from sensorflow.core.health import Check, health
from sensorflow.core.heartbeat import Heartbeat, LoopReport, Role
from sensorflow.errors import Code, Permanent
from sensorflow.flow.intake.away import LONGEST, REPORTS, Outages
from sensorflow.flow.landing import Landing
from sensorflow.ports.feed import Candidate, Unreadable
from sensorflow.settings import Settings
from sensorflow.testing.feed import AwayFeed, MemoryFeed
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.objects import MemoryObjects

LONG = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}
TROUBLE = {"source.unavailable", "defect", "intake.paused"}


def raises(*_: object) -> Any:
    raise ZeroDivisionError("none of sensorflow's")


def refuses(*_: object) -> Any:
    raise Permanent(Code.UNREADABLE, "no error of a feed")


def then_raises(self: MemoryFeed) -> Iterator[Candidate]:
    yield from MemoryFeed.scan(self)
    raises()


def offers(what: Callable[[Candidate], Any]) -> Any:
    return lambda self: map(what, MemoryFeed.scan(self))


@contextmanager
def opens(_self: MemoryFeed, candidate: Candidate, read: Any = None, state: Any = None) -> Any:
    yield SimpleNamespace(read=read or (lambda _=-1: b""), state=state or (lambda: candidate))


BROKEN: dict[str, dict[str, Any]] = {
    "poll raises": {"poll": raises},
    "poll raises what is for files": {"poll": refuses},
    "poll returns None": {"poll": lambda *_: None},
    "poll returns a number": {"poll": lambda *_: [5]},
    "scan raises": {"scan": raises},
    "scan raises later": {"scan": then_raises},
    "scan gives a number": {"scan": offers(lambda _: 5)},
    "empty key": {"scan": offers(lambda c: replace(c, key=b""))},
    "NUL in a key": {"scan": offers(lambda c: replace(c, key=b"a\0b"))},
    "key of text": {"scan": offers(lambda c: replace(c, key="a.csv"))},
    "no revision": {"scan": offers(lambda c: replace(c, revision=None))},
    "NUL in a revision": {"scan": offers(lambda c: replace(c, revision="a\0b"))},
    "another source": {"scan": offers(lambda c: replace(c, source="toy"))},
    "open raises": {"open": raises},
    "read raises": {"open": lambda *a: opens(*a, read=raises)},
    "read gives text": {"open": lambda *a: opens(*a, read=lambda _=-1: "text")},
    "state raises": {"open": lambda *a: opens(*a, state=raises)},
    "ack raises": {"ack": raises},
    "ack returns None": {"ack": lambda *_: None},
    "begin raises": {"activate": raises},
    "rewind raises": {"rewind": raises},
    "reachable raises": {"poll": AwayFeed.poll, "is_reachable": raises},
}
"""What a feed of another package may do, by its methods."""


@pytest.fixture
def inspections(tmp_path: Path) -> Callable[..., Inspections]:
    def new_inspections(*feeds: MemoryFeed) -> Inspections:
        source = {"path": "drop", "profile": "long"}
        given = {
            "sources": dict.fromkeys([feed.name for feed in feeds], source),
            "profiles": {"long": LONG},
            "home": tmp_path,
        }
        settings = Settings.model_validate(given)
        return Inspections(settings, feeds, Landing(MemoryObjects()), MemoryLedger())

    return new_inspections


def events_of(logs: Iterable[Any], events: set[str]) -> list[tuple[str, str]]:
    return [(one["event"], one.get("source", "all")) for one in logs if one["event"] in events]


def test_a_feed_that_is_away_is_reported_once_and_keeps_no_other_waiting(
    inspections: Callable[..., Inspections],
) -> None:
    assert events_of(neighbour_of(AwayFeed("dead"), inspections), TROUBLE) == [
        ("source.unavailable", "dead")
    ]


@pytest.mark.parametrize("methods", BROKEN.values(), ids=BROKEN)
def test_a_broken_feed_is_named_once_and_keeps_no_other_waiting(
    inspections: Callable[..., Inspections], methods: dict[str, Any]
) -> None:
    feed_class = type("Brought", (MemoryFeed,), methods | {"__module__": "package.feeds"})
    logs = neighbour_of(feed_class("dead", {b"0.csv": b"0"}), inspections)
    (defect,) = (one for one in logs if one["event"] in TROUBLE and "feed" in one)
    assert (defect["event"], defect["source"]) == ("defect", "dead")
    assert defect["feed"] == "package.feeds.Brought"
    assert defect["reason"]


def test_a_broken_feed_is_in_the_heartbeat_until_it_goes_well_again(
    inspections: Callable[..., Inspections],
) -> None:
    feed = MemoryFeed("dead", {b"0.csv": b"0"})
    feed.errors[b"0.csv"] = ZeroDivisionError("none of sensorflow's")
    site = inspections(feed)
    site.run_once()
    site.run_once()
    reason = "sensorflow.testing.feed.MemoryFeed: ZeroDivisionError: none of sensorflow's"
    assert site.state()["defects"] == {"dead": reason}
    (check,) = _broken(site)
    assert (check.what, check.verdict) == ("source dead", "fail")
    assert reason in check.found
    feed.errors.clear()
    site.intake._outages._outages["dead"].until -= 2 * LONGEST
    site.run_once()
    site.run_once()
    assert feed.files == {}
    assert _broken(site) == []


def _broken(site: Inspections) -> list[Check]:
    at = datetime.now(UTC)
    report = LoopReport(Role.INTAKE, "host", 1, "test", "", site.state())
    beats = [Heartbeat(report, at, at, 0.0)]
    return [c for c in health(beats, None, lambda _: False) if c.what.startswith("source ")]


def neighbour_of(feed: MemoryFeed, inspections: Callable[..., Inspections]) -> Iterable[Any]:
    """What is logged while another source gets files."""
    other = MemoryFeed("toy", {})
    site = inspections(feed, other)
    with capture_logs() as logs:
        for number in range(20):
            other.files[b"%d.csv" % number] = b"%d" % number
            site.run_once()
            assert other.files == {}
    return logs


def test_a_file_that_cannot_be_read_and_is_offered_again_is_reported_once(
    inspections: Callable[..., Inspections],
) -> None:
    feed = MemoryFeed("toy", {b"a.csv": b"1"})
    feed.errors[b"a.csv"] = Unreadable("broken")
    site = inspections(feed)
    with capture_logs() as logs:
        site.run_once()
        site.run_once()
        feed.files[b"a.csv"] = b"other"
        site.run_once()
    assert events_of(logs, {"file.unreadable"}) == [("file.unreadable", "toy")] * 2


def test_a_source_is_left_alone_longer_each_time_and_reported_once_a_minute() -> None:
    outages, now, waits, reports = Outages(), 1000.0, [], []
    while now < 1000 + 10 * REPORTS:
        assert not outages.is_left_alone("plant", now)
        if outages.failed("plant", now):
            reports.append(now)
        assert not outages.failed("plant", now)  # for another thing that was asked for
        began = now
        while outages.is_left_alone("plant", now):
            now += 0.25
        waits.append(now - began)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.75, pytest.approx(0.75 * LONGEST, abs=0.25))
    assert all(later - before >= REPORTS for before, later in pairwise(reports))
    assert 9 <= len(reports) <= 10
    assert not outages.is_left_alone("other", now)


def test_an_outage_after_a_while_without_one_begins_anew() -> None:
    outages = Outages()
    for now in range(100, 200, 20):
        outages.failed("plant", now)
    assert outages.failed("plant", 1000)
    assert not outages.is_left_alone("plant", 1000.8)
