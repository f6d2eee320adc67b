"""The settings of this process."""

from __future__ import annotations

from functools import cache

from sensorflow import bootstrap
from sensorflow.settings import Settings


@cache
def settings() -> Settings:
    """Returns the settings as of the start of the process; children of a pool use their parent's. Later
    changes of the file apply to the next process. Raises UsageError."""
    return bootstrap.settings(warn=False)
