"""The fleet: ``celery -A workers worker``. Each task takes one file through ``sensorflow.flow``."""

import ctypes
import os

# One heap for all threads, and what Arrow frees goes back at once: 50 MB less of a worker, at no cost that
# could be measured. Before Arrow is imported, and before there is a second thread.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc's
    mallopt(-8, 1)  # M_ARENA_MAX

from workers import flower
from workers.app import app

flower.guard()

__all__ = ["app"]
