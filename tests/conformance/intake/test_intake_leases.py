"""The contract of the intake's leases in `ports.ledger.Ledger`, on PostgreSQL and in memory alike."""

from __future__ import annotations

import threading
import time

import pytest
from samples import arrival

from sensorflow.errors import Code, IntakeLost
from sensorflow.ports.intake import IntakeLease, Kind, OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.testing.ledger import MemoryLedger

SHORT = 0.05


@pytest.fixture(params=["memory", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    from sensorflow.adapters.postgres.ledger import PostgresLedger

    new_ledger = PostgresLedger(request.getfixturevalue("emptied"), "test", pool=6)
    request.addfinalizer(new_ledger.close)
    return new_ledger


def take(ledger: Ledger, owner: str, lease: float = 60, ended: str = "") -> IntakeLease:
    return ledger.acquire_intake_lease("plant", f"daemon {owner}", owner, lease, ended)


def register(ledger: Ledger, lease: IntakeLease | None, content: int = 1) -> Kind:
    given = arrival(content=content)
    return ledger.register_many([given], OnChange.SUPERSEDE, False, lease)[0].kind


def test_one_of_many_daemons_takes_a_source_in(ledger: Ledger) -> None:
    found: list[IntakeLease] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(take(ledger, str(n)))) for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert found[0].owner == f"daemon {found[0].process}"


def test_each_source_has_a_lease_of_its_own(ledger: Ledger) -> None:
    mine = take(ledger, "a")
    other = ledger.acquire_intake_lease("roof", "b", "b", 60)
    assert (mine.process, other.process) == ("a", "b")


def test_who_stands_by_takes_over_when_the_lease_has_ended(ledger: Ledger) -> None:
    old = take(ledger, "a", SHORT)
    time.sleep(2 * SHORT)
    new = take(ledger, "b")
    assert new.process == "b"
    assert new.token > old.token


def test_a_renewed_lease_is_kept_and_a_released_one_is_free_at_once(ledger: Ledger) -> None:
    lease = take(ledger, "a", SHORT)
    ledger.renew_intake_lease(lease, 60)
    time.sleep(2 * SHORT)
    assert take(ledger, "b") == lease
    ledger.release_intake_lease(lease)
    ledger.release_intake_lease(lease)
    assert take(ledger, "b").process == "b"


def test_a_lease_that_ended_and_that_nobody_took_is_renewed(ledger: Ledger) -> None:
    lease = take(ledger, "a", SHORT)
    time.sleep(2 * SHORT)
    ledger.renew_intake_lease(lease, 60)
    assert take(ledger, "b") == lease
    assert register(ledger, lease) is Kind.NEW


def test_of_a_process_that_has_ended_the_lease_need_not_run_out(ledger: Ledger) -> None:
    take(ledger, "a")
    assert take(ledger, "b", ended="c").process == "a"
    assert take(ledger, "b", ended="a").process == "b"


def test_who_lost_the_answer_to_taking_a_lease_takes_it_again(ledger: Ledger) -> None:
    first = take(ledger, "a")
    again = take(ledger, "a")
    assert again.process == "a"
    assert again.token > first.token


def test_the_holder_of_an_older_lease_registers_nothing(ledger: Ledger) -> None:
    old = take(ledger, "a", SHORT)
    assert register(ledger, old) is Kind.NEW
    time.sleep(2 * SHORT)
    new = take(ledger, "b")
    for refused in (
        lambda: register(ledger, old, 2),
        lambda: register(ledger, old),  # nor an alias, nor what was seen
        lambda: ledger.renew_intake_lease(old, 60),
    ):
        with pytest.raises(IntakeLost) as caught:
            refused()
        assert caught.value.code is Code.INTAKE_LOST
    ledger.release_intake_lease(old)  # ends nobody else's
    assert take(ledger, "c") == new
    assert [view.version for view in ledger.files()] == [1]
    assert register(ledger, new, 3) is Kind.NEW


def test_the_lease_that_a_daemon_has_taken_again_does_not_cover_what_it_read_before(
    ledger: Ledger,
) -> None:
    old = take(ledger, "a")
    ledger.release_intake_lease(old)
    other = take(ledger, "b")
    register(ledger, other, 2)
    ledger.release_intake_lease(other)
    take(ledger, "a")
    with pytest.raises(IntakeLost):
        register(ledger, old, 1)


def test_a_registrar_of_another_folder_needs_no_lease(ledger: Ledger) -> None:
    take(ledger, "a")
    assert register(ledger, None) is Kind.NEW
