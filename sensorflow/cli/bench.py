"""sensorflow bench"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow import memory
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.errors import UsageError

if TYPE_CHECKING:
    from sensorflow.bench import BenchResult


def bench(
    path: Annotated[Path, typer.Argument(metavar="FILE")],
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            "-p",
            help="Profile to use: a name or a TOML file. "
            "Default: the profile of the source, or else a proposed profile.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Use the settings of this source. "
            "Default: the source that the file's folder belongs to."
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of times without an offset. Used only for a proposed profile, not if "
            "--profile or a source states the profile."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure how long each stage takes for a file on this machine, and suggest settings.

    Loads the file into a temporary PostgreSQL, which is removed afterwards. Your database, folders and
    settings are not changed. The command needs the embedded PostgreSQL or a PostgreSQL that is installed on
    this machine.
    """
    memory.configure_allocator()  # before Arrow is imported, as in a worker
    from sensorflow.bench import bench as measure
    from sensorflow.cli.check import source_of
    from sensorflow.flow.dry_run import profile_for
    from sensorflow.telemetry import configure

    if not path.is_file():
        raise UsageError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    settings, rules = source_of(path)
    if source is not None:
        if source not in settings.sources:
            known = ", ".join(settings.sources) or "none"
            raise UsageError(f"--source {source}: no such source; known sources: {known}")
        rules = settings.sources[source]
    chosen = profile_for(path, profile, zone, settings, rules)
    configure("ERROR")
    try:
        found = measure(path, chosen, rules, settings)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if json:
        as_json(found.as_dict())
        return
    _print(found)


def _print(found: BenchResult) -> None:
    line(f"{found.file}  (profile: {found.profile})")
    account = (
        f"{found.loaded:,} loaded, {found.rejected:,} rejected, {found.duplicate:,} duplicates"
    )
    line(f"  {found.read:,} rows in {found.bytes:,} bytes: {account}")
    rows = [
        ("land, register", found.arriving, None, None),
        *((s.name, s.seconds, s.rows, s.rows_per_second) for s in found.steps),
        ("all stages", found.seconds, found.read, found.rows_per_second),
    ]
    table("", ("  stage", "seconds", "rows", "rows/s"), [(f"  {r[0]}", *r[1:]) for r in rows])
    rounds = f"the median of {found.rounds} rounds, " if found.rounds > 1 else ""
    line(
        f"  {rounds}PostgreSQL {found.database_share:.0%} of CPU time, peak memory {found.peak_mb:,.0f} MB"
    )
    for hint in found.hints:
        line(f"  - {hint}")
    if not found.hints:
        line("  no suggestions")
