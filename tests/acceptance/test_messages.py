"""What anybody who reaches the broker may put into our queues, and what comes of it: nothing."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from fleet import LONG_LEASE, Fleet, fleet, rows, text

from sensorflow.adapters.queues.celery import (
    INGEST,
    SWEEP,
    CeleryPublisher,
    configuration,
    task_name,
)
from sensorflow.core.arrival import EVENT_TYPE, FIELDS
from sensorflow.core.states import Stage


class PickledBomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def event(**data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "type": EVENT_TYPE, "data": data}


WRONG = [
    "/etc/passwd",
    7,
    True,
    None,
    [event(file_id=1)],
    {"path": "/etc/passwd"},
    event(),
    event(file_id="1"),
    event(file_id=True),
    event(file_id=-1),
    event(file_id=1.0),
    event(file_id=2**63),
    event(file_id="/etc/passwd"),
    event(file_id=1, path="/etc/passwd"),
]


def loads(f: Fleet, name: str) -> None:
    before = f.counts()["loaded"]
    f.put(name, text(rows(len(name), 3, random.Random(name))))
    f.wait(lambda: f.counts()["loaded"] == before + 1)


def waiting(f: Fleet) -> int:
    return CeleryPublisher(f.env["SENSORFLOW_BROKER_URL"], "landing").depth()


def test_only_json_that_names_a_file_does_anything_and_the_worker_goes_on(
    project: Path, database: str, broker: str
) -> None:
    sender = Celery("stranger", set_as_current=False)
    sender.conf.update(configuration(broker))
    bomb = project / "was-unpickled"
    with fleet(project, database, broker, environment=LONG_LEASE) as f:
        f.start("daemon", "worker", "beat")
        loads(f, "before.csv")
        worker, history = f.running["worker"].pid, len(f.ledger.history(1))
        for serializer in ("pickle", "yaml"):
            body = [PickledBomb(bomb)] if serializer == "pickle" else [event(file_id=1)]
            sender.send_task(task_name(INGEST), body, serializer=serializer)
        for task in (INGEST, *Stage):
            for wrong in WRONG:
                sender.send_task(task_name(task), [wrong])
        sender.send_task(task_name(INGEST), [event(file_id=1), "/etc/passwd"])
        sender.send_task(task_name(INGEST), [event(file_id=1)], {"path": "/etc/passwd"})
        sender.send_task(task_name(SWEEP), ["/etc/passwd"])
        sender.send_task("os.system", ["id"], queue=task_name(INGEST))
        f.wait(lambda: waiting(f) == 0)
        loads(f, "after.csv")
        f.wait(lambda: log(f).count("not a sensorflow event") >= 6 * len([INGEST, *Stage]))
        assert f.running["worker"].pid == worker
        assert f.running["worker"].poll() is None
        assert not bomb.exists()
        assert log(f).count("untrusted content of type") >= 2, f.logs()
        assert log(f).count("unknown fields") >= 5
        assert log(f).count("file_id that is not a positive integer") >= 7 * 5
        assert len(f.ledger.history(1)) == history
        assert f.counts()["files"] == f.counts()["loaded"] == 2


def log(f: Fleet) -> str:
    return (f.project / "worker.log").read_text(errors="replace")


@pytest.mark.parametrize("setting", ["accept_content", "task_serializer", "event_serializer"])
def test_json_is_all_that_is_spoken(setting: str) -> None:
    assert configuration("redis://h")[setting] in ("json", ["json"])


def test_the_fields_of_a_message_are_those_that_are_known() -> None:
    from datetime import UTC, datetime

    from sensorflow.core import arrival

    now = datetime(2026, 1, 1, tzinfo=UTC)
    sent = arrival.OutboxEntry(7, "p", b"a", 1, 1, bytes(16), "aa/a", Stage.VALIDATE, now)
    assert set(arrival.message_of(sent, "landing")["data"]) == FIELDS
