"""The settings that this process works with."""

from __future__ import annotations

from functools import cache

from sensorflow import bootstrap
from sensorflow.settings import Settings


@cache
def settings() -> Settings:
    """As they were when it was started, children of a pool with their parent's: what is written meanwhile
    holds for the next one. Raises Misuse."""
    return bootstrap.settings()
