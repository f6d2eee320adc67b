"""sensorflow files"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, facts, line, table
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
    table("", (*heads, "error"), [_row(view, chains.get(view.file_id)) for view in found])


def _row(view: FileView, chain: ChainView | None) -> list[Any]:
    c = view.counts
    where = f"{view.state} ({view.stage})" if view.state in ("pending", "running") else view.state
    if chain is not None:
        root, view, c, where = view.file_id, chain.newest, chain.counts, grown(chain)
        view = replace(view, file_id=root)
    numbers = [c.read, c.loaded, c.rejected, c.duplicate]
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
    if json:
        as_json({**record(view, chain), "history": history, "arrivals": arrivals})
        return
    _print(view, history, arrivals)
    if chain is not None:
        line()
        _print_chain(view, chain)


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
