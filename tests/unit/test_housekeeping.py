"""Housekeeping: each step once, by whichever process comes first when it is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sensorflow.errors import Code, Transient
from sensorflow.flow.housekeeping import Housekeeping, Step, run_all
from sensorflow.testing.ledger import MemoryLedger


class HousekeepingDriver:
    """A ledger, and a clock that the test moves. did: the steps that were done."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.ledger = MemoryLedger(lambda: self.now)
        self.did: list[str] = []

    def keeper(self) -> Housekeeping:
        """As another process has it."""
        steps = (Step("often", 15, lambda: self._do("often")), Step("rarely", 3600, self._rarely))
        return Housekeeping(self.ledger, steps)

    def _do(self, name: str) -> dict[str, Any]:
        self.did.append(name)
        return {"things": 3}

    def _rarely(self) -> dict[str, Any]:
        return self._do("rarely")

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_each_step_is_done_once_when_it_is_due_whoever_asks() -> None:
    housekeeping = HousekeepingDriver()
    one, two = housekeeping.keeper(), housekeeping.keeper()
    assert one.run_due_steps() == {"often": {"things": 3}, "rarely": {"things": 3}}
    assert (one.run_due_steps(), two.run_due_steps()) == ({}, {})
    housekeeping.later(16)
    assert (two.run_due_steps(), one.run_due_steps()) == ({"often": {"things": 3}}, {})
    housekeeping.later(3600)
    two.run_due_steps()
    assert housekeeping.did == ["often", "rarely", "often", "often", "rarely"]


def test_who_has_a_schedule_does_it_a_little_early_and_for_all_others() -> None:
    housekeeping = HousekeepingDriver()
    loop, beat = housekeeping.keeper(), housekeeping.keeper()
    loop.run_due_steps()
    housekeeping.later(10)
    assert beat.run("often") == {"things": 3}
    housekeeping.later(10)
    assert loop.run_due_steps() == {}
    housekeeping.later(6)
    assert "often" in loop.run_due_steps()


def test_what_somebody_has_just_done_is_not_done_again_by_a_schedule() -> None:
    housekeeping = HousekeepingDriver()
    loop, beat = housekeeping.keeper(), housekeeping.keeper()
    loop.run_due_steps()
    housekeeping.later(7)
    assert beat.run("often", "rarely") == {}
    housekeeping.later(1)
    assert beat.run("often", "rarely") == {"things": 3}
    assert housekeeping.did == ["often", "rarely", "often"]


def test_a_loop_and_a_schedule_of_the_same_interval_do_a_step_once_in_each() -> None:
    """Whichever of both is late: they drift, and neither waits for the other."""
    housekeeping = HousekeepingDriver()
    loop, beat = housekeeping.keeper(), housekeeping.keeper()
    for tick in range(12):
        beat.run("often")
        for _ in range(5):
            loop.run_due_steps()
            housekeeping.later(3 + (0.1 if tick % 3 else -0.2))
    assert housekeeping.did.count("often") == 12


def test_a_clock_that_is_set_back_keeps_no_step_waiting() -> None:
    housekeeping = HousekeepingDriver()
    loop = housekeeping.keeper()
    loop.run_due_steps()
    housekeeping.later(-7200)
    assert set(loop.run_due_steps()) == {"often", "rarely"}
    assert loop.run_due_steps() == {}


def test_a_step_that_fails_keeps_no_other_one_and_waits_for_its_time() -> None:
    housekeeping = HousekeepingDriver()
    away = Transient(Code.STORAGE, "away")

    def fail() -> dict[str, Any]:
        housekeeping.did.append("fail")
        raise away

    good = housekeeping.keeper().steps
    keeper = Housekeeping(housekeeping.ledger, (Step("fails", 60, fail), *good))
    with pytest.raises(Transient, match="away"):
        keeper.run_due_steps()
    assert housekeeping.did == ["fail", "often", "rarely"]
    assert keeper.run_due_steps() == {}
    housekeeping.later(61)
    with pytest.raises(Transient):
        keeper.run_due_steps()


class UnavailableLedger(MemoryLedger):
    def claim_turn(self, step: str, interval_seconds: float, early: float = 0.0) -> bool:
        raise Transient(Code.DATABASE, "away")


def test_a_schedule_needs_no_word_of_the_database() -> None:
    keeper = Housekeeping(UnavailableLedger(), (Step("often", 15, lambda: {"things": 1}),))
    assert keeper.run("often") == {"things": 1}
    with pytest.raises(Transient):
        keeper.run_due_steps()


def test_what_several_did_is_one_account() -> None:
    assert run_all([lambda: {"a": 1}, dict, lambda: {"b": 2}]) == {"a": 1, "b": 2}
