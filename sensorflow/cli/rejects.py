"""sensorflow rejects"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from sensorflow.cli.selection import Source, cut
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.cli.times import SINCE, given
from sensorflow.errors import UsageError
from sensorflow.escaping import escape, escape_all, to_json
from sensorflow.flow.choose import file_of, require_source

if TYPE_CHECKING:
    from datetime import datetime

    from sensorflow.ports.files import FileView, Listed

app = typer.Typer(help="Show, count and export rejected rows.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="File id or name.")]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters that make a spreadsheet read a cell as a formula (OWASP, CSV Injection)."""


@app.command("ls")
def ls(
    source: Source = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Only files that arrived since TIME: {SINCE}"),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", min=1, max=1_000_000_000, help="Maximum number of files, newest first."
        ),
    ] = 50,
    json: Json = False,
) -> None:
    """List the files that have rejected rows."""
    listed = _refusing(source, limit, given(since, "--since"))
    if json:
        as_json([_record(view) for view in listed.files])
    elif not listed.files:
        line(_nothing(source, since))
    else:
        rows = [
            (v.file_id, v.source, v.name, v.state, v.counts.read, v.counts.rejected)
            for v in listed.files
        ]
        table("", ("id", "source", "file", "state", "read", "rejected"), rows)
    cut(len(listed.files), listed.total, json)


def _record(view: FileView) -> dict[str, Any]:
    """Returns a file as JSON data. The keys `file_id` and `file` have the same names as the columns of
    `rejects export`."""
    known = {"id": view.file_id, "source": view.source, "name": view.name, "state": view.state}
    counts = {"read": view.counts.read, "rejected": view.counts.rejected}
    return {**known, **counts, "file_id": view.file_id, "file": view.name}


def _nothing(source: str | None, since: str | None = None) -> str:
    of = f" of source {source}" if source else ""
    return f"no rejected rows{of}{' in files that arrived since then' if since else ''}"


@app.command("show", short_help="Show the rejected rows of a file.")
def show(
    file: File,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1_000_000_000, help="Maximum number of rows.")
    ] = 50,
    json: Json = False,
) -> None:
    """Show the rejected rows of a file: line, column, code, reason and raw text."""
    view = _view(file)
    rows = list(_rows(view)) if view.counts.rejected else []
    if json:
        as_json(rows[:limit])
    elif not rows:
        line(f"file {view.file_id}, {view.name}, has no rejected rows; its state is {view.state}")
    for row in [] if json else rows[:limit]:
        column = f", column {row['column']}" if row["column"] else ""
        line(f"line {row['line_no']}{column}: {row['code']}: {escape(row['reason'])}")
        line(f"    {escape(row['raw'])[:300]}")
    cut(min(limit, len(rows)), len(rows), json)


@app.command("export")
def export(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="File ids or names, not together with --source. Default: all files.",
        ),
    ] = None,
    source: Source = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Output file, ending in .csv, .jsonl or .parquet. Default: CSV to stdout."
        ),
    ] = None,
) -> None:
    """Export the rejected rows of the given files, or of all files.

    In CSV, an apostrophe is put before each cell that a spreadsheet would run as a formula. On a terminal,
    control characters are escaped. In files and pipes, they are written unchanged.
    """
    if files and source:
        raise UsageError("give either files or --source, not both")
    views = [_view(file) for file in files] if files else _refusing(source).files
    kind = "csv" if to is None else to.suffix.removeprefix(".")
    if kind not in ("csv", "jsonl", "parquet"):
        raise UsageError(f"--to {to}: give a file name that ends in .csv, .jsonl or .parquet")
    rows = ({"file_id": v.file_id, "file": v.name, **row} for v in views for row in _rows(v))
    if kind == "parquet" and to is not None:
        _to_parquet(list(rows), to)
        return
    if to is None:
        _write(rows, kind, sys.stdout)
        return
    try:
        with to.open("w", encoding="utf-8", newline="") as stream:
            _write(rows, kind, stream)
    except OSError as error:
        raise UsageError(f"cannot write {to}: {error.strerror}") from error


@app.command("stats")
def stats(source: Source = None, json: Json = False) -> None:
    """Count rejected rows by source, code and column."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for view in _refusing(source).files:
        counts.update((view.source, r["code"], r["column"] or "") for r in _rows(view))
    found = [(*key, count) for key, count in counts.most_common()]
    if json:
        keys = ("source", "code", "column", "rows")
        as_json([dict(zip(keys, row, strict=True)) for row in found])
    elif found:
        table("", ("source", "code", "column", "rows"), found)
    else:
        line(_nothing(source))


def _refusing(source: str | None, limit: int = 2**31, since: datetime | None = None) -> Listed:
    """Returns the files that have rejected rows. Raises UsageError for an unknown source."""
    from sensorflow import bootstrap
    from sensorflow.core.listing import FileFilter

    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    require_source(settings, ledger, source)
    return ledger.matching(FileFilter(None, source, since, rejected=True), limit)


def _view(file: str) -> FileView:
    from sensorflow import bootstrap

    return file_of(bootstrap.ledger(bootstrap.settings(), "cli"), file)


def _rows(view: FileView) -> Iterator[dict[str, Any]]:
    from sensorflow import bootstrap
    from sensorflow.core.partitions import Layer

    if "rejects" in view.expired:
        text = f"{view.name}: retention has removed the text of its {view.counts.rejected:,} rejected rows"
        print(f"file {view.file_id}, {escape(text)}", file=sys.stderr)  # noqa: T201
        return
    settings = bootstrap.settings()
    lake = bootstrap.lake(settings, bootstrap.ledger(settings, "cli"))
    for batch in lake.read(Layer.REJECTS, view.layer_file):
        yield from batch.to_pylist()


def _write(rows: Iterator[dict[str, Any]], kind: str, stream: TextIO) -> None:
    writer = None
    for row in rows:
        if kind == "jsonl":
            stream.write(to_json(row) + "\n")
            continue
        if writer is None:
            writer = csv.DictWriter(stream, list(row))
            writer.writeheader()
        if stream.isatty():
            row = escape_all(row)
        writer.writerow({key: escape_cell(cell) for key, cell in row.items()})


def escape_cell(cell: Any) -> Any:
    """Returns a cell of a CSV file. If a spreadsheet would run the cell as a formula, an apostrophe is put
    before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _to_parquet(rows: list[dict[str, Any]], to: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.write_table(pa.Table.from_pylist(rows), to)
    except OSError as error:
        raise UsageError(f"cannot write {to}: {error}") from error
