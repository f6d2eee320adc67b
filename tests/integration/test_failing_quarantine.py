"""A quarantine zone that is unavailable for a while."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from project_driver import ProjectDriver

from sensorflow import stores
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Transient
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.ports.queue import Task


class UnavailableQuarantine:
    def put(self, *_: Any) -> str:
        raise Transient(Code.STORAGE, "the provider cannot be reached")


def test_the_manifest_names_why_the_file_was_refused_and_not_why_the_quarantine_was_late(
    project: Path, database: str
) -> None:
    driver = ProjectDriver(project, database)
    file_id = driver.arrive("bad.csv.gz", b"\x1f\x8bno gzip")
    assert driver.work(file_id) is Outcome.DEAD_LETTERED
    late: Any = replace(driver.services, quarantine=UnavailableQuarantine())
    [failed] = process(late, Task([file_id], Stage.QUARANTINE), lambda _: nullcontext())
    assert failed.outcome is Outcome.RETRY
    view = driver.ledger.file(file_id)
    assert view is not None
    assert view.error_code == str(Code.STORAGE)

    until = time.monotonic() + 20
    while view.quarantined_to is None and time.monotonic() < until:
        process(driver.services, Task([file_id], Stage.QUARANTINE), lambda _: nullcontext())
        view = driver.ledger.file(file_id)
        assert view is not None
    zone = stores.store(driver.settings, "quarantine")
    with zone.open(f"{view.quarantined_to}/manifest.json") as stream:
        error = json.loads(stream.read())["error"]
    assert error["code"].startswith("F203")
    assert view.error_code is not None
    assert view.error_code.startswith("F203")
    driver.close()
