"""Small files that wait are taken along and committed at once; each keeps its own account and outcome.

A message is of one file. Whoever claims a small one claims others that wait with it, from the ledger,
never from the broker: their own messages will find them done. What was ever claimed before is claimed
alone, so that a file that ends its worker takes its neighbours along once at most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from sensorflow import crash
from sensorflow.core.states import Stage
from sensorflow.errors import Transient
from sensorflow.flow.ingest import Ingest
from sensorflow.flow.load import done
from sensorflow.flow.work import Job, World
from sensorflow.ports import Claim, Counts, Gathering, Keyed, Load

FILES = 100
SMALL = 256 << 10
"""Bytes; a file as large as this is worth a transaction of its own."""
SIZE = 4 << 20
"""Bytes of all files that are taken along."""
ROWS = 500_000
"""Readings that are held at a time: a small file may be a large one, compressed."""

R = TypeVar("R")


def gather(world: World, claim: Claim) -> list[Claim]:
    """Others to be taken along with a file; none where it is to go alone."""
    sources = world.settings.sources
    fit = tuple(name for name, source in sources.items() if source.dedupe_scope == "file")
    alike = claim.fresh and claim.stage is Stage.VALIDATE and claim.version == 1
    if not alike or claim.again or claim.size >= SMALL or claim.source not in fit:
        return []
    most = Gathering(FILES - 1, SMALL, SIZE, fit)
    with suppress(Transient):  # it concerns the others; what is in hand is gone on with
        return world.ledger.gather(claim, world.owner, world.settings.lease, most)
    return []


@dataclass(frozen=True)
class _Ready:
    """A file whose layers are written, with all that is to be committed of it."""

    job: Job
    batches: list[Keyed]
    load: Load

    @property
    def rows(self) -> int:
        return sum(len(silver) for silver, _ in self.batches)

    @property
    def loaded(self) -> Load:
        """As it is when the database has taken every row."""
        return replace(self.load, counts=replace(self.load.counts, loaded=self.rows))


def work(
    jobs: list[Job],
    outcome: Callable[[Job, Callable[[], R]], R],
    alone: Callable[[Job], R],
    loaded: Callable[[Job, Counts], R],
) -> list[R]:
    """Take files through all stages; returns what became of each, in their order.

    outcome: does the work of a file, and makes of what it raises what is to become of it. alone: all of
    the work of one. loaded: what a loaded file is told as.
    """
    world = jobs[0].world
    ready: dict[int, _Ready] = {}
    failed: dict[int, Exception] = {}
    try:
        with world.lake.together():
            _prepare(jobs, ready, failed)
        files = list(ready.values())
        once = world.ledger.load_together([(f.job.claim, f.batches, f.loaded) for f in files])
    except Exception as error:  # noqa: BLE001 - each file is told of it
        once, failed = False, {**dict.fromkeys(ready, error), **failed}
    if once and ready:
        crash.point(crash.Point.COMMITTED)

    def rest(job: Job) -> R:
        number = job.claim.file_id
        if number in failed:
            raise failed[number]
        if number not in ready:
            return alone(job)
        file = ready[number]
        if once:
            return loaded(file.job, file.loaded.counts)
        stored = world.ledger.load(job.claim, file.batches, file.load)
        return loaded(file.job, done(file.job, stored))

    return [outcome(job, partial(rest, job)) for job in jobs]


def _prepare(jobs: list[Job], ready: dict[int, _Ready], failed: dict[int, Exception]) -> None:
    """Write the layers of files, as many as can be held."""
    room = ROWS
    for job in jobs:
        number = job.claim.file_id
        try:
            file = _made(job, room)
        except Exception as error:  # noqa: BLE001 - of this file alone
            failed[number] = error
            continue
        if file is not None:
            ready[number] = file
            room -= file.rows


def _made(job: Job, room: int) -> _Ready | None:
    made, batches = Ingest(job), []
    with closing(iter(made)) as readings:  # left early, it leaves nothing behind
        for keyed in readings:
            room -= len(keyed[0])
            if room < 0:
                return None
            batches.append(keyed)
    return _Ready(made.job, batches, made.load)
