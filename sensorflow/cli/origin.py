"""sensorflow files of-row"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, facts, line
from sensorflow.cli.times import instant
from sensorflow.core.nearest import nearest
from sensorflow.errors import UsageError

if TYPE_CHECKING:
    from sensorflow.ports.ledger import Ledger
    from sensorflow.settings import Settings


def of_row(
    sensor: Annotated[str, typer.Argument(metavar="SENSOR", help="The sensor_id of the reading.")],
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="The reading_type of the reading.")],
    time: Annotated[
        str,
        typer.Argument(
            metavar="TIME",
            help="The ts of the reading, as SELECT prints it: '2026-01-31 12:00:00+00'.",
        ),
    ],
    json: Json = False,
) -> None:
    """Show which file, version and line a reading came from, with the text of that line.

    TIME must be the exact time of the reading. A time without an offset is in UTC. If there is no reading
    at this time, the nearest readings are listed.
    """
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import inspect

    at = instant(time, "TIME")
    settings = bootstrap.settings()
    url = bootstrap.database_url(settings)
    found = inspect.readings_at(url, sensor, kind, at)
    if not found:
        raise UsageError(_no_reading(url, sensor, kind, at))
    ledger = bootstrap.ledger(settings, "cli")
    readings = [
        _describe(settings, ledger, row) | {"sensor": sensor, "type": kind} for row in found
    ]
    if json:
        as_json(readings)
        return
    for number, one in enumerate(readings):
        if number:
            line()
        _print(one)


def _describe(settings: Settings, ledger: Ledger, row: Any) -> dict[str, Any]:
    from sensorflow import bootstrap
    from sensorflow.flow.original import OriginalNotFound, original

    view = ledger.file(row.file_id)
    known = {"time": row.ts, "value": row.value, "unit": row.unit, "quality": row.quality}
    known |= {"file_id": row.file_id, "line": row.line_no}
    if view is None:  # rows that another program wrote
        return {**known, "name": None, "text": None, "why": "the file is not in the ledger"}
    text, reason = None, ""
    base = row.line_base if row.growth else None
    try:
        text = original(bootstrap.landing(settings, ledger), settings, view, row.line_no, base)
    except OriginalNotFound as error:
        reason = str(error)
    return {
        **known,
        "source": view.source,
        "name": view.name,
        "version": view.version,
        "landing": view.landing,
        "loaded_at": view.finished_at,
        "profile": view.profile,
        "text": text,
        "why": reason,
    }


def _print(one: dict[str, Any]) -> None:
    value = f"{one['value']!r} {one['unit']}".rstrip()
    entry = {"reading": f"{one['sensor']} {one['type']} {one['time'].isoformat()} = {value}"}
    if one["name"] is not None:
        entry |= {
            "file": f"{one['name']}, version {one['version']}, of source {one['source']}",
            "id": f"{one['file_id']} (sensorflow files show {one['file_id']})",
            "line": f"{one['line']:,}",
            "text": one["text"] if one["text"] is not None else f"not available: {one['why']}",
            "loaded": f"{one['loaded_at']:%Y-%m-%d %H:%M:%S} UTC, with profile {one['profile']}"
            if one["loaded_at"]
            else f"with profile {one['profile']}; the file is being processed again",
            "landed as": one["landing"],
        }
    else:
        entry |= {"id": str(one["file_id"]), "file": one["why"]}
    facts(entry)


def _no_reading(url: str, sensor: str, kind: str, at: datetime) -> str:
    """Returns the message that there is no such reading. It contains the nearest reading of the sensor, or
    else similar sensors."""
    from sensorflow.adapters.postgres import inspect

    nearby = inspect.readings_near(url, at)
    times = {(row.sensor, row.kind): row.ts for row in nearby}
    message = f"no reading of {sensor} {kind} at {at.isoformat()}"
    if ts := times.get((sensor, kind)):
        return f"{message}; the nearest one is at {ts.isoformat()}"
    if kinds := sorted(k for s, k in times if s == sensor):
        return f"{message}; {sensor} has {', '.join(kinds[:10])} within a minute of that time"
    sensors = sorted({s for s, _ in times})
    if close := nearest(sensor, sensors):
        return f"{message}; did you mean {close!r}?"
    if sensors:
        return f"{message}; sensors within a minute of that time: {', '.join(sensors[:10])}"
    return f"{message}, nor of any sensor within a minute of that time; check the UTC offset"
