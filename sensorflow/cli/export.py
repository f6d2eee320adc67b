"""sensorflow export"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sensorflow.cli.selection import complete_source
from sensorflow.cli.show import Json, as_json, line
from sensorflow.cli.show import readings as readings_
from sensorflow.cli.times import given
from sensorflow.errors import UsageError
from sensorflow.escaping import escape

if TYPE_CHECKING:
    from sensorflow.api.exporting import Export, Progress, TableQuery

STDOUT = "-"
STDOUT_PATHS = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Other names of stdout. A file behind stdout is not replaced, because the shell may append to it."""


def export(
    sensor: Annotated[
        list[str] | None,
        typer.Option(metavar="SENSOR", help="Only this sensor. May be repeated. Default: all."),
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="TYPE", help="Only this reading type. May be repeated. Default: all."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Only readings of files of this source. May be repeated. Default: all.",
            autocompletion=complete_source,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Only readings at or after this time, such as 2026-01-31 or 7d.",
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only readings before this time.")
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTH",
            help="Export aggregates of buckets of this width, such as 15m, 1h or 1d, instead of readings.",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, json (one object per line), parquet or arrow. Default: by the name of the output "
            "file; csv for stdout.",
        ),
    ] = None,
    wide: Annotated[
        bool,
        typer.Option(
            "--wide", help="Export one column per sensor, and one row per time or bucket."
        ),
    ] = False,
    statistic: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only with --every and --wide: the aggregate in the cells: avg, min, max, sum, count, "
            "stddev, first or last. Default: avg.",
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Output file; - for stdout.")
    ] = STDOUT,
    json: Json = False,
) -> None:
    """Export readings, or aggregates of them, in order of time from one snapshot of the database.

    An output file gets its name only when it is complete, and replaces an existing file of this name. With
    --json, a summary with the numbers of rows and bytes and with checksums is printed as JSON.
    """
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres.readings import ReadingsQuery
    from sensorflow.api import exporting
    from sensorflow.core.output.width import STATISTICS, width
    from sensorflow.flow.choose import require_source

    if not output:
        raise UsageError("--output '': give the name of a file, or - for stdout")
    output = STDOUT if output in STDOUT_PATHS else output
    kind = exporting.format_of(output, format_, "--")
    target = _target(output, kind, json)
    query = ReadingsQuery(
        given(from_, "--from"),
        given(to, "--to"),
        sensor or None,
        type_ or None,
        source or None,
        None if every is None else width(every, "--every"),
    )
    if query.start is not None and query.end is not None and query.end < query.start:
        raise UsageError(f"--to {to} is before --from {from_}")
    table = exporting.TableQuery(query, wide, statistic or STATISTICS[0])
    table.require_statistic("--", is_given=statistic is not None)
    settings = bootstrap.settings()
    for one in source or ():
        require_source(settings, bootstrap.ledger(settings, "cli"), one)
    url = bootstrap.database_url(settings)
    exporting.require_known(url, query, "--")
    with _ended_by_signals(), bar() as progress:
        if target == "file":
            done = exporting.to_file(url, Path(output), kind, table, progress)
        else:
            done = _to_stdout(url, target, kind, table, progress)
    _show(done, json)


def _target(output: str, kind: str, json: bool) -> Literal["file", "pipe", "terminal"]:
    from sensorflow.flow.export import BINARY

    if output != STDOUT:
        return "file"
    if json:
        raise UsageError("--json prints the summary on stdout: give --output FILE for the readings")
    if not sys.stdout.isatty():
        return "pipe"
    if kind in BINARY:
        raise UsageError(
            f"--format {kind}: not written to a terminal because it is binary; give --output FILE"
        )
    return "terminal"


def _to_stdout(
    url: str,
    target: Literal["pipe", "terminal"],
    kind: str,
    table: TableQuery,
    progress: Progress,
) -> Export:
    from sensorflow.api import exporting

    return exporting.to_stream(url, sys.stdout.buffer, target, None, kind, table, progress)


def _show(done: Export, json: bool) -> None:
    if json:
        as_json(asdict(done))
        return
    what = f"{done.rows:,} rows" if done.readings is None else readings_(done.readings)
    if done.file is not None:
        line(f"{done.file}: {what}, {done.bytes:,} bytes, SHA-256 {done.sha256}")
    notes = []
    if not done.rows:
        notes.append("no readings match these options; the output is empty")
    if done.repeated:
        notes.append(
            f"{done.repeated:,} values are in additional rows, because their sensor has several values at "
            "the same time"
        )
    for note in notes:
        print(f"note: {escape(note)}", file=sys.stderr)  # noqa: T201


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End like Ctrl-C on SIGTERM and SIGHUP, so that an unfinished file is removed."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def bar() -> Iterator[Progress]:
    """Show the progress on stderr if it is a terminal. Provides the function to call after each batch."""
    if not sys.stderr.isatty():
        yield lambda count, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Bar(
        *columns, TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True
    ) as shown:
        task = shown.add_task("", total=None)

        def progress(count: int, done: float | None) -> None:
            total = None if done is None else 1.0
            shown.update(task, description=f"{count:,} rows", completed=done or 0.0, total=total)

        yield progress
