"""The chaos harness in short: see `make chaos`, which takes its time, and `make chaos-proof`."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.execute import execute
from chaos.plan import Fault, Plan
from chaos.scene import scene

from sensorflow.embedded.postgres import Postgres


def test_kills_lose_and_double_nothing_where_the_index_is_deferred(
    tmp_path: Path, postgres: Postgres, valkey_url: str
) -> None:
    plan = Plan("valkey", seed=20260113, kills=8, files=30, rows=100, index="deferred", cold=False)
    lines: list[str] = []
    execute(scene(postgres, valkey_url), plan, tmp_path, lines.append)
    ending = "chaos: broker=valkey seed=20260113 kills=8 lost=0 duplicated=0 unexpected=0"
    assert lines[-1] == ending, "\n".join(lines)


def kind(broker: str) -> str:
    return "rabbitmq" if broker.startswith("amqp") else "valkey"


def test_twenty_kills_lose_and_double_nothing(
    tmp_path: Path, postgres: Postgres, broker: str
) -> None:
    plan = Plan(kind(broker), seed=20260113, kills=20, files=50, rows=100, cold=False)
    lines: list[str] = []
    execute(scene(postgres, broker), plan, tmp_path, lines.append)
    ending = f"chaos: broker={plan.broker} seed=20260113 kills=20 lost=0 duplicated=0 unexpected=0"
    assert lines[-1] == ending, "\n".join(lines)


@pytest.mark.parametrize("fault", [Fault.BROKER, Fault.DATABASE, Fault.COMMIT])
def test_a_server_that_fails_three_times_costs_nothing(
    fault: Fault, tmp_path: Path, postgres: Postgres, valkey_url: str
) -> None:
    plan = Plan("valkey", seed=20260110, kills=3, files=24, rows=100, fault=fault, cold=False)
    lines: list[str] = []
    execute(scene(postgres, valkey_url), plan, tmp_path, lines.append)
    ending = "chaos: broker=valkey seed=20260110 kills=3 lost=0 duplicated=0 unexpected=0"
    assert lines[-1] == ending, "\n".join(lines)
