"""The settings of this process, read once."""

from __future__ import annotations

import sys
from functools import cache
from typing import NoReturn

from sensorflow import bootstrap
from sensorflow.errors import UsageError
from sensorflow.settings import Settings


@cache
def settings() -> Settings:
    """Returns the settings as of the start of the process. Children of a pool use their parent's settings.
    Later changes of the file take effect in the next process. Raises UsageError."""
    return bootstrap.settings(warn=False)


def end(error: UsageError) -> NoReturn:
    """End this process as a command of sensorflow ends with this error."""
    sys.stderr.write(f"sensorflow: {error}\n")
    raise SystemExit(2) from error
