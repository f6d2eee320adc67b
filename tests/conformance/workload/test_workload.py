"""The contract of `ports.workload.Workload`, on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Thread

import psycopg
import pytest
from fresh_database import FreshDatabase
from samples import arrival, claim

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.controls import Mode
from sensorflow.core.heartbeat import LoopReport, Role
from sensorflow.core.scaling import FILE_SECONDS, Node
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Transient
from sensorflow.flow.scaling import FleetScaler, load_of
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load

LARGE = 1000


@pytest.fixture
def database(spare: Callable[[str], FreshDatabase]) -> Iterator[FreshDatabase]:
    found = spare("unique")
    yield found
    found.empty()


@pytest.fixture
def ledger(database: FreshDatabase) -> Iterator[PostgresLedger]:
    new_ledger = PostgresLedger(database.url, "test")
    yield new_ledger
    new_ledger.close()


def add(ledger: PostgresLedger, number: int) -> int:
    return ledger.register(arrival(b"%d.csv" % number, number), OnChange.MERGE, False).file_id


def finish(ledger: PostgresLedger, file_id: int, seconds: float) -> None:
    """Load nothing, in so many seconds."""
    claimed: Claim = claim(ledger, file_id)
    report = StageReport(Stage.TRANSFORM, seconds, 0)
    ledger.load(claimed, [], Load(Counts(), OnChange.MERGE, "p", "h", "0", (report,)))


def test_only_work_that_can_be_done_now_counts(ledger: PostgresLedger) -> None:
    assert ledger.open_work(LARGE) == []
    ids = [add(ledger, number) for number in range(3)]
    claimed = claim(ledger, ids[0])
    [work] = ledger.open_work(LARGE)
    assert (work.source, work.large, work.stage) == ("plant", False, Stage.VALIDATE)
    assert (work.files, work.bytes) == (3, 300)
    assert 0 <= work.age < 60
    assert ledger.open_work(large_bytes=100)[0].large
    ledger.nack(claimed, Transient(Code.DATABASE, "away"), 60.0, False)
    assert ledger.open_work(LARGE)[0].files == 2, "a file whose retry is not due is no work"


def test_files_that_wait_because_their_source_is_paused_need_no_worker(
    ledger: PostgresLedger,
) -> None:
    ids = [add(ledger, number) for number in range(3)]
    claim(ledger, ids[0])
    ledger.hold_back("plant", Mode.PAUSED, "anna")
    [work] = ledger.open_work(LARGE)
    assert work.files == 1  # which a worker has
    ledger.hold_back("plant", Mode.DRAINING, "anna")
    [work] = ledger.open_work(LARGE)
    assert work.files == 3


def recorded_seconds(database: FreshDatabase) -> float:
    """Return the seconds of work in the events: those given to `finish`, and those that the loads took."""
    with psycopg.connect(database.url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT sum(seconds) FROM file_events").fetchone()
    assert row is not None
    return float(row[0])


def test_rates_come_from_the_files_that_were_finished(
    ledger: PostgresLedger, database: FreshDatabase
) -> None:
    assert ledger.rates().cost == ledger.rates().arrived == {}
    for number in range(4):
        file_id = add(ledger, number)
        if number:
            finish(ledger, file_id, 0.5)
    found = ledger.rates()
    cost = found.cost["plant"]
    assert (cost.files, cost.bytes) == (3, 300)
    assert cost.seconds == pytest.approx(recorded_seconds(database))
    assert cost.seconds >= 1.5
    each = cost.seconds / 3
    assert found.arrived == {"plant": (4, 400)}
    assert 1 <= found.seconds <= 10
    load = load_of(ledger.open_work(LARGE), found, 0.0)
    assert load.waiting == load.loading == pytest.approx(each, rel=0.1)
    assert load.arriving == pytest.approx(4 * each / found.seconds, rel=0.1)


def test_sessions_that_wait_for_a_lock_count_as_blocked(
    ledger: PostgresLedger, database: FreshDatabase
) -> None:
    assert ledger.blocked() == 0.0
    url = database.url.replace("+psycopg", "")
    with (
        psycopg.connect(url) as holder,
        psycopg.connect(url, application_name="sensorflow") as waiter,
    ):
        holder.execute("LOCK files IN ACCESS EXCLUSIVE MODE")
        stuck = Thread(target=lambda: waiter.execute("SELECT count(*) FROM files"))
        stuck.start()
        until = time.monotonic() + 10
        while (found := ledger.blocked()) == 0.0 and time.monotonic() < until:
            time.sleep(0.02)
        holder.rollback()
        stuck.join()
    assert found == 1.0
    assert ledger.blocked() == 0.0


def test_two_workers_agree_on_their_shares(ledger: PostgresLedger) -> None:
    for number in range(250):
        add(ledger, number)
    for name in ("a", "b"):
        state = {"children": 1, "least": 1, "most": 4, "limit": 4}
        ledger.record_report(LoopReport(Role.WORKER, "host", 1, name, "digest", state))
    plans = {name: FleetScaler(ledger, name, LARGE).plan(Node(1, 4, 1)) for name in ("a", "b")}
    assert (
        {plan.nodes for plan in plans.values()} == {plan.present for plan in plans.values()} == {2}
    )
    assert plans["a"].work == pytest.approx(250 * FILE_SECONDS, rel=0.1)
    expected = plans["a"].wanted
    assert expected >= 2
    assert sum(plan.mine for plan in plans.values()) == expected
    ledger.remove_reports("b")
    assert FleetScaler(ledger, "a", LARGE).plan(Node(1, 4, 1)).mine == min(4, expected)


def test_a_source_needs_no_more_processes_than_its_quota(ledger: PostgresLedger) -> None:
    for number in range(250):
        add(ledger, number)
    plan = FleetScaler(ledger, "a", LARGE, {"plant": 1}).plan(Node(1, 9, 1))
    free = FleetScaler(ledger, "a", LARGE, {"roof": 1}).plan(Node(1, 9, 1))
    assert (plan.wanted, plan.mine) == (
        2,
        2,
    )  # one for the files that wait, one for those that arrive
    assert free.wanted > 2


def test_no_work_is_known_while_the_ledger_is_away() -> None:
    away = PostgresLedger("postgresql://nobody@127.0.0.1:1/none", "test")
    plan = FleetScaler(away, "a", LARGE).plan(Node(1, 4, 3))
    assert (plan.wanted, plan.mine, plan.present) == (0, 1, 3)
