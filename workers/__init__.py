"""The fleet: ``celery -A workers worker``. Each task takes one file through ``sensorflow.flow``."""

import os

# what Arrow frees goes back at once: 30 MB less of a worker, at no cost that could be measured
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from workers import flower
from workers.app import app

flower.guard()

__all__ = ["app"]
