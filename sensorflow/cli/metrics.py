"""sensorflow metrics"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import line

if TYPE_CHECKING:
    from sensorflow.engine.exporter import Exporter

PORT = 9808


def metrics(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all addresses.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 for any free port."),
    ] = PORT,
    once: Annotated[
        bool, typer.Option("--once", help="Print the metrics to stdout, and serve nothing.")
    ] = False,
) -> None:
    """Serve the metrics of the whole fleet for Prometheus. Run one such process per fleet.

    /metrics contains the metrics. /healthz reports whether this process works, and /readyz whether the
    database and the broker answer. All values are computed from the ledger, so they survive a restart. With
    --once, the exit code is 1 if the database does not answer. If only the broker does not answer within
    5 s, its metrics are missing, sensorflow_broker_up is 0, and a line on stderr contains the reason.
    """
    from sensorflow import bootstrap, lossy_stream, memory, telemetry
    from sensorflow.engine.exporter import Exporter

    settings = bootstrap.settings(warn=False)
    if not once:
        memory.limit_free_heap()
        lossy_stream.install()
    telemetry.configure_for(settings)
    exporter = Exporter(settings)
    if once:
        _print(exporter)
    else:
        _serve(exporter, host, port)


def _print(exporter: Exporter) -> None:
    exporter.measure()
    exporter.close()
    if exporter.meter.error is not None:
        typer.echo(exporter.meter.error, err=True)
        raise typer.Exit(1)
    if exporter.surroundings.broker_error is not None:
        typer.echo(exporter.surroundings.broker_error, err=True)
    sys.stdout.write(exporter.page().decode())


def _serve(exporter: Exporter, host: str, port: int) -> None:
    import signal
    import threading

    from sensorflow.adapters.http import Server

    server = Server(host, port, exporter.routes())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    shown = f"[{host}]" if ":" in host else host
    line(f"metrics: http://{shown}:{server.port}/metrics")
    sys.stdout.flush()
    try:
        exporter.run(stop)
    finally:
        server.stop()
