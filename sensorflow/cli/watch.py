"""sensorflow watch"""

from __future__ import annotations


def watch() -> None:
    """Run the ingest daemon, which watches the drop folders and lands, registers and publishes files.

    If a drop folder is missing, for example a share that is mounted late, all other sources work without
    delay.
    """
    from sensorflow import bootstrap, daemon, lossy_stream, memory, telemetry
    from sensorflow.errors import UsageError

    settings = bootstrap.settings(warn=False)
    if not settings.sources:
        raise UsageError(
            "the settings have no [sources.NAME] table: nothing to watch; "
            "add one with `sensorflow sources add`"
        )
    memory.limit_free_heap()
    lossy_stream.install()
    telemetry.configure_for(settings)
    bootstrap.require_sessions(settings)
    bootstrap.require_own_locations(settings)
    daemon.run(settings)
