"""The settings of a project: what they are, and the file and variables that they are read from."""

from sensorflow.settings.file import (
    COPY,
    FILE_NAME,
    RESTORING,
    copied,
    find,
    load,
    require_project,
    require_whole,
    required_file,
)
from sensorflow.settings.project import Limits, Settings
from sensorflow.settings.retention import UNITS
from sensorflow.settings.sources import Source, tolerance, tolerates

__all__ = [
    "COPY",
    "FILE_NAME",
    "RESTORING",
    "UNITS",
    "Limits",
    "Settings",
    "Source",
    "copied",
    "find",
    "load",
    "require_project",
    "require_whole",
    "required_file",
    "tolerance",
    "tolerates",
]
