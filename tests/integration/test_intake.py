"""Daemons on one folder: what a lease cannot settle by its length alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from samples import arrival

from sensorflow.adapters import host
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.adapters.postgres.queries import run
from sensorflow.errors import Code, IntakeLost, Transient
from sensorflow.ports.intake import OnChange

NAME = (
    "import time; from sensorflow.adapters import host\n"
    "print(host.process(), flush=True); time.sleep(60)"
)


def test_a_registrar_that_falls_silent_in_its_transaction_gives_the_source_up(
    ledger: PostgresLedger,
) -> None:
    """Stopped, or its host gone, between two statements: the lock is everybody's."""
    old = ledger.acquire_intake_lease("plant", "old", "old", 0.1)
    with pytest.raises(Transient) as caught, ledger._transaction() as c:
        run(c, "lock_source", source="plant")
        time.sleep(0.2)
        new = ledger.acquire_intake_lease("plant", "new", "new", 60)  # waits for the lock
        assert new.process == "new"
        run(c, "intake_held", source="plant", token=old.token)
    assert caught.value.code is Code.DATABASE


def test_a_registration_is_committed_before_another_takes_over_or_refused(
    ledger: PostgresLedger,
) -> None:
    old = ledger.acquire_intake_lease("plant", "old", "old", 0.1)
    winners = []

    def take() -> None:
        winners.append((ledger.acquire_intake_lease("plant", "new", "new", 60), time.monotonic()))

    with ledger._transaction() as c:
        run(c, "lock_source", source="plant")
        time.sleep(0.2)
        thread = threading.Thread(target=take)
        thread.start()
        time.sleep(0.5)
        assert run(c, "intake_held", source="plant", token=old.token).scalar_one()
        ended = time.monotonic()
    thread.join()
    assert winners[0][1] > ended
    with pytest.raises(IntakeLost):
        ledger.register_many([arrival()], OnChange.SUPERSEDE, False, old)


def test_a_process_that_has_ended_is_told_from_one_that_is_stopped() -> None:
    child = subprocess.Popen([sys.executable, "-c", NAME], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        name = child.stdout.readline().strip() + " and more"
        child.send_signal(signal.SIGSTOP)
        assert not host.has_ended(name)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert host.has_ended(name)  # a zombie
    finally:
        child.kill()
        child.wait()
    assert host.has_ended(name)
    boot, namespace, number, start, *_ = name.split(" ")
    assert not host.has_ended(f"another-boot {namespace} {number} {start}")
    assert not host.has_ended(f"{boot} 1 {number} {start}")
    assert host.has_ended(f"{boot} {namespace} {os.getpid()} {start}0")  # its number is ours now
    assert not host.has_ended(host.process())
    assert not host.has_ended("by a later version")
