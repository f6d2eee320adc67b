"""A heartbeat is of the loop, not of the thread that sends it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import redis

from sensorflow import waiting
from sensorflow.core.health import health, stalled, summary
from sensorflow.core.heartbeat import Heartbeat, LoopReport, Role
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.flow import heartbeats
from sensorflow.flow.heartbeats import HeartbeatSender
from sensorflow.flow.liveness import LivenessFile
from sensorflow.testing.ledger import MemoryLedger

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_loop_that_does_not_go_on_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = HeartbeatSender(MemoryLedger(), "host", 1, "p", "digest").add_loop(Role.INTAKE)
    assert loop.report() is not None
    real = heartbeats.now
    monkeypatch.setattr(heartbeats, "now", lambda: real() + heartbeats.MAX_SILENCE_SECONDS + 1)
    assert loop.report() is None
    loop.begin_long_call()
    assert loop.report() is not None
    loop.touch()
    assert loop.report() is not None


def _ask_broker(port: int) -> None:
    redis.Redis(port=port).ping()


def _ask_database(port: int) -> None:
    psycopg.connect(f"postgresql://x@127.0.0.1:{port}/x?connect_timeout=60")


@pytest.mark.parametrize(
    ("ask", "code", "reason"),
    [
        (_ask_broker, Code.BROKER, "the broker has not answered for"),
        (_ask_database, Code.DATABASE, "the database has not answered for"),
        (lambda _: time.sleep(60), None, None),
    ],
)
def test_a_loop_that_waits_for_a_server_is_paused_and_not_stuck(
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[int], None],
    code: Code | None,
    reason: str | None,
) -> None:
    loop = HeartbeatSender(MemoryLedger(), "host", 1, "p", "digest").add_loop(Role.INTAKE)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and never answers

        def run() -> None:
            loop.touch()
            with suppress(Exception):
                ask(server.getsockname()[1])

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        client = None if code is None else server.accept()[0]
        until = time.monotonic() + 10
        while waiting.awaited(thread.ident or 0) != code and time.monotonic() < until:
            time.sleep(0.01)
        real = heartbeats.now
        monkeypatch.setattr(heartbeats, "now", lambda: real() + heartbeats.MAX_SILENCE_SECONDS + 1)
        report = loop.report()
        if client is not None:
            client.close()
    if code is None:
        assert report is None
        return
    assert report is not None
    assert report.paused is not None
    assert report.paused["code"] == str(code)
    assert report.paused["reason"].startswith(reason)


def test_a_pause_is_told_since_when_until_it_is_over() -> None:
    loop = HeartbeatSender(MemoryLedger(), "host", 1, "p", "digest").add_loop(Role.INTAKE)
    loop.pause(Transient(Code.STORAGE, "full", do="restart it"))
    first = loop.report()
    loop.pause(Transient(Code.STORAGE, "still full"))
    loop.resume(is_confirmed=False)
    second = loop.report()
    assert first is not None
    assert second is not None
    assert first.paused is not None
    assert second.paused is not None
    assert (second.paused["since"], second.paused["reason"]) == (
        first.paused["since"],
        "still full",
    )
    assert (first.paused["do"], second.paused["do"]) == ("restart it", "")
    loop.resume()
    third = loop.report()
    assert third is not None
    assert third.paused is None


def test_health_names_what_is_missing_paused_or_set_otherwise() -> None:
    ledger = MemoryLedger()
    heartbeats = HeartbeatSender(ledger, "host", 1, "p", "digest")
    for role in (Role.INTAKE, Role.PUBLISHER, Role.WORKER):
        loop = heartbeats.add_loop(role)
        loop.pause(Transient(Code.BROKER, "away"))
        found = loop.report()
        assert found is not None
        ledger.record_report(found)
    checks = list(health(ledger.heartbeats(), "edited", lambda _: False))
    failed = [c.what for c in checks if c.verdict == "fail"]
    assert failed == ["beat", "paused", "paused", "paused"]
    assert [c.what for c in checks if c.verdict == "warn"] == ["running settings"]
    assert "beat: none is running" in summary(checks)


def worker(process: str, started: float, last: float) -> Heartbeat:
    """A worker of the one host; started and last heard of so many seconds ago."""
    known = LoopReport(Role.WORKER, "host", 7, process, "digest")
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
    heartbeats = HeartbeatSender(ledger, "host", 1, "p", "digest")
    loop = heartbeats.add_loop(Role.WORKER, ending=True)
    found = loop.report()
    assert found is not None
    ledger.record_report(found)
    checks = list(health(ledger.heartbeats(), "edited", lambda _: False))
    assert {c.found for c in checks} == {"none is running"}


def test_a_loop_is_vouched_for_while_a_long_call_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, real = (
        HeartbeatSender(MemoryLedger(), "host", 1, "p", "digest").add_loop(Role.INTAKE),
        heartbeats.now,
    )
    with loop.long_call():
        monkeypatch.setattr(heartbeats, "now", lambda: real() + heartbeats.MAX_SILENCE_SECONDS + 1)
        assert loop.report() is not None
    monkeypatch.setattr(heartbeats, "now", lambda: real() + 3 * heartbeats.MAX_SILENCE_SECONDS)
    assert loop.report() is None


def test_workers_that_finish_nothing_while_files_wait_are_told() -> None:
    def busy(minutes: int | None) -> Heartbeat:
        state = {"children": 2, "most": 2, **({"busy": minutes} if minutes else {})}
        beat = worker("boot ns1 7 5", 9000, 1)
        return replace(beat, report=replace(beat.report, state=state))

    def messages(*minutes: int | None, waiting: int = 35) -> list[str]:
        return [check.verdict for check in stalled([busy(m) for m in minutes], waiting)]

    assert messages(4) == messages(None) == messages() == []
    assert messages(5) == ["warn"]
    assert messages(15) == ["fail"]
    assert messages(15, None) == []  # another worker goes on
    assert messages(15, waiting=2) == []  # they have all there is


def test_a_liveness_file_is_touched_only_while_all_loops_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the database: its store is never asked."""
    path, real = tmp_path / "alive", heartbeats.now
    sender = HeartbeatSender(MemoryLedger(), "host", 1, "p", "digest")
    going, hanging = sender.add_loop(Role.INTAKE), sender.add_loop(Role.PUBLISHER)
    file = LivenessFile(path, sender.is_alive, every=0.001)
    file.start()

    def is_touched() -> bool:
        os.utime(path, (1, 1))
        until = time.monotonic() + 0.05
        while time.monotonic() < until and (touched := path.stat().st_mtime) == 1:
            time.sleep(0.001)
        return touched != 1

    assert is_touched()
    monkeypatch.setattr(heartbeats, "now", lambda: real() + heartbeats.MAX_SILENCE_SECONDS + 1)
    going.touch()
    time.sleep(0.01)  # a round that began before
    assert not is_touched()
    hanging.begin_long_call()
    assert is_touched()
    file.stop()
    assert not path.exists()


def test_a_liveness_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"liveness_file: .*/gone/alive: No such file"):
        LivenessFile(tmp_path / "gone" / "alive", lambda: True).start()
