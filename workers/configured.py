"""The settings of this process."""

from __future__ import annotations

from functools import cache

from sensorflow import bootstrap
from sensorflow.settings import Settings


@cache
def settings() -> Settings:
    """Returns the settings as of the start of the process. Children of a pool use their parent's settings.
    Later changes of the file take effect in the next process. Raises UsageError."""
    return bootstrap.settings(warn=False)
