"""The contract of heartbeats in `ports.ledger.Ledger`, on PostgreSQL and in memory alike."""

from __future__ import annotations

import time
from dataclasses import replace

from sensorflow.core.heartbeat import LoopReport, Role
from sensorflow.ports.ledger import Ledger

INTAKE = LoopReport(Role.INTAKE, "host-a", 7, "boot 7 1", "digest", {"sources": ["plant"]})
PUBLISHER = replace(INTAKE, role=Role.PUBLISHER, state={})
WORKER = LoopReport(Role.WORKER, "host-b", 7, "boot 7 2", "digest", {"children": 1, "most": 4})


def test_each_loop_of_each_process_has_one_heartbeat(ledger: Ledger) -> None:
    for report in (WORKER, INTAKE, PUBLISHER, INTAKE):
        ledger.record_report(report)
    found = ledger.heartbeats()
    assert [b.report for b in found] == [INTAKE, PUBLISHER, WORKER]
    assert all(b.is_alive and b.started_at <= b.beat_at for b in found)


def test_a_later_heartbeat_says_what_holds_now_and_keeps_the_start(ledger: Ledger) -> None:
    ledger.record_report(INTAKE)
    [first] = ledger.heartbeats()
    time.sleep(0.05)
    paused = {"paused": {"code": "I505 database-full"}}
    ledger.record_report(replace(INTAKE, settings="edited", state=paused))
    [second] = ledger.heartbeats()
    assert (second.report.settings, second.report.paused) == ("edited", paused["paused"])
    assert second.started_at == first.started_at
    assert second.beat_at > first.beat_at


def test_a_process_that_ends_leaves_no_heartbeat(ledger: Ledger) -> None:
    for report in (INTAKE, PUBLISHER, WORKER):
        ledger.record_report(report)
    ledger.remove_reports(INTAKE.process)
    ledger.remove_reports(INTAKE.process)
    assert [b.report for b in ledger.heartbeats()] == [WORKER]
