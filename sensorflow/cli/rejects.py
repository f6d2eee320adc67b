"""sensorflow rejects"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.errors import Misuse
from sensorflow.shown import json_of, shown, shown_in

if TYPE_CHECKING:
    from sensorflow.ports import FileView

app = typer.Typer(help="Rows that were refused, and why.", no_args_is_help=True)

FileId = Annotated[
    int, typer.Argument(metavar="ID", help="The file, as `sensorflow files ls` numbers it.")
]
Source = Annotated[str | None, typer.Option(help="Only files of this source.")]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection)."""


@app.command("ls")
def ls(
    source: Source = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="How many files, newest first.")] = 50,
    json: Json = False,
) -> None:
    """List the files that have rejected rows."""
    found = _refusing(source)[:limit]
    if json:
        as_json(
            [{"file_id": v.file_id, "file": v.name, "rejected": v.counts.rejected} for v in found]
        )
        return
    if not found:
        line("nothing was rejected")
        return
    rows = [(v.file_id, v.source, v.name, v.state, v.counts.read, v.counts.rejected) for v in found]
    table("", ("id", "source", "file", "state", "read", "rejected"), rows)


@app.command("show")
def show(
    file_id: FileId,
    limit: Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 50,
    json: Json = False,
) -> None:
    """Show the rejected rows of a file: line, column, code, reason and raw text."""
    rows = list(_rows(_view(file_id)))
    if json:
        as_json(rows[:limit])
        return
    for row in rows[:limit]:
        column = f", column {row['column']}" if row["column"] else ""
        line(f"line {row['line_no']}{column}: {row['code']}: {shown(row['reason'])}")
        line(f"    {shown(row['raw'])[:300]}")
    if len(rows) > limit:
        line(f"… and {len(rows) - limit:,} more: -n {len(rows)} shows all")


@app.command("export")
def export(
    file_ids: Annotated[list[int] | None, typer.Argument(metavar="[ID...]")] = None,
    source: Source = None,
    to: Annotated[
        Path | None, typer.Option(help="x.csv, x.jsonl or x.parquet. Default: CSV to stdout.")
    ] = None,
) -> None:
    """Write rejected rows to a file: those of the given files, or of all. In CSV, what a spreadsheet
    would take for a formula gets an apostrophe before it. A file or a pipe gets the characters as they are
    in the row, a terminal gets those it would act on as text."""
    views = [_view(i) for i in file_ids] if file_ids else _refusing(source)
    kind = "csv" if to is None else to.suffix.removeprefix(".")
    if kind not in ("csv", "jsonl", "parquet"):
        raise Misuse(f"{to}: give a name that ends in .csv, .jsonl or .parquet")
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
        raise Misuse(f"{to}: {error.strerror}") from error


@app.command("stats")
def stats(source: Source = None, json: Json = False) -> None:
    """Count rejected rows by source, code and column."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for view in _refusing(source):
        counts.update((view.source, r["code"], r["column"] or "") for r in _rows(view))
    found = [(*key, count) for key, count in counts.most_common()]
    if json:
        keys = ("source", "code", "column", "rows")
        as_json([dict(zip(keys, row, strict=True)) for row in found])
    elif found:
        table("", ("source", "code", "column", "rows"), found)
    else:
        line("nothing was rejected")


def _refusing(source: str | None) -> list[FileView]:
    from sensorflow import bootstrap

    views = bootstrap.ledger(bootstrap.settings(), "cli").files(None, source, 100_000)
    return [view for view in views if view.counts.rejected]


def _view(file_id: int) -> FileView:
    from sensorflow import bootstrap

    view = bootstrap.ledger(bootstrap.settings(), "cli").file(file_id)
    if view is None:
        raise Misuse(f"there is no file {file_id}; see `sensorflow files ls`")
    if not view.counts.rejected:
        raise Misuse(f"file {file_id} has no rejected rows; see `sensorflow rejects ls`")
    return view


def _rows(view: FileView) -> Iterator[dict[str, Any]]:
    from sensorflow import bootstrap
    from sensorflow.core.partitions import Layer, layer_path

    facts = view.facts
    path = layer_path(
        Layer.REJECTS,
        view.source,
        facts["sensor_type"],
        facts["landed_at"],
        view.file_id,
        view.version,
    )
    for batch in bootstrap.lake(bootstrap.settings()).read(path):
        yield from batch.to_pylist()


def _write(rows: Iterator[dict[str, Any]], kind: str, stream: TextIO) -> None:
    writer = None
    for row in rows:
        if kind == "jsonl":
            stream.write(json_of(row) + "\n")
            continue
        if writer is None:
            writer = csv.DictWriter(stream, list(row))
            writer.writeheader()
        if stream.isatty():
            row = shown_in(row)
        writer.writerow({key: harmless(cell) for key, cell in row.items()})


def harmless(cell: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _to_parquet(rows: list[dict[str, Any]], to: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.write_table(pa.Table.from_pylist(rows), to)
    except OSError as error:
        raise Misuse(f"{to}: {error}") from error
