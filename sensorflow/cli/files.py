"""sensorflow files"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, facts, line, table
from sensorflow.errors import Misuse

if TYPE_CHECKING:
    from sensorflow.ports import FileView

app = typer.Typer(help="Where each file stands; its history.", no_args_is_help=True)


@app.command("ls")
def ls(
    state: Annotated[str | None, typer.Option(help="Only files in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only files of this source.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="How many, newest first.")] = 50,
    json: Json = False,
) -> None:
    """List files, newest first."""
    from sensorflow import bootstrap
    from sensorflow.core.states import State

    if state is not None and state not in list(State):
        raise Misuse(f"--state {state}: no such state; one of {', '.join(State)}")
    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    found = ledger.files(State(state) if state else None, source, limit)
    if json:
        as_json([record(view) for view in found])
        return
    if not found:
        line("no files yet: put one into a drop folder, or see `sensorflow doctor`")
        return
    heads = ("id", "source", "file", "version", "state", "read", "loaded", "rejected", "dupl.")
    table("", (*heads, "error"), [_row(view) for view in found])


def _row(view: FileView) -> list[Any]:
    c = view.counts
    where = f"{view.state} ({view.stage})" if view.state in ("pending", "running") else view.state
    numbers = [c.read, c.loaded, c.rejected, c.duplicate]
    name = [view.file_id, view.source, view.name, view.version, str(where)]
    return [*name, *numbers, view.facts["error_code"]]


def record(view: FileView) -> dict[str, Any]:
    """A file for JSON, its counts apart from its other facts."""
    known = {k: v for k, v in view.facts.items() if not k.startswith("rows_")}
    return {**known, "rows": asdict(view.counts)}


@app.command("show")
def show(
    file_id: Annotated[str, typer.Argument(metavar="ID")],
    json: Json = False,
) -> None:
    """One file: state, stages with durations, rows, history."""
    from sensorflow import bootstrap

    if not file_id.isdecimal():
        raise Misuse(f"{file_id!r}: give the number of the file; see `sensorflow files ls`")
    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    view = ledger.file(int(file_id))
    if view is None:
        raise Misuse(f"no file {file_id}; see `sensorflow files ls`")
    history, arrivals = ledger.history(view.file_id), ledger.arrivals(view.file_id)
    if json:
        as_json({**record(view), "history": history, "arrivals": arrivals})
        return
    _print(view, history, arrivals)


def _print(view: FileView, history: list[dict[str, Any]], arrivals: list[dict[str, Any]]) -> None:
    f, c = view.facts, view.counts
    facts(
        {
            "file": view.name,
            "source": view.source,
            "version": view.version,
            "state": f"{view.state} ({view.stage})",
            "size": f"{f['size']:,} bytes",
            "sha256": bytes(f["sha256"]).hex(),
            "landed as": f["landing"],
            "read": c.read,
            "loaded": c.loaded,
            "rejected": c.rejected,
            "duplicates": c.duplicate,
            "missing cells": c.missing,
        }
    )
    if f["error_code"]:
        facts({"error": f"{f['error_code']}: {f['error_detail']}"})
    if f["quarantined_to"]:
        line(f"manifest: sensorflow quarantine show {view.file_id}")
    line()
    heads = ("at", "what", "stage", "attempt", "seconds", "rows", "who", "why")
    table("history", heads, [[event[head] for head in heads] for event in history])
    line()
    rows = [[a["at"], a["kind"], a["name"]] for a in arrivals]
    table("arrivals", ("at", "kind", "name"), rows)
