"""Composes the periodic work of a fleet. See `flow.housekeeping` for who runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from sensorflow import bootstrap
from sensorflow.settings import Settings

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.ledger import PostgresLedger
    from sensorflow.adapters.postgres.sealing import SealResult
    from sensorflow.flow.housekeeping import Housekeeping, StepResult
    from sensorflow.ports.ledger import Ledger
    from sensorflow.ports.project import ProjectRecord
    from sensorflow.ports.queue import Publisher

GARBAGE = 3600.0
"""Seconds after which an incomplete file counts as garbage."""
DAY = 23.5 * 3600
COLLECTED = ".collected"
"""Name of a file in the data folder; its mtime is the time of the last garbage collection."""


def seal_partitions(settings: Settings) -> list[SealResult]:
    """If `dedupe_index` is "deferred", seal the partitions that are old enough (`seal_after`). Returns the
    result of each partition."""
    from sensorflow.adapters.postgres import sealing

    if not settings.deferred:
        return []
    url = bootstrap.database_url(settings)
    found = sealing.partitions(url, settings.seal_after)
    return list(sealing.seal(url, sealing.sealable(found, datetime.now(UTC))))


def collect_garbage(settings: Settings, ledger: ProjectRecord) -> int:
    """Remove the incomplete files of killed processes from all stores, if the files are at least an hour
    old. Returns the number of removed files."""
    from sensorflow.adapters.local.garbage import remove_unfinished

    stores = (
        bootstrap.landing(settings, ledger),
        bootstrap.quarantine(settings, ledger),
        bootstrap.lake(settings, ledger),
    )
    found = sum(store.remove_unfinished(GARBAGE) for store in stores)
    return found + remove_unfinished(settings.data_folder / "archive", GARBAGE)


def collect_garbage_daily(settings: Settings, ledger: ProjectRecord) -> int:
    """Run `collect_garbage` at most once a day, because it lists all stored files. Return its result."""
    from sensorflow.adapters.local.places import storage_errors

    note = settings.data_folder / COLLECTED
    with storage_errors():
        if not settings.data_folder.is_dir():
            return 0
        if note.exists() and 0 <= time.time() - note.stat().st_mtime < DAY:
            return 0
        note.touch()
    return collect_garbage(settings, ledger)


def reconciler(
    settings: Settings, ledger: Ledger, publisher: Publisher, touch: Callable[[], object]
) -> Housekeeping:
    """Return the housekeeping of the daemon. Its only step is the reconciler, because all other steps need
    Arrow or may take hours. touch: called repeatedly while the reconciler works, to show that it makes
    progress."""
    from sensorflow.flow.housekeeping import Housekeeping, reconcile_step

    return Housekeeping(ledger, (reconcile_step(ledger, publisher, settings, touch),))


def housekeeping(settings: Settings, ledger: PostgresLedger, publisher: Publisher) -> Housekeeping:
    """Return the housekeeping that runs all periodic tasks."""
    from sensorflow.adapters.postgres import partitions
    from sensorflow.flow import housekeeping as tasks
    from sensorflow.flow.gold import gold_step
    from sensorflow.flow.retention import apply_retention

    stores = bootstrap.lake(settings, ledger), bootstrap.landing(settings, ledger)

    def seal() -> StepResult:
        return {done.partition.name: done.outcome for done in seal_partitions(settings)}

    def collect() -> StepResult:
        garbage = collect_garbage_daily(settings, ledger)
        return {"half written": garbage} if garbage else {}

    def maintain() -> StepResult:
        return partitions.maintain(bootstrap.database_url(settings), settings.partition_width)

    expire = partial(apply_retention, ledger, *stores, settings)
    hourly = partial(tasks.run_all, (seal, expire, collect, maintain))
    steps = (
        tasks.reconcile_step(ledger, publisher, settings),
        tasks.garbage_step(ledger, *stores, settings),
        tasks.Step(tasks.RETAIN, tasks.RETENTION_SECONDS, hourly),
    )
    return tasks.Housekeeping(ledger, (*steps, gold_step(ledger)))
