"""The generated parts of the reference. A page contains the part with the name NAME in place of the mark
`<!-- generated: NAME -->`."""

from __future__ import annotations

from collections.abc import Callable

from manual import commands, decisions, events, metrics, settings, tables
from sensorflow.settings import FolderSource, Settings
from sensorflow.settings.retention import Retention
from sensorflow.settings.storage import Storage

DOCUMENTED_ELSEWHERE = frozenset({"sources", "profiles"})

PARTS: dict[str, Callable[[], str]] = {
    "commands": commands.reference,
    "settings": lambda: settings.reference(Settings, DOCUMENTED_ELSEWHERE),
    "source": lambda: settings.reference(FolderSource),
    "storage": lambda: settings.reference(Storage),
    "retention": lambda: settings.reference(Retention),
    "decisions": decisions.index,
    "log_events": events.of_the_log,
    "file_events": events.of_a_file,
    "fleet_metrics": metrics.of_the_fleet,
    "process_metrics": metrics.of_a_process,
    "tables": tables.reference,
}
