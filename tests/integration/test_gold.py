"""The aggregates and the newest readings equal those of the readings, whatever happened to these."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import gold
import psycopg
import pyarrow as pa
import pytest
import structlog
from patience import PATIENCE
from proxy import Proxy
from samples import arrival, claim

from sensorflow import failpoints
from sensorflow.adapters.postgres.gold import Gold
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.core.readings import SILVER
from sensorflow.core.states import State
from sensorflow.embedded.postgres import Postgres
from sensorflow.failpoints import Failpoint
from sensorflow.flow.gold import GOLD, GoldLoop, gold_step
from sensorflow.flow.housekeeping import Housekeeping
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import Expirable

STEPS = int(os.environ.get("GOLD_STEPS", "40"))
"""Steps of the random test. `make gold` runs more."""
SEED = int(os.environ.get("GOLD_SEED", "0")) or random.randrange(10**6)
POINTS = (Failpoint.GOLD_TAKEN, Failpoint.GOLD_MINUTES, Failpoint.GOLD_REFRESHED)
STARTS = [
    datetime(2025, 12, 31, 23, 58, 30, tzinfo=UTC),  # into another minute, hour, day and month
    datetime(2026, 1, 10, 5, 0, tzinfo=UTC),
    datetime(2026, 1, 10, 9, 59, 59, tzinfo=UTC),
    datetime(2026, 2, 3, 4, 5, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]
VALUES = [1.0, -1.5, 20.25, 1e9 + 0.1, -0.0, 1e-300]
ODD_VALUES = [float("nan"), float("inf"), float("-inf"), 1e200, -1.7e308, 1e100, 5e-324, 1e-99]


def silver(rows: list[tuple[datetime, str, str, float, str, int]]) -> pa.RecordBatch:
    """Readings as (ts, sensor, type, value, unit, quality), in lines of their own."""
    seen: dict[Any, int] = {}
    ordinals = [seen.setdefault(r[:3], 0) for r in rows]
    for number, row in enumerate(rows):
        ordinals[number] = seen[row[:3]]
        seen[row[:3]] += 1
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 6
    given = [*columns, list(range(1, len(rows) + 1)), ordinals]
    arrays = [pa.array(v, f.type) for v, f in zip(given, SILVER, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SILVER)


class Plant:
    """A ledger and a refresher, to which a random number generator does things."""

    def __init__(self, url: str, deferred: bool, seed: int) -> None:
        self.url, self.draw = url, random.Random(seed)
        self.ledger = PostgresLedger(url, "test", deferred=deferred)
        self.gold = Gold(url, "test")
        self._contents = 0

    def close(self) -> None:
        self.ledger.close()
        self.gold.close()

    def readings(self, most: int = 12) -> pa.RecordBatch:
        draw, rows = self.draw, []
        start = draw.choice(STARTS[:4] * 5 + STARTS) + timedelta(hours=draw.choice([0, 0, 3, 50]))
        offsets = draw.choice([[0, 1, 59], [0, 1, 59, 60, 90], [1, 60, 3600, 86_400]])
        sensors = draw.choice(["a", "b", "ab", "abc"])
        for _ in range(draw.choice([0, 1, 2, 2, 5, most])):
            ts = start + timedelta(seconds=draw.choice(offsets))
            ts += timedelta(microseconds=draw.choice([0, 0, 1, 999_999]))
            value = draw.choice(VALUES if draw.random() < 0.97 else ODD_VALUES)
            sensor, unit = draw.choice(sensors), draw.choice(["degC", ""])
            rows.append((ts, sensor, "temperature", value, unit, draw.choice([0, 0, 1, 2])))
        return silver(rows)

    def file(self, key: str, content: int | None = None) -> int:
        self._contents += 1
        found = arrival(key.encode(), (content or self._contents) % 256, str(self._contents))
        return self.ledger.register(found, OnChange.MERGE, True).file_id

    def load(self, file_id: int, given: pa.RecordBatch, on_change: OnChange) -> None:
        view = self.ledger.file(file_id)
        assert view is not None
        name = f"plant/{view.name}"
        plan = Load(Counts(read=len(given)), on_change, "p", "h", "0", (), name)
        parts = [(part, keys(part, name)) for part in (given[:3], given[3:]) if len(part)]
        self.ledger.load(claim(self.ledger, file_id), parts, plan)

    def of_state(self, *states: State) -> list[int]:
        return sorted(v.file_id for v in self.ledger.select(states))

    # --- what happens ---

    def new_version(self) -> None:
        key = self.draw.choice(["a.csv", "b.csv", "c.csv"])
        file_id = self.file(key)
        view = self.ledger.file(file_id)
        if view is None or view.state is not State.PENDING:
            return
        on_change = self.draw.choice([OnChange.MERGE, OnChange.SUPERSEDE])
        self.load(file_id, self.readings(), on_change)

    def batch(self) -> None:
        given = []
        for _ in range(2):
            key = f"batch{self._contents}.csv"
            rows, file_id = self.readings(4), self.file(key)
            plan = Load(
                Counts(len(rows), len(rows)), OnChange.MERGE, "p", "h", "0", (), f"plant/{key}"
            )
            parts = [(rows, keys(rows, f"plant/{key}"))] if len(rows) else []
            given.append((claim(self.ledger, file_id), parts, plan))
        assert self.ledger.load_batch(given) is not None

    def undo(self) -> None:
        if found := self.of_state(State.LOADED):
            assert self.ledger.undo(self.draw.choice(found), "")
        self.finish_pending()

    def replay(self) -> None:
        if found := self.of_state(State.LOADED, State.UNDONE):
            self.ledger.replay(self.draw.choice(found))
        self.finish_pending()

    def finish_pending(self) -> None:
        """Files that an undo or a replay has made pending are loaded, with other readings."""
        for file_id in self.of_state(State.PENDING):
            self.load(file_id, self.readings(), OnChange.MERGE)

    def expire(self) -> None:
        self.ledger.expire("plant", Expirable.ROWS, 60, limit=self.draw.choice([1, 3]))

    def fail(self) -> None:
        """A load that inserts rows, and is rolled back."""
        file_id = self.file(f"bad{self._contents}.csv")
        rows = self.readings()

        def batches() -> Iterator[Any]:
            if len(rows):
                yield rows, keys(rows, "x")
            raise InterruptedError

        plan = Load(Counts(read=len(rows)), OnChange.MERGE, "p", "h", "0", (), "x")
        with pytest.raises(InterruptedError):
            self.ledger.load(claim(self.ledger, file_id, 0), batches(), plan)
        self.ledger.undo(file_id, "")

    def refresh(self) -> None:
        self.gold.refresh_once(self.draw.choice([1, 4, 100]))

    def kill(self) -> None:
        if self.gold.is_pending():
            kill_refresher(self.url, self.draw.choice(POINTS), self.draw.choice([1, 4, 100]))

    def quiet(self) -> None:
        until = time.monotonic() + PATIENCE
        while self.gold.is_pending():
            assert time.monotonic() < until
            self.gold.refresh_once(self.draw.choice([1, 7, 100]))

    def check(self) -> None:
        self.quiet()
        assert gold.differences(self.url) == []


def child_of_refresh(url: str, point: str, hours: int) -> int:
    """Fork a process that refreshes once, and that a failpoint ends or suspends. Returns its PID."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ |= {failpoints.TESTING: "1", failpoints.VARIABLE: point}
        failpoints._triggers.cache_clear()
        while Gold(url, "child").refresh_once(hours) is None:
            time.sleep(0.01)  # the server has not noticed yet that the one before was killed
    finally:
        os._exit(0)


def kill_refresher(url: str, point: Failpoint, hours: int) -> None:
    _, status = os.waitpid(child_of_refresh(url, str(point), hours), 0)
    assert os.WIFSIGNALED(status) or point is not Failpoint.GOLD_TAKEN


@pytest.fixture
def plant(indexed: str, index: str) -> Iterator[Plant]:
    made = Plant(indexed, index == "deferred", SEED)
    yield made
    made.close()


def test_after_anything_the_aggregates_equal_a_computation_from_the_readings(plant: Plant) -> None:
    print("GOLD_SEED", SEED)
    actions = [plant.new_version] * 5 + [plant.batch, plant.undo, plant.undo, plant.replay]
    actions += [plant.expire, plant.fail, plant.refresh, plant.refresh, plant.kill, plant.check]
    for _ in range(STEPS):
        plant.draw.choice(actions)()
    plant.check()


# --- single cases ---

DAY = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.fixture
def small(emptied: str) -> Iterator[Plant]:
    made = Plant(emptied, False, 0)
    yield made
    made.close()


def rows_at(*times: datetime, sensor: str = "a", value: float = 1.0) -> pa.RecordBatch:
    return silver([(ts, sensor, "temperature", value, "degC", 0) for ts in times])


def hours(day: int, *of_day: int) -> list[datetime]:
    return [DAY + timedelta(days=day, hours=hour) for hour in of_day]


def ask(plant: Plant, query: str, *values: Any) -> list[Any]:
    with psycopg.connect(plant.url, options="-c TimeZone=UTC") as c:
        return c.execute(query, values).fetchall()  # type: ignore[arg-type]


@pytest.mark.parametrize("point", [Failpoint.GOLD_TAKEN, Failpoint.GOLD_MINUTES])
def test_a_load_that_commits_while_the_refresher_works_is_not_lost(
    small: Plant, point: Failpoint
) -> None:
    """Into the minutes that the refresher has taken from the queue, and into others of their hour."""
    small.load(small.file("a.csv"), rows_at(DAY), OnChange.MERGE)
    pid = child_of_refresh(small.url, f"stop@{point}", 10)
    os.waitpid(pid, os.WUNTRACED)
    times = DAY + timedelta(seconds=1), DAY + timedelta(minutes=5)
    small.load(small.file("b.csv"), rows_at(*times, sensor="b"), OnChange.MERGE)
    small.load(small.file("a.csv"), rows_at(DAY, value=2.0), OnChange.SUPERSEDE)
    assert small.gold.refresh_once(10) is None  # one at a time
    os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)
    assert small.gold.is_pending()
    small.check()


def test_the_hours_of_a_superseded_version_are_computed_again(small: Plant) -> None:
    small.load(small.file("a.csv"), rows_at(*hours(0, 1)), OnChange.MERGE)
    small.check()
    small.load(small.file("a.csv"), rows_at(*hours(20, 1)), OnChange.SUPERSEDE)
    small.check()
    assert ask(small, "SELECT bucket FROM readings_1h") == [(DAY + timedelta(days=20, hours=1),)]


def test_the_newest_reading_is_found_again_after_an_undo(small: Plant) -> None:
    ids = [small.file(f"{n}.csv") for n in range(3)]
    for number, file_id in enumerate(ids):
        small.load(file_id, rows_at(*hours(40 * number, 3, 4)), OnChange.MERGE)
    small.check()
    for file_id in (*ids[:0:-1], ids[0]):
        small.ledger.undo(file_id, "")
        small.check()
    assert ask(small, "SELECT * FROM readings_latest") == []


def test_the_newest_reading_is_right_when_two_ranges_of_it_are_computed_one_after_the_other(
    small: Plant,
) -> None:
    """The aggregates name readings that have gone already, until their range is computed, too."""
    ids = [small.file(f"{n}.csv") for n in range(3)]
    for number, file_id in enumerate(ids):
        small.load(file_id, rows_at(*hours(number, 3)), OnChange.MERGE)
    small.check()
    small.ledger.undo(ids[2], "")
    small.ledger.undo(ids[1], "")
    for _ in range(2):
        small.gold.refresh_once(1)
    small.check()
    assert ask(small, "SELECT ts FROM readings_latest") == [(hours(0, 3)[0],)]


def test_the_newest_hours_are_computed_first(small: Plant) -> None:
    for day in (1, 3, 2):
        small.load(small.file(f"{day}.csv"), rows_at(*hours(day, 0, 1)), OnChange.MERGE)
    small.gold.refresh_once(3)
    found = ask(small, "SELECT bucket FROM gold_1h ORDER BY 1")
    assert [row[0] for row in found] == [*hours(2, 1), *hours(3, 0, 1)]
    small.check()


def test_a_range_of_years_is_expanded_month_by_month_where_there_are_readings(
    small: Plant,
) -> None:
    ends = datetime(1975, 6, 1, tzinfo=UTC), *hours(0, 5)
    small.load(small.file("a.csv"), rows_at(*ends), OnChange.MERGE)
    small.gold.refresh_once(1)
    (count,) = ask(small, "SELECT count(*) FROM gold_stale")[0]
    assert 0 < count <= 24 * 31
    assert ask(small, "SELECT last_ts FROM gold_1d") == [(ends[1],)]
    small.check()
    months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'gold_1m'::regclass"
    assert ask(small, months) == [(2,)]


def test_the_watermark_is_the_oldest_change_that_the_aggregates_lack(small: Plant) -> None:
    fresh = "SELECT fresh_to = now(), pending FROM gold_watermark"
    assert ask(small, fresh) == [(True, 0)]
    assert small.gold.lag_seconds() == 0
    small.load(small.file("a.csv"), rows_at(*hours(0, 1)), OnChange.MERGE)
    touched = ask(small, "SELECT touched_at, 1 FROM readings_touched")
    small.load(small.file("b.csv"), rows_at(*hours(9, 1, 2)), OnChange.MERGE)
    small.gold.refresh_once(2)  # the newer ones
    assert ask(small, "SELECT fresh_to, pending FROM gold_watermark") == touched
    assert small.gold.lag_seconds() > 0
    small.quiet()
    assert ask(small, fresh) == [(True, 0)]


def test_views_show_the_mean_the_deviation_and_the_share_of_flagged_readings(small: Plant) -> None:
    given = [(DAY, "a", "temperature", v, "degC", q) for v, q in ((2.0, 0), (4.0, 4), (9.0, 0))]
    small.load(
        small.file("a.csv"), silver([*given, (DAY, "b", "humidity", 1.0, "", 0)]), OnChange.MERGE
    )
    small.check()
    shown = "sensor_id, count, avg, round(stddev::numeric, 6)::float, flagged_share, first, last"
    for span in ("1m", "1h", "1d"):
        found = ask(small, f"SELECT {shown} FROM readings_{span} ORDER BY 1")
        assert found == [
            ("a", 3, 5.0, 3.605551, 1 / 3, 2.0, 9.0),
            ("b", 1, 1.0, None, 0.0, 1.0, 1.0),
        ]


def test_equal_aggregates_are_not_written_again(small: Plant) -> None:
    small.load(small.file("a.csv"), rows_at(*hours(0, 1, 2)), OnChange.MERGE)
    small.check()
    written = "SELECT bucket, xmin::text FROM gold_1m"
    before = ask(small, written)
    ask(
        small,
        "INSERT INTO readings_touched (source, low, high) VALUES ('', %s, %s) RETURNING 1",
        DAY,
        DAY + timedelta(days=1),
    )
    small.check()
    assert ask(small, written) == before


def test_what_an_older_version_changes_is_recorded_by_a_trigger(small: Plant) -> None:
    """Its sessions do not set the parameter by which this version says that it records itself."""
    file_id = small.file("a.csv")
    small.load(file_id, rows_at(*hours(0, 1)), OnChange.MERGE)
    small.check()
    with psycopg.connect(small.url) as old:
        old.execute("DELETE FROM raw_readings")
        old.execute("UPDATE files SET state = 'undone'")
    assert small.gold.is_pending()
    small.check()
    assert ask(small, "SELECT 1 FROM gold_1d") == []


def test_an_hour_that_changes_again_while_it_is_queued_is_computed_for_all_its_changes(
    small: Plant,
) -> None:
    """Other minutes, before and after, and other sensors. A newer hour delays it."""
    (hour,), half = hours(0, 1), timedelta(minutes=20)
    small.load(small.file("newer.csv"), rows_at(*hours(1, 1)), OnChange.MERGE)
    small.load(small.file("a.csv"), rows_at(hour + half), OnChange.MERGE)
    small.gold.refresh_once(1)
    assert ask(small, "SELECT hour FROM gold_stale") == [(hour,)]
    small.load(small.file("newest.csv"), rows_at(*hours(2, 1)), OnChange.MERGE)
    small.load(small.file("b.csv"), rows_at(hour, hour + half, sensor="b"), OnChange.MERGE)
    small.load(small.file("c.csv"), rows_at(hour + 2 * half, sensor="c"), OnChange.MERGE)
    small.gold.refresh_once(1)
    assert ask(small, "SELECT hour, sensors FROM gold_stale") == [(hour, ["a", "b", "c"])]
    small.check()


def test_the_newest_reading_is_right_when_its_minute_keeps_others(small: Plant) -> None:
    first, second = small.file("a.csv"), small.file("b.csv")
    small.load(first, rows_at(DAY), OnChange.MERGE)
    small.load(second, rows_at(DAY + timedelta(seconds=9)), OnChange.MERGE)
    small.check()
    small.ledger.undo(second, "")
    small.check()
    small.load(small.file("a.csv"), rows_at(DAY - timedelta(hours=9), DAY), OnChange.SUPERSEDE)
    small.check()  # the same aggregates, but another file and line


def test_the_loop_of_a_daemon_survives_an_outage_and_logs_it_once(
    postgres: Postgres, small: Plant
) -> None:
    host, port = urlsplit(postgres.url).hostname, urlsplit(postgres.url).port
    assert host
    assert port
    with Proxy(host, port) as proxy, structlog.testing.capture_logs() as logs:
        ledger = PostgresLedger(proxy.url(small.url), "test")
        loop = GoldLoop(ledger, ledger)
        thread = threading.Thread(target=loop.run)
        thread.start()
        small.load(small.file("a.csv"), rows_at(DAY), OnChange.MERGE)
        wait(lambda: not small.gold.is_pending())
        proxy.refuse()
        proxy.reset()
        small.load(small.file("b.csv"), rows_at(*hours(1, 1)), OnChange.MERGE)
        wait(lambda: loop._failures > 1)
        assert small.gold.is_pending()
        proxy.pass_all()
        wait(lambda: not small.gold.is_pending())
        loop.stop()
        thread.join(PATIENCE)
        ledger.close()
    assert [log["event"] for log in logs] == ["gold.paused"]
    small.check()


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_step_of_housekeeping_refreshes_only_where_no_daemon_does(small: Plant) -> None:
    housekeeping = Housekeeping(small.ledger, (gold_step(small.ledger),))
    loop = GoldLoop(small.ledger, small.ledger)
    small.load(small.file("a.csv"), rows_at(*hours(0, 1, 2)), OnChange.MERGE)
    loop._mark()
    assert housekeeping.run(GOLD) == {}
    ask(small, "DELETE FROM leases RETURNING 1")
    assert housekeeping.run(GOLD) == {"hours refreshed": 2}
    small.check()
