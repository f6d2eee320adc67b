"""The fleet: ``celery -A workers worker``. Each task takes one file through ``sensorflow.flow``."""

from workers import flower
from workers.app import app

flower.guard()

__all__ = ["app"]
