"""sensorflow files"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, facts, line, readings, table
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
    table("", (*heads, "replaced", "error"), [_row(view) for view in found])


def _row(view: FileView) -> list[Any]:
    c = view.counts
    where = f"{view.state} ({view.stage})" if view.state in ("pending", "running") else view.state
    numbers = [c.read, c.loaded, c.rejected, c.duplicate, c.replaced]
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
    versions = ledger.named(view.name, view.source)
    if json:
        others = [record(version) for version in versions]
        told = {"history": history, "arrivals": arrivals, "versions": others}
        as_json({**record(view), **told})
        return
    _print(view, history, arrivals)
    _print_versions(view, versions)


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
            "replaced": f"{c.replaced:,} of the loaded, by newer statements of the same readings",
            "missing cells": c.missing,
        }
    )
    if f["remarks"]:
        facts({"remarks": f["remarks"]})
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


SHOWN = 10
"""Versions of a name that are shown, the newest first."""


def _print_versions(view: FileView, versions: list[FileView]) -> None:
    if len(versions) == 1:
        return
    newest = sorted(versions, key=lambda v: -v.version)
    rows = [
        [v.version, v.file_id, str(v.state), v.counts.loaded, v.counts.replaced, *_span(v)]
        for v in newest[:SHOWN]
    ]
    line()
    heads = ("version", "id", "state", "loaded", "replaced", "from", "to")
    table("versions of this name", heads, rows)
    if len(newest) > SHOWN:
        line(f"and {len(newest) - SHOWN:,} older ones")
    for text in surviving(newest):
        line(text)


def _span(view: FileView) -> tuple[Any, Any]:
    return view.facts["ts_min"], view.facts["ts_max"]


def surviving(newest: list[FileView]) -> list[str]:
    """What is to be said where readings of older versions stay beside a newer one. newest: first."""
    loaded = [v for v in newest if v.state == "loaded"]
    older = [v for v in loaded[1:] if v.counts.served]
    if not older:
        return []
    total = sum(v.counts.served for v in older)
    low = min(v.facts["ts_min"] for v in older)
    high = max(v.facts["ts_max"] for v in older)
    last = older[0]
    stay = (
        f"kept: {readings(total)} of older versions (spanning {low:%Y-%m-%d %H:%M:%S} to "
        f"{high:%Y-%m-%d %H:%M:%S}) that version {loaded[0].version} does not state again"
    )
    out = (
        f"to remove them: sensorflow undo '{last.name}@{last.version}'; for a source whose files "
        'always replace the whole older one: on_change = "supersede"'
    )
    return [stay, out]
