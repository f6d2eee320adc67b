"""sensorflow watch"""

from __future__ import annotations


def watch() -> None:
    """Watch the drop folders: land, register and publish files. The ingest daemon."""
    from sensorflow import bootstrap, daemon, steady, telemetry
    from sensorflow.errors import Misuse
    from sensorflow.settings import require_folders

    settings = bootstrap.settings()
    if not settings.sources:
        raise Misuse("no [sources.*] in the settings: nothing to watch; see `sensorflow init`")
    require_folders(settings)
    steady.streams()
    bootstrap.require_sessions(settings)
    telemetry.configure(settings.log_level)
    daemon.run(settings)
