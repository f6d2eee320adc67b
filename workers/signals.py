"""What a worker does when it starts."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_process_init

from sensorflow.adapters.linux import die_with_parent
from workers import process


@worker_process_init.connect
def started(**_: Any) -> None:
    """A child of a killed parent must not live on, holding leases that nobody counts."""
    die_with_parent()
    process.forget()
