"""How far a worker has read a large file, as people see it, and the history of its tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from project_driver import ProjectDriver

from sensorflow.cli import files
from sensorflow.cli.status import show_status
from sensorflow.core.states import Stage
from sensorflow.flow.leases import Watched
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.ports.claims import Claim, ReadSoFar
from sensorflow.ports.queue import Task
from sensorflow.status import status

HEAD = b"time,sensor,type,value,unit\n"
ROW = b"2026-01-01T00:%02d:%02dZ,s%d,temperature,1.5,degC\n"
ROWS = 120_000
LARGE = HEAD + b"".join(ROW % (n // 60 % 60, n % 60, n // 3600) for n in range(ROWS))


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


class Observed(Watched):
    """Looks at the meters whenever a stage begins a block, as a renewal may at any time."""

    def __init__(self, claims: Sequence[Claim], driver: ProjectDriver) -> None:
        super().__init__(claims)
        self.driver, self.seen = driver, list[ReadSoFar]()
        self.shown: list[str] = []

    def __call__(self, claim: Claim) -> bool:
        if (read := self.meters[claim.file_id].read()) is not None:
            self.seen.append(read)
            if read.rows and not self.shown:
                self.driver.ledger.renew(claim, self.driver.settings.lease, read)
                self.shown = look(self.driver, claim.file_id)
        return False


def look(driver: ProjectDriver, file_id: int) -> list[str]:
    words = [("show", str(file_id)), ("ls",), ("show", str(file_id), "--json")]
    return [driver.invoke(files.app, *some).output for some in words]


def work(driver: ProjectDriver, file_id: int, only: Stage | None = None) -> Observed:
    result: list[Observed] = []

    @contextmanager
    def keep(claims: Sequence[Claim]) -> Iterator[Watched]:
        result.append(Observed(claims, driver))
        yield result[0]

    [done] = process(driver.services, Task([file_id], only, next_sent=True), keep)
    assert done.outcome in (Outcome.LOADED, Outcome.ADVANCED)
    return result[0]


def test_a_file_in_one_pass_shows_bytes_and_rows(
    driver: ProjectDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    file_id = driver.arrive("large.csv", LARGE)
    found = work(driver, file_id)
    assert len(found.seen) > 2
    assert [(r.bytes, r.rows) for r in found.seen] == sorted((r.bytes, r.rows) for r in found.seen)
    assert found.seen[0].rows == 0
    last = found.seen[-1]
    assert 0 < last.rows < ROWS
    assert last.bytes is not None
    assert 0 < last.bytes <= len(LARGE)
    show, ls, raw = found.shown
    assert "% of its bytes" in show
    assert "running (validate) " in ls
    result = json.loads(raw)
    assert 0 < result["progress_bytes"] <= result["size"] == len(LARGE)
    assert 0 < result["progress_rows"] < ROWS
    after = json.loads(look(driver, file_id)[2])
    assert (after["progress_bytes"], after["progress_rows"]) == (None, None)


def test_stages_one_by_one_show_their_share(driver: ProjectDriver) -> None:
    file_id = driver.arrive("large.csv", LARGE)
    assert work(driver, file_id, Stage.VALIDATE).seen[-1].rows > 0
    for stage in (Stage.TRANSFORM, Stage.LOAD):
        seen = work(driver, file_id, stage).seen
        assert (seen[0].bytes, seen[0].rows) == (0, 0)
        assert seen[-1].rows < ROWS
        assert seen[-1].bytes == len(LARGE) * seen[-1].rows // ROWS
    show, _, raw = look(driver, file_id)
    tasks = json.loads(raw)["tasks"]
    assert [(t["stage"], t["outcome"], t["rows"]) for t in tasks] == [
        ("validate", "stage done", ROWS),
        ("transform", "stage done", ROWS),
        ("load", "loaded", ROWS),
    ]
    assert {t["worker"] for t in tasks} == {driver.services.owner}
    assert [t["queued_seconds"] is None for t in tasks] == [True, False, False]
    assert "tasks" in show
    assert driver.services.owner in show


def test_status_names_the_large_files_that_are_read_now(
    driver: ProjectDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    file_id = driver.arrive("large.csv", LARGE[:10_000])
    claim = driver.ledger.claim(file_id, (Stage.VALIDATE,), "me", 60)
    assert claim is not None
    driver.ledger.renew(claim, driver.settings.lease, ReadSoFar(2_500, 60))
    found = status(driver.settings, driver.ledger)
    show_status(found)
    assert f"large file {file_id} large.csv of plant: validate 25 %, 60 readings" in (
        capsys.readouterr().out
    )
    [large] = found.as_dict()["large_files"]
    assert (large["bytes"], large["percent"], large["rows"]) == (2_500, 25, 60)
