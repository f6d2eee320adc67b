"""Loads files one after the other, in a process that has imported what a worker imports and nothing else.

python -m benchmarks.taking PROJECT SERVER_PID

For each line of its input, a JSON object with `source` and `paths`, the process loads these files and
prints one line with its measurements. It is separate from the process of the benchmarks, because that
process also has pandas, DuckDB and the generated inputs in its memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from sensorflow import bootstrap, telemetry
from sensorflow.adapters.feeds.folder.feed import OpenFile
from sensorflow.flow.file_task import Services
from sensorflow.flow.land import land
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.flow.register import Found, register
from sensorflow.ports.queue import Task


@dataclass
class IntakeTimes:
    """The measurements for some files. files: number of files. arriving: seconds for landing and
    registering. seconds: seconds for all stages after that. own_cpu, database_cpu: CPU seconds of the
    process and of the database server during these stages. stages: stage -> seconds, according to the
    ledger."""

    files: int
    arriving: float
    seconds: float
    own_cpu: float
    database_cpu: float
    stages: dict[str, float] = field(default_factory=dict)


class IntakeProcess:
    """A running process `python -m benchmarks.taking`."""

    def __init__(self, project: Path, server_pid: int) -> None:
        command = [sys.executable, "-m", "benchmarks.taking", str(project), str(server_pid)]
        pipe = subprocess.PIPE
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root)

    def take(self, paths: list[Path], source: str) -> IntakeTimes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"source": source, "paths": [str(path.resolve()) for path in paths]}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(
                f"the process that loads files has ended with exit status {self._process.wait()}"
            )
        return IntakeTimes(**json.loads(answer))

    def close(self) -> None:
        self._process.communicate()


def world_of(project: Path) -> Services:
    settings = bootstrap.settings(project)
    return bootstrap.services(settings, "benchmark", bootstrap.ledger(settings, "benchmark"))


def arrive(services: Services, path: Path, source: str) -> int:
    """Land and register a file. Returns its id."""
    with path.open("rb") as stream:
        landed = land(services.landing, OpenFile(source, os.fsencode(path.name), stream))
    assert landed is not None
    now = datetime.now(UTC)
    return register(
        services.ledger, services.settings, Found(landed[1], landed[0], now, now)
    ).file_id


def take(services: Services, paths: list[Path], source: str, server_pid: int) -> IntakeTimes:
    began = time.perf_counter()
    numbers = [arrive(services, path, source) for path in paths]
    arrived = time.perf_counter()
    own, database = time.process_time(), machine.cpu(server_pid)
    for number in numbers:
        [done] = process(services, Task([number]), lambda _claim: nullcontext())
        assert done.outcome is Outcome.LOADED, done
    ended = time.perf_counter()
    return IntakeTimes(
        files=len(paths),
        arriving=arrived - began,
        seconds=ended - arrived,
        own_cpu=time.process_time() - own,
        database_cpu=machine.cpu(server_pid) - database,
        stages=_stages(services, numbers),
    )


def _stages(services: Services, numbers: list[int]) -> dict[str, float]:
    durations: dict[str, float] = {}
    for event in (e for n in numbers for e in services.ledger.history(n) if e.seconds):
        durations[event.stage] = durations.get(event.stage, 0.0) + event.seconds
    return {stage: round(seconds, 4) for stage, seconds in durations.items()}


def main() -> None:
    import workers  # noqa: F401 - what a worker keeps out of its process

    project, server_pid = Path(sys.argv[1]), int(sys.argv[2])
    telemetry.configure("ERROR")
    services = world_of(project)
    for line in sys.stdin:
        asked = json.loads(line)
        found = take(services, [Path(path) for path in asked["paths"]], asked["source"], server_pid)
        print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    main()
