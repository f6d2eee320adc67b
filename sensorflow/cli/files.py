"""sensorflow files"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, facts, line, readings, table
from sensorflow.errors import Misuse

if TYPE_CHECKING:
    from sensorflow.ports import ChainView, FileView

app = typer.Typer(help="Where each file stands; its history.", no_args_is_help=True)


@app.command("ls")
def ls(
    state: Annotated[str | None, typer.Option(help="Only files in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only files of this source.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="How many, newest first.")] = 50,
    each: Annotated[
        bool, typer.Option("--each", help="Of files that grow, every growth by itself.")
    ] = False,
    json: Json = False,
) -> None:
    """List files, newest first. A file that grows is one line, unless --each or --state is given."""
    from sensorflow import bootstrap
    from sensorflow.core.states import State

    if state is not None and state not in list(State):
        raise Misuse(f"--state {state}: no such state; one of {', '.join(State)}")
    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    whole = not each and state is None
    found = ledger.files(State(state) if state else None, source, limit, whole)
    chains = ledger.chains([view.file_id for view in found]) if whole else {}
    if json:
        as_json([record(view, chains.get(view.file_id)) for view in found])
        return
    if not found:
        line("no files yet: put one into a drop folder, or see `sensorflow doctor`")
        return
    heads = ("id", "source", "file", "version", "state", "read", "loaded", "rejected", "dupl.")
    rows = [_row(view, chains.get(view.file_id)) for view in found]
    table("", (*heads, "replaced", "error"), rows)


def _row(view: FileView, chain: ChainView | None) -> list[Any]:
    c = view.counts
    where = f"{view.state} ({view.stage})" if view.state in ("pending", "running") else view.state
    if chain is not None:
        root, view, c, where = view.file_id, chain.newest, chain.counts, grown(chain)
        view = replace(view, file_id=root)
    numbers = [c.read, c.loaded, c.rejected, c.duplicate, c.replaced]
    name = [view.file_id, view.source, view.name, view.version, str(where)]
    return [*name, *numbers, view.facts["error_code"]]


def grown(chain: ChainView) -> str:
    """The states of the growths of a file, in words."""
    states = ", ".join(f"{count:,} {state}" for state, count in chain.states.items())
    return f"{chain.growths:,} growths: {states}"


def record(view: FileView, chain: ChainView | None = None) -> dict[str, Any]:
    """A file for JSON, its counts apart from its other facts."""
    known = {k: v for k, v in view.facts.items() if not k.startswith("rows_")}
    return {**known, "rows": asdict(view.counts), **({"growing": _whole(chain)} if chain else {})}


def _whole(chain: ChainView) -> dict[str, Any]:
    return {
        "root": chain.root,
        "growths": chain.growths,
        "states": {str(state): count for state, count in chain.states.items()},
        "rows": asdict(chain.counts),
        "size": chain.size,
        "lines": chain.lines,
        "newest": chain.newest.file_id,
    }


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
    chain = ledger.chains([view.file_id]).get(view.file_id)
    versions = [] if chain else ledger.named(view.name, view.source)
    if json:
        others = [record(version) for version in versions]
        told = {"history": history, "arrivals": arrivals, "versions": others}
        as_json({**record(view, chain), **told})
        return
    _print(view, history, arrivals)
    if chain is not None:
        line()
        _print_chain(view, chain)
    elif versions:
        _print_versions(view, versions)


def _print_chain(view: FileView, chain: ChainView) -> None:
    c = chain.counts
    facts(
        {
            "part of": f"a file that grows, {chain.size:,} bytes and {chain.lines:,} lines so far",
            "its growths": f"{grown(chain)}; the first is file {chain.root}",
            "its newest": f"file {chain.newest.file_id}, {chain.newest.state}",
            "all read": c.read,
            "all loaded": c.loaded,
            "all rejected": c.rejected,
            "all duplicates": c.duplicate,
            "all replaced": c.replaced,
        }
    )
    line(f"each: sensorflow files ls --each --source {view.source}")


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
    wanted = f"{older[-1].version}-{last.version}" if len(older) > 1 else f"{last.version}"
    stay = (
        f"kept: {readings(total)} of older versions (spanning {low:%Y-%m-%d %H:%M:%S} to "
        f"{high:%Y-%m-%d %H:%M:%S}) that version {loaded[0].version} does not state again"
    )
    out = (
        f"to remove them: sensorflow undo '{last.name}@{wanted}'; for a source whose files "
        'always replace the whole older one: on_change = "supersede"'
    )
    return [stay, out]
