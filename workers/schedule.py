"""What celery beat sends, and how often."""

from __future__ import annotations

from typing import Any

from sensorflow.adapters.queues.celery import RETAIN, SWEEP, task_name
from sensorflow.settings import Settings

RETAIN_EVERY = 3600.0
"""Seconds between looks for what has expired."""


def schedule(settings: Settings) -> dict[str, Any]:
    return {
        "sweep": {
            "task": task_name(SWEEP),
            "schedule": settings.sweep,
            "options": {"expires": settings.sweep},
        },
        "retain": {
            "task": task_name(RETAIN),
            "schedule": RETAIN_EVERY,
            "options": {"expires": RETAIN_EVERY},
        },
    }
