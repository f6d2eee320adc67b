"""The settings of a project: their models, and how they are read from the file and the environment."""

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
from sensorflow.settings.sources import FolderSource, Source, as_folder, tolerance, tolerates

__all__ = [
    "COPY",
    "FILE_NAME",
    "RESTORING",
    "UNITS",
    "FolderSource",
    "Limits",
    "Settings",
    "Source",
    "as_folder",
    "copied",
    "find",
    "load",
    "require_project",
    "require_whole",
    "required_file",
    "tolerance",
    "tolerates",
]
