"""The fleet: ``celery -A workers worker``. Each task takes one file through ``sensorflow.flow``."""

from sensorflow import memory, steady

memory.frugal()
memory.without_pandas()

from workers import flower  # noqa: E402 - what they import is to find it so
from workers.app import app, command  # noqa: E402

if command() is not None:
    steady.streams()
flower.guard()

__all__ = ["app"]
