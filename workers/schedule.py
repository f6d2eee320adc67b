"""The tasks that Celery beat sends, their intervals, and the protection of beat's schedule file."""

from __future__ import annotations

import dbm
import os
from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler
from celery.signals import beat_init

from sensorflow.adapters.queues.celery import RETAIN, SWEEP, task_name
from sensorflow.flow.housekeeping import RETENTION_SECONDS
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit


def schedule(settings: Settings) -> dict[str, Any]:
    return {
        "sweep": {
            "task": task_name(SWEEP),
            "schedule": settings.reconcile,
            "options": {"expires": settings.reconcile},
        },
        "retain": {
            "task": task_name(RETAIN),
            "schedule": RETENTION_SECONDS,
            "options": {"expires": RETENTION_SECONDS},
        },
    }


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # celery has no types
    """A scheduler that continues if it cannot save its schedule, for example on a full disk. The saved
    schedule is expendable."""

    def setup_schedule(self) -> None:
        os.umask(0o077)  # before the file is opened: dbm.dumb then keeps the mode for each rewrite
        super().setup_schedule()

    def sync(self) -> None:
        try:
            super().sync()
        except (OSError, *dbm.error) as error:
            emit(Event.SCHEDULE_NOT_SAVED, reason=str(error))


@beat_init.connect
def schedule_is_ours(sender: Any, **_: Any) -> None:
    """Make the schedule file of an earlier beat writable by its owner only, because it is read with
    pickle."""
    path = Path(sender.schedule_filename)
    for part in path.parent.glob(f"{path.name}*"):
        part.chmod(0o600)
