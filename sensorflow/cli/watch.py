"""sensorflow watch"""

from __future__ import annotations


def watch() -> None:
    """Watch the drop folders: land, register and publish files. The ingest daemon.

    A folder that is not there yet, as of a share that is mounted late, keeps no other source waiting.
    """
    from sensorflow import bootstrap, daemon, steady, telemetry
    from sensorflow.errors import Misuse

    settings = bootstrap.settings()
    if not settings.sources:
        raise Misuse("no [sources.*] in the settings: nothing to watch; see `sensorflow init`")
    steady.streams()
    bootstrap.require_sessions(settings)
    telemetry.configure(settings.log_level)
    daemon.run(settings)
