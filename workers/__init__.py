"""The fleet: ``celery -A workers worker``. Each task takes one file through ``sensorflow.flow``."""

from workers.app import app

__all__ = ["app"]
