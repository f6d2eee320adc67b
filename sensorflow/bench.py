"""Measures how long each stage takes for one file on this machine.

The file is loaded into a temporary PostgreSQL server. The data of the server and all other output are in a
temporary folder, so that the project's database and folders are not changed. All stages run in one
process.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from sensorflow import bootstrap
from sensorflow.adapters.feeds.folder.feed import OpenFile
from sensorflow.adapters.postgres import migrate
from sensorflow.core.profile import Profile
from sensorflow.core.states import WORK
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.process import cpu
from sensorflow.embedded.state import ROOT_HOME
from sensorflow.errors import UsageError
from sensorflow.flow.file_task import Services
from sensorflow.flow.land import land
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.flow.register import Found, register
from sensorflow.ports.catalog import Catalog
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.queue import Task
from sensorflow.settings import FolderSource, Settings, Source, as_folder

ROUNDS = 5
SMALL = 8 << 20
"""Size in bytes up to which a file is measured several times, because a single measurement of a small file
is too inaccurate."""


@dataclass(frozen=True)
class Step:
    """The measurement of one stage. seconds: duration of the stage. rows: number of rows that the stage
    produced."""

    name: str
    seconds: float
    rows: int

    @property
    def rows_per_second(self) -> int:
        return round(self.rows / self.seconds) if self.seconds else 0


@dataclass(frozen=True)
class BenchResult:
    """The result of a measurement of one file.

    A small file is loaded in several rounds. All times are those of the round with the median time.
    arriving: seconds for landing and registering. seconds: seconds for all stages after that. steps: the
    measurement of each stage. read, loaded, rejected, duplicate: numbers of readings, see
    `ports.files.Counts`. profile: name of the profile. rounds: number of rounds. database_share:
    PostgreSQL's share (0 to 1) of the CPU time of all rounds. peak_mb: peak memory of this process in MiB,
    without PostgreSQL. hints: suggestions for the user.
    """

    file: str
    bytes: int
    arriving: float
    seconds: float
    steps: tuple[Step, ...]
    read: int
    loaded: int
    rejected: int
    duplicate: int
    profile: str = ""
    rounds: int = 1
    database_share: float = 0.0
    peak_mb: float = 0.0
    hints: tuple[str, ...] = ()

    @property
    def rows_per_second(self) -> int:
        return round(self.read / self.seconds) if self.seconds else 0

    def as_dict(self) -> dict[str, Any]:
        steps = [{**asdict(step), "rows_per_second": step.rows_per_second} for step in self.steps]
        return {**asdict(self), "rows_per_second": self.rows_per_second, "steps": steps}


def bench(
    path: Path, profile: tuple[str, Profile], source: Source | None, project: Settings
) -> BenchResult:
    """Load a file and measure the time of each stage. profile: (name, profile) to read the file with.
    source: the source whose settings apply; None for the default settings of a source. project: the
    settings of the project, which the hints suggest to change.

    Raises Permanent if the file would be quarantined.
    """
    rounds = ROUNDS if path.stat().st_size <= SMALL else 1
    with _place() as place:
        server = Postgres(place, place / "logs")
        server.start()
        try:
            migrate.upgrade(server.url)
            settings = _settings(place, server.url, profile, source, rounds)
            ledger = bootstrap.ledger(settings, "bench")
            services = bootstrap.services(settings, "bench", ledger)
            _warm(ledger, services, path, rounds)
            own, database = time.process_time(), cpu(server.process.pid)
            found = [_round(ledger, services, path, n) for n in range(1, rounds + 1)]
            own, database = time.process_time() - own, cpu(server.process.pid) - database
            ledger.close()
        finally:
            server.process.terminate(30)
    middle = sorted(found, key=lambda one: one.seconds)[len(found) // 2]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = replace(
        middle,
        profile=profile[0],
        rounds=rounds,
        database_share=round(database / (own + database), 3),
        peak_mb=round(peak, 1),
    )
    return replace(total, hints=tuple(hints(total, project)))


@contextmanager
def _place() -> Iterator[Path]:
    """Return a context manager that yields a temporary folder. If this process runs as root, PostgreSQL
    runs as another user, who can enter the folder too."""
    above = ROOT_HOME if os.geteuid() == 0 else None
    try:
        if above is not None:
            above.mkdir(parents=True, exist_ok=True)
        created = Path(tempfile.mkdtemp(prefix="bench-", dir=above))
    except OSError as error:
        raise UsageError(f"{above or tempfile.gettempdir()}: {error.strerror}") from error
    created.chmod(0o755)
    try:
        yield created
    finally:
        shutil.rmtree(created, ignore_errors=True)


def _settings(
    place: Path, url: str, profile: tuple[str, Profile], source: Source | None, rounds: int
) -> Settings:
    """Return settings with one source per round, because a source does not load the same bytes twice."""
    name, how = profile
    rules = as_folder(source or FolderSource(path=Path(), profile=name), profile=name)
    sources = {
        f"round-{n}": rules.model_copy(update={"path": Path(f"drop-{n}")})
        for n in range(rounds + 1)
    }
    settings = Settings.model_validate({"database_url": url, "home": place})
    return settings.model_copy(update={"sources": sources, "profiles": {name: how}})


def _warm(ledger: Ledger, services: Services, path: Path, rounds: int) -> None:
    """Load the file once before the measurement, so that the time for imports and connections is not
    measured. If there is only one round, the file is not loaded here, because it is large."""
    with suppress(ImportError):  # pyarrow imports pandas here if it is installed
        pa.array([0.0]).to_pandas()
    if rounds > 1:
        _round(ledger, services, path, 0)


def _round(ledger: Ledger, services: Services, path: Path, number: int) -> BenchResult:
    source, began = f"round-{number}", time.perf_counter()
    key = os.fsencode(path.name)
    with path.open("rb") as stream:
        landed = land(services.landing, OpenFile(source, key, stream))
    if landed is None:
        raise UsageError(f"{path} changed while it was read; try again when it is complete")
    now = datetime.now(UTC)
    registration = register(ledger, services.settings, Found(landed[1], landed[0], now, now))
    arrived = time.perf_counter()
    [done] = process(services, Task([registration.file_id]), lambda _claim: nullcontext())
    seconds = time.perf_counter() - arrived
    if done.outcome is not Outcome.LOADED:
        raise done.error or UsageError(f"{path}: {done.text}")
    view = ledger.file(registration.file_id)
    assert view is not None
    return BenchResult(
        file=str(path),
        bytes=landed[0].size,
        arriving=arrived - began,
        seconds=seconds,
        steps=_steps(ledger, registration.file_id),
        read=view.counts.read,
        loaded=view.counts.loaded,
        rejected=view.counts.rejected,
        duplicate=view.counts.duplicate,
    )


def _steps(ledger: Catalog, file_id: int) -> tuple[Step, ...]:
    """Return the duration and the number of rows of each stage, from the file's history."""
    timed = [e for e in ledger.history(file_id) if e.seconds is not None]
    by_stage = {e.stage: Step(e.stage, e.seconds or 0.0, e.rows or 0) for e in timed}
    return tuple(by_stage[stage] for stage in WORK if stage in by_stage)


def hints(found: BenchResult, project: Settings) -> Iterator[str]:
    """Yield suggestions for the settings, based on the measurement."""
    if found.database_share > 0.6:
        deferred = 'dedupe_index = "deferred" for files that are loaded in bulk, or '
        known = "dedupe_index" in {*FolderSource.model_fields, *Settings.model_fields}
        yield (
            f"PostgreSQL takes {found.database_share:.0%} of the CPU: use {deferred if known else ''}"
            "a separate machine for PostgreSQL; more workers on the same cores do not help"
        )
    if found.rejected > found.read / 100:
        yield (
            f"{found.rejected / found.read:.0%} of the rows are rejected, and each is stored with its "
            f"reason: `sensorflow check {found.file}` shows why; correct the profile"
        )
    if found.duplicate > found.read / 100:
        yield (
            f"{found.duplicate / found.read:.0%} of the rows are duplicates, which take longer to load: "
            "configure the logger to send each reading once"
        )
    if found.bytes >= project.inline_below and found.seconds < 5:
        yield (
            f"the file is larger than inline_below and takes {found.seconds:.1f} s: a single task would "
            f'save two messages; set inline_below = "{(found.bytes >> 20) * 2 or 1} MiB"'
        )
    if found.seconds < 0.05 and found.read < 1000:
        yield (
            f"{found.read:,} rows take {1000 * found.seconds:.0f} ms, most of it overhead per file: "
            "fewer, larger files load faster"
        )
    if found.peak_mb > project.max_memory / 2**20 * 0.8:
        yield (
            f"the file needed {found.peak_mb:.0f} MB of memory, close to max_memory: raise max_memory, or "
            "split the file"
        )
    if (cores := os.cpu_count() or 1) > project.workers:
        yield f"there are {cores} cores and workers = {project.workers}: raise workers"
