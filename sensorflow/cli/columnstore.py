"""Announces that readings are in the columnstore of TimescaleDB, where changes are slower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sensorflow.cli.show import line, readings
from sensorflow.core.health import Check

if TYPE_CHECKING:
    from sensorflow.ports.files import FileView
    from sensorflow.settings import Settings


def check(url: str) -> Iterator[Check]:
    """Yields nothing if no readings are there."""
    from sensorflow.adapters.postgres import columnstore

    if found := columnstore.columnstore(url):
        text = f"{found.stored:,} of {found.chunks:,} chunks, of readings before {found.until:%Y-%m-%d}"
        yield Check("columnstore", "ok", f"{text}: loads, corrections and undo take longer there")


def slow(settings: Settings, files: Sequence[FileView]) -> None:
    """Print a line before a replay or an undo changes many readings there."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import columnstore

    found = columnstore.readings_there(bootstrap.database_url(settings), [f.file_id for f in files])
    if found >= columnstore.MANY:
        line(f"{readings(found)} are in TimescaleDB's columnstore, where each change takes longer")
