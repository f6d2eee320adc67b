"""The flow on a real ledger: versions, a replay, and files that one transaction loads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fresh_database import FreshDatabaseWithClock
from stored import Stored, storing
from test_flow import HEAD, attempts, content, names

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.states import State
from sensorflow.core.touched import Touched
from sensorflow.errors import Code, Transient
from sensorflow.flow import micro_batch
from sensorflow.flow.outcomes import Outcome


@pytest.fixture
def stored(clocked: FreshDatabaseWithClock) -> Iterator[Stored]:
    with storing(clocked) as pipeline:
        yield pipeline


def test_a_replayed_file_goes_through_by_the_settings_as_they_are_now(stored: Stored) -> None:
    plant = stored()
    file = plant.drop(content(8) + content(2, "x").removeprefix(HEAD))
    plant.work()
    plant.work()
    source = plant.settings.sources["plant"].model_copy(update={"max_rejects": "50%"})
    plant.settings.sources["plant"] = source
    assert plant.ledger.replay(file.file_id)
    (result,) = plant.work()
    assert "read=10 loaded=8 rejected=2" in result.text


def test_a_newer_version_replaces_what_it_states_again_in_rows_and_in_silver(
    stored: Stored,
) -> None:
    plant = stored()
    first = plant.drop(content(5))
    plant.work()
    second = plant.drop(content(3, "9.5"))
    plant.work()
    assert (plant.state(first.file_id), plant.state(second.file_id)) == ("loaded", "loaded")
    values = sorted(plant.values())
    assert values == [1.5, 1.5, 9.5, 9.5, 9.5]
    assert (plant.silver_rows(first.file_id), plant.silver_rows(second.file_id)) == (2, 3)


def test_a_superseding_version_replaces_the_rows_and_the_silver_of_the_first_one(
    stored: Stored,
) -> None:
    plant = stored(on_change="supersede")
    first = plant.drop(content(5))
    plant.work()
    second = plant.drop(content(4, "9.5"))
    plant.work()
    assert (plant.state(first.file_id), plant.state(second.file_id)) == ("superseded", "loaded")
    assert set(plant.values()) == {9.5}
    with pytest.raises(Transient):
        plant.silver_rows(first.file_id)


def test_a_small_file_that_is_a_large_one_compressed_goes_alone(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batch, "MAX_READINGS", 20)
    plant = stored()
    sizes = (1, 15, 50, 3, 8)
    files = [plant.drop(content(rows), names(rows)) for rows in sizes]
    plant.work()
    assert [plant.silver_rows(f.file_id) for f in files] == list(sizes)
    assert len(plant.values()) == sum(sizes)
    assert [attempts(plant, f) for f in files] == [1] * 5


class Refusing(PostgresLedger):
    """A database that finds something that needs a transaction of its own."""

    def load_batch(self, files: Any) -> None:
        return None


def test_what_cannot_be_committed_together_is_committed_one_by_one(stored: Stored) -> None:
    plant = stored(Refusing)
    files = [plant.drop(content(n + 1), names(n)) for n in range(9)]
    plant.work()
    assert {plant.state(f.file_id) for f in files} == {State.LOADED}
    assert len(plant.values()) == sum(range(10))


class UnavailableLedger(PostgresLedger):
    def load_batch(self, files: Any) -> list[Touched] | None:
        raise Transient(Code.DATABASE, "away")


def test_a_database_that_is_away_gives_every_file_its_attempt_back(
    stored: Stored, clocked: FreshDatabaseWithClock
) -> None:
    plant = stored(UnavailableLedger)
    files = [plant.drop(content(n + 1), names(n)) for n in range(9)]
    results = plant.work()
    assert {plant.state(f.file_id) for f in files} <= {State.PENDING, State.LOADED}
    assert results[0].outcome is Outcome.RETRY
    assert {attempts(plant, f) for f in files} <= {0, 1}
    clocked.advance(600)
    plant.work()
    assert {plant.state(f.file_id) for f in files} == {State.LOADED}
    assert len(plant.values()) == sum(range(10))
