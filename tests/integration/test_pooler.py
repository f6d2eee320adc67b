"""PgBouncer: in session mode all works, in the others nothing is begun."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
import warm
from bouncer import bouncer
from fleet import fleet, rows, text
from samples import add, batch, claim, load, state
from servers import ServerFolder

from sensorflow.adapters.postgres import inspect, pooler
from sensorflow.adapters.postgres.connect import MAX_IDLE_SECONDS, engine_of, translated
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.states import State
from sensorflow.errors import Code, Transient, UsageError


@pytest.fixture
def folder(place: ServerFolder, tmp_path: Path) -> Path:
    return place.root / f"bouncer-{tmp_path.name}"


@pytest.mark.parametrize(
    ("mode", "robin"), [("transaction", 0), ("transaction", 1), ("statement", 0)]
)
def test_a_pooler_that_is_not_in_session_mode_is_refused(
    database: str, folder: Path, mode: str, robin: int
) -> None:
    with bouncer(database, folder, mode, robin) as url:
        with pytest.raises(UsageError, match="session mode") as caught:
            inspect.require_sessions(url)
        assert caught.value.code is Code.POOLER
        assert "\n" not in str(caught.value)
        ledger = PostgresLedger(url, "test")
        for _ in range(2):
            with pytest.raises(Transient, match="session mode"):
                ledger.totals()
        ledger.close()


def test_in_session_mode_files_are_loaded_and_no_setting_of_the_pooler_is_needed(
    database: str, folder: Path
) -> None:
    with bouncer(database, folder, "session") as url:
        inspect.require_sessions(url)
        ledger = PostgresLedger(url, "test")
        file_id = add(ledger)
        load(ledger, claim(ledger, file_id), batch())
        assert state(ledger, file_id) is State.LOADED
        with ledger.publisher_lease() as is_mine:
            assert is_mine()
        ledger.close()
        engine = engine_of(url)
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SHOW lock_timeout")) == "20s"
            assert connection.scalar(sa.text("SHOW TimeZone")) == "UTC"
        engine.dispose()


def test_a_pool_at_its_limit_keeps_nobody_from_the_start(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no connection left for a look at the pooler."""
    monkeypatch.setattr(pooler, "PATIENCE", 1.0)
    with bouncer(database, folder, "session", size=1) as url:
        for _ in range(2):
            assert inspect.server(url).version.startswith("PostgreSQL")


def test_a_session_that_is_moved_later_is_noticed(database: str, folder: Path) -> None:
    """As by a pooler that was not there, or in another mode, at the start."""
    engine = engine_of(database, pool_size=1)
    with engine.connect() as connection:
        connection.info["pid"] = 1
    time.sleep(1.5 * MAX_IDLE_SECONDS)
    with pytest.raises(Transient) as caught, translated(), engine.connect():
        pass
    assert caught.value.code is Code.POOLER
    engine.dispose()


def test_daemon_worker_and_doctor_say_session_mode_in_one_line(
    project: Path, database: str, folder: Path, valkey_url: str
) -> None:
    with bouncer(database, folder, "transaction") as url, fleet(project, url, valkey_url) as f:
        f.put("one.csv", text(rows(1, 3, random.Random(1))))
        celery = ["celery", "-A", "workers", "worker"]
        for command in (["sensorflow", "watch"], ["sensorflow", "worker"], celery):
            done = warm.run(command, f.env, project)
            assert done.returncode == 2
            (line,) = [line for line in done.stderr.decode().splitlines() if "session mode" in line]
            assert line.startswith("sensorflow: database_url points to a pooler")
        output = warm.run(["sensorflow", "doctor"], f.env, project).stdout.decode()
        (found,) = [line for line in output.splitlines() if line.startswith("fail  database")]
        assert "session mode" in found
        assert "pool_mode = session" in output
