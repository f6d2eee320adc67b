"""The fleet: ``celery -A workers worker``. Each task takes one file through ``sensorflow.flow``."""

import sys

from sensorflow import memory, steady


class _WithoutPandas:
    """pyarrow imports pandas where it finds it, at its first conversion: 32 MB and a second of each worker,
    for nothing."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("a worker does without pandas", name=name)


memory.frugal()
sys.meta_path.insert(0, _WithoutPandas())

from workers import flower  # noqa: E402 - what they import is to find it so
from workers.app import app, command  # noqa: E402

if command() is not None:
    steady.streams()
flower.guard()

__all__ = ["app"]
