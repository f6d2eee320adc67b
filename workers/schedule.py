"""What celery beat sends, and how often."""

from __future__ import annotations

from typing import Any

from sensorflow.adapters.queues.celery import SWEEP, task_name
from sensorflow.settings import Settings


def schedule(settings: Settings) -> dict[str, Any]:
    return {
        "sweep": {
            "task": task_name(SWEEP),
            "schedule": settings.sweep,
            "options": {"expires": settings.sweep},
        }
    }
