"""sensorflow retention"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, as_json, line, table

if TYPE_CHECKING:
    from sensorflow.settings import Source

LAYERS = ("landing", "bronze", "rejects", "silver", "rows", "history")


def retention(
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Remove expired data now. Beat also does this every hour."),
    ] = False,
    json: Json = False,
) -> None:
    """Show how long each source keeps each layer. With --apply, remove expired data.

    The layers are landing (original bytes), bronze, rejects and silver (files in the lake), rows (readings
    in the database) and history (events of files). To change how long a layer is kept, set `retention` of a
    source in sensorflow.toml.
    """
    from sensorflow import bootstrap
    from sensorflow.flow.retention import apply_retention

    settings = bootstrap.settings()
    if not apply and json:
        as_json(
            [
                {"source": name, **{layer: _days(source, layer) for layer in LAYERS}}
                for name, source in settings.sources.items()
            ]
        )
        return
    if not apply:
        rows = [
            [name, *(_age_text(getattr(source.retention, layer)) for layer in LAYERS)]
            for name, source in settings.sources.items()
        ]
        table("", ("source", *LAYERS), rows)
        return
    ledger = bootstrap.ledger(settings, "cli")
    lake, landing = bootstrap.lake(settings, ledger), bootstrap.landing(settings, ledger)
    done = apply_retention(ledger, lake, landing, settings)
    if json:
        as_json({"removed": {layer: done.get(layer, 0) for layer in LAYERS}})
        return
    parts = [f"{layer} of {count:,} files" for layer, count in done.items() if layer != "history"]
    if done.get("history"):
        parts.append(f"{done['history']:,} events of history")
    line(f"removed: {', '.join(parts)}" if parts else "nothing was removed: no data has expired")


def _days(source: Source, layer: str) -> float | None:
    """Returns the time in days for which a layer is kept; None if it is kept forever."""
    age: timedelta | None = getattr(source.retention, layer)
    return None if age is None else age / timedelta(days=1)


def _age_text(age: timedelta | None) -> str:
    from sensorflow.core.times.durations import SECONDS
    from sensorflow.settings import UNITS

    if age is None:
        return "forever"
    for unit in sorted(UNITS, key=lambda unit: -SECONDS[unit]):
        amount = age / timedelta(seconds=SECONDS[unit])
        if amount >= 1 and amount == round(amount) and unit != "w":
            return f"{amount:.0f}{unit}"
    return str(age)
