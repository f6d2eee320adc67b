"""A heartbeat is of the loop, not of the thread that sends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sensorflow.core.health import health, summary
from sensorflow.core.heartbeat import Heartbeat, Pulse, Role
from sensorflow.errors import Code, Transient
from sensorflow.flow import pulse
from sensorflow.flow.pulse import Heart
from sensorflow.testing.ledger import MemoryLedger

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_loop_that_does_not_go_on_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Heart(MemoryLedger(), "host", 1, "p", "digest").loop(Role.INTAKE)
    assert loop.pulse() is not None
    real = pulse.now
    monkeypatch.setattr(pulse, "now", lambda: real() + pulse.SILENT + 1)
    assert loop.pulse() is None
    loop.hold()
    assert loop.pulse() is not None
    loop.touch()
    assert loop.pulse() is not None


def test_a_pause_is_told_since_when_until_it_is_over() -> None:
    loop = Heart(MemoryLedger(), "host", 1, "p", "digest").loop(Role.INTAKE)
    loop.pause(Transient(Code.STORAGE, "full"))
    first = loop.pulse()
    loop.pause(Transient(Code.STORAGE, "still full"))
    loop.resume(sure=False)
    second = loop.pulse()
    assert first is not None
    assert second is not None
    assert first.paused is not None
    assert second.paused is not None
    assert (second.paused["since"], second.paused["reason"]) == (
        first.paused["since"],
        "still full",
    )
    loop.resume()
    third = loop.pulse()
    assert third is not None
    assert third.paused is None


def test_health_names_what_is_missing_paused_or_set_otherwise() -> None:
    ledger = MemoryLedger()
    heart = Heart(ledger, "host", 1, "p", "digest")
    for role in (Role.INTAKE, Role.PUBLISHER, Role.WORKER):
        loop = heart.loop(role)
        loop.pause(Transient(Code.BROKER, "away"))
        found = loop.pulse()
        assert found is not None
        ledger.beat(found)
    checks = list(health(ledger.heartbeats(), "edited", lambda _: False))
    failed = [c.what for c in checks if c.verdict == "fail"]
    assert failed == ["beat", "paused", "paused", "paused"]
    assert [c.what for c in checks if c.verdict == "warn"] == ["running settings"]
    assert "beat: none is running" in summary(checks)


def worker(process: str, started: float, last: float) -> Heartbeat:
    """A worker of the one host; started and last heard of so many seconds ago."""
    known = Pulse(Role.WORKER, "host", 7, process, "digest")
    return Heartbeat(known, NOW - timedelta(seconds=started), NOW - timedelta(seconds=last), last)


def verdicts(*beats: Heartbeat) -> list[str]:
    found = health(beats, None, lambda process: process.startswith("ended"))
    return [check.verdict for check in found if check.what == "workers"]


def test_a_container_that_was_started_again_is_missed_once_and_not_by_its_health_check() -> None:
    """Its host name stays, and nobody can know of processes of the namespace before."""
    crashed = worker("boot ns1 7 5", 900, 300)
    assert verdicts(crashed) == ["fail"]
    assert verdicts(crashed, worker("boot ns2 7 9", 290, 1)) == ["warn", "ok"]
    again = worker("boot ns2 7 9", 290, 200)
    assert verdicts(crashed, again) == ["fail"] * 2
    assert verdicts(crashed, again, worker("boot ns3 7 9", 190, 1)) == ["warn", "warn", "ok"]
    long_ago = worker("boot ns1 7 5", 9000, 8000)
    assert verdicts(long_ago, worker("boot ns2 7 9", 7990, 1)) == ["ok"]


def test_a_stopped_worker_beside_others_of_its_host_is_missed() -> None:
    stopped = worker("boot ns1 7 5", 900, 60)
    assert verdicts(stopped, worker("boot ns1 8 6", 50, 1)) == ["fail", "ok"]
    assert verdicts(stopped, worker("boot ns2 7 9", 800, 1)) == ["fail", "ok"]
    two = stopped, worker("boot ns1 8 5", 900, 60), worker("boot ns2 7 9", 50, 1)
    assert sorted(verdicts(*two)) == ["fail", "ok", "warn"]
    assert verdicts(worker("ended ns1 7 5", 900, 60), worker("boot ns1 8 6", 50, 1)) == ["ok"]


def test_a_worker_that_ends_neither_waits_nor_counts_as_running() -> None:
    ledger = MemoryLedger()
    heart = Heart(ledger, "host", 1, "p", "digest")
    loop = heart.loop(Role.WORKER, ending=True)
    found = loop.pulse()
    assert found is not None
    ledger.beat(found)
    checks = list(health(ledger.heartbeats(), "edited", lambda _: False))
    assert {c.found for c in checks} == {"none is running"}


def test_a_loop_is_vouched_for_while_a_long_call_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, real = Heart(MemoryLedger(), "host", 1, "p", "digest").loop(Role.INTAKE), pulse.now
    with loop.held():
        monkeypatch.setattr(pulse, "now", lambda: real() + pulse.SILENT + 1)
        assert loop.pulse() is not None
    monkeypatch.setattr(pulse, "now", lambda: real() + 3 * pulse.SILENT)
    assert loop.pulse() is None
