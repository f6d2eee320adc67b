"""sensorflow files"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli import gated
from sensorflow.cli.get_file import get
from sensorflow.cli.origin import of_row
from sensorflow.cli.selection import Source, complete_state, cut
from sensorflow.cli.show import Json, as_json, facts, line, readings, table
from sensorflow.cli.times import SINCE, given
from sensorflow.core.arrival import printable
from sensorflow.core.events import FileEvent
from sensorflow.core.states import State
from sensorflow.core.tasks import tasks_of
from sensorflow.flow.choose import file_of, is_id, require, require_pattern, require_source

if TYPE_CHECKING:
    from sensorflow.ports.backlog import GatedFile
    from sensorflow.ports.files import ArrivalRecord, ChainView, FileView, HistoryEvent
    from sensorflow.ports.ledger import Ledger
    from sensorflow.settings import Settings

app = typer.Typer(
    help="Show files, their history and bytes, and where readings came from.", no_args_is_help=True
)


State_ = Annotated[
    str | None,
    typer.Option(
        help="Only files in this state: pending, running, loaded, quarantined, superseded, undone.",
        autocompletion=complete_state,
    ),
]


@app.command("ls", short_help="List files, newest first, with row counts.")
def ls(
    state: State_ = None,
    source: Source = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Only files that arrived since TIME: {SINCE}"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Only files whose name matches, such as 'roof-*.csv' or 'sub/*'.",
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", min=1, max=1_000_000_000, help="Maximum number of files, newest first."
        ),
    ] = 50,
    each: Annotated[
        bool, typer.Option("--each", help="List each part of a growing file on its own line.")
    ] = False,
    json: Json = False,
) -> None:
    """List files, newest first, with numbers of readings: read = loaded + rejected + duplicates + not
    loaded.

    "Not loaded" is the number of valid readings that are not in the database, because their file is
    pending, quarantined, undone or superseded. A growing file is one line, unless --each or --state is
    given.
    """
    from sensorflow import bootstrap
    from sensorflow.core.listing import FileFilter
    from sensorflow.core.states import State

    if state is not None:
        require("--state", state, "state", State)
    require_pattern("--name", name)
    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    require_source(settings, ledger, source)
    first_parts_only = not each and state is None
    wanted = FileFilter(
        State(state) if state else None,
        source,
        given(since, "--since"),
        None,
        name,
        first_parts_only=first_parts_only,
    )
    listed = ledger.matching(wanted, limit)
    found = listed.files
    chains = ledger.chains([view.file_id for view in found]) if first_parts_only else {}
    if json:
        as_json([record(view, chains.get(view.file_id)) for view in found])
    elif not found and wanted == FileFilter(first_parts_only=first_parts_only):
        line("no files yet: put a file into a drop folder, or run `sensorflow doctor`")
    elif not found:
        line("no files match these options; `sensorflow files ls` lists all")
    else:
        heads = ("id", "source", "file", "version", "state", "read", "loaded", "rejected", "dupl.")
        rows = [_row(view, chains.get(view.file_id)) for view in found]
        spare = ("rejected", "dupl.", "not loaded", "replaced", "error")
        table("", (*heads, "not loaded", "replaced", "error"), rows, spare)
    cut(len(found), listed.total, json)
    if not json and first_parts_only and since is None:
        for text in gated.lines(_gated(settings, ledger, source, name)):
            line(text)


def _gated(
    settings: Settings, ledger: Ledger, source: str | None, name: str | None
) -> list[GatedFile]:
    """Returns the files that wait for their gates and the gates that wait for their files. source: the only
    source to include. name: the pattern that names must match."""
    from sensorflow.core.listing import pattern
    from sensorflow.status import waiting

    wanted = re.compile(pattern(name or ""))
    waits = waiting(settings, ledger, source)
    return [w for w in waits if name is None or wanted.search(w.name)]


def _row(view: FileView, chain: ChainView | None) -> list[Any]:
    a = view.account
    where = (
        f"{view.state} ({view.stage})"
        if view.state in (State.PENDING, State.RUNNING)
        else view.state
    )
    if view.percent is not None:
        where += f" {view.percent:.0f} %"
    if chain is not None:
        root, view, a, where = view.file_id, chain.newest, chain.account, grown(chain)
        view = replace(view, file_id=root)
    numbers = [a.read, a.loaded, a.rejected, a.duplicate, a.not_loaded, a.replaced]
    name = [view.file_id, view.source, view.name, view.version, str(where)]
    return [*name, *numbers, view.error_code]


def grown(chain: ChainView) -> str:
    """Returns a text with the number of parts of a growing file in each state."""
    states = ", ".join(f"{count:,} {state}" for state, count in chain.states.items())
    return f"{chain.growths:,} parts: {states}"


COLUMNS = {"file_id": "id", "name": "key_text", "known_as": "name"}
"""The fields of `FileView` that have another name in JSON: name of the field -> name in JSON, which is the
name of the ledger's column."""


def record(view: FileView, chain: ChainView | None = None) -> dict[str, Any]:
    """Returns a file as JSON data, with its row counts under the key `rows`. chain: the growing file that
    the file belongs to, or None."""
    known = {COLUMNS.get(k, k): v for k, v in vars(view).items() if k != "counts"}
    checksum = None if view.checksum is None else str(view.checksum)
    known |= {"checksum": checksum, "name": view.name}
    return {
        **known,
        "rows": asdict(view.account),
        **({"growing": _growing_as_dict(chain)} if chain else {}),
    }


def _growing_as_dict(chain: ChainView) -> dict[str, Any]:
    return {
        "root": chain.root,
        "growths": chain.growths,
        "states": {str(state): count for state, count in chain.states.items()},
        "rows": asdict(chain.account),
        "size": chain.size,
        "lines": chain.lines,
        "newest": chain.newest.file_id,
    }


@app.command("show")
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File id, name, or NAME@VERSION.")],
    json: Json = False,
) -> None:
    """Show the state, row counts and history of a file. A name selects its newest version."""
    from sensorflow import bootstrap

    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    view = file_of(ledger, file)
    history, arrivals = ledger.history(view.file_id), ledger.arrivals(view.file_id)
    chain = ledger.chains([view.file_id]).get(view.file_id)
    versions = [] if chain else ledger.named(view.name, view.source)
    if json:
        others = [record(version) for version in versions]
        details = {"history": [*map(vars, history)], "arrivals": [*map(vars, arrivals)]}
        details["tasks"] = [*map(vars, tasks_of(history))]
        details["versions"] = others
        if view.members is not None:
            details["members"] = [
                vars(m) | {"besides": sorted(m.besides)} for m in ledger.members(view.file_id)
            ]
        as_json({**record(view, chain), **details})
        return
    shown = printable(os.fsencode(file))
    names = [text for name in (file, shown) for text in (name, name.rpartition("@")[0])]
    if not is_id(file) and view.name not in names:
        line(f"{shown} has the same bytes as {view.name}, and is loaded as that file:")
    _print(view, history, arrivals)
    if view.members is not None:
        from sensorflow.cli.archived import print_members

        print_members(ledger, view)
    if chain is not None:
        line()
        _print_chain(view, chain)
    elif versions:
        _print_versions(view, versions)


def _print_chain(view: FileView, chain: ChainView) -> None:
    c = chain.account
    facts(
        {
            "part of": f"a growing file, {chain.size:,} bytes and {chain.lines:,} lines so far",
            "its parts": f"{grown(chain)}; the first part is file {chain.root}",
            "newest part": f"file {chain.newest.file_id}, {chain.newest.state}",
            "all read": c.read,
            "all loaded": c.loaded,
            "all rejected": c.rejected,
            "all duplicates": c.duplicate,
            "all not loaded": c.not_loaded,
            "all replaced": c.replaced,
        }
    )
    line(f"all parts: sensorflow files ls --each --source {view.source}")


WHY = {
    State.PENDING: "the file is pending",
    State.RUNNING: "a worker is processing the file",
    State.QUARANTINED: "the file is in quarantine",
    State.SUPERSEDED: "a newer version replaced the file",
    State.UNDONE: "they were removed from the database; `sensorflow replay` restores them",
}


def not_loaded(view: FileView) -> str:
    """Returns a text with the number of valid readings of a file that are not in the database, and the
    reason."""
    count = view.account.not_loaded
    return f"{count:,}: {WHY[view.state]}" if count else "0"


def _print(view: FileView, history: list[HistoryEvent], arrivals: list[ArrivalRecord]) -> None:
    c = view.account
    facts(
        {
            "file": view.name,
            "id": str(view.file_id),
            "source": view.source,
            "version": view.version,
            "state": f"{view.state} ({view.stage})",
            "size": f"{view.size:,} bytes",
            "sha256": view.sha256.hex(),
            "landed as": view.landing,
            "read": c.read,
            "loaded": c.loaded,
            "rejected": c.rejected,
            "duplicates": c.duplicate,
            "not loaded": not_loaded(view),
            "replaced": f"{c.replaced:,} of the loaded readings, by newer values",
            "missing cells": c.missing,
        }
    )
    if view.state is State.RUNNING and view.progress_rows is not None:
        share = "" if view.percent is None else f"{view.percent:.0f} % of its bytes, "
        facts({"progress": f"{share}{readings(view.progress_rows)} so far, by {view.lease_owner}"})
    if view.trace_id is not None:
        facts({"trace": bytes(view.trace_id).hex()})
    if view.remarks:
        facts({"remarks": view.remarks})
    if view.error_code:
        facts({"error": f"{view.error_code}: {view.error_detail}"})
    if view.state in (State.PENDING, State.RUNNING) and (text := retries(history)):
        facts({"retried": text})
    if view.quarantined_to:
        line(f"manifest: sensorflow quarantine show {view.file_id}")
    line()
    _print_tasks(history)
    heads = ("at", "what", "stage", "attempt", "seconds", "rows", "who", "why")
    table("history", heads, [[getattr(event, head) for head in heads] for event in history])
    line()
    rows = [[a.at, a.kind, a.name, a.archive] for a in arrivals]
    table("arrivals", ("at", "kind", "name", "in archive"), rows, ("in archive",))


def retries(history: Sequence[HistoryEvent]) -> str:
    """Returns a text that says how often, since when and by which processes a file has been retried in
    vain; "" if it was not retried since it was loaded or quarantined the last time. history: its events."""
    failed: list[HistoryEvent] = []
    for event in history:
        if event.what == FileEvent.RETRIED:
            failed.append(event)
        elif event.to_state in (State.LOADED, State.QUARANTINED, State.UNDONE):
            failed.clear()
    if not failed:
        return ""
    times = "once" if len(failed) == 1 else f"{len(failed):,} times"
    who = ", ".join(dict.fromkeys(event.who for event in failed))
    return f"{times} since {failed[0].at:%Y-%m-%d %H:%M:%S} UTC, by {who}"


def _print_tasks(history: list[HistoryEvent]) -> None:
    """Print the tasks of a file, one line per task. history: the events of the file."""
    found = tasks_of(history)
    heads = (
        "claimed",
        "stage",
        "attempt",
        "queued s",
        "worker",
        "seconds",
        "rows",
        "outcome",
        "code",
    )
    rows = [
        [
            *(t.claimed_at, t.stage, t.attempt, t.queued_seconds, t.worker, t.seconds, t.rows),
            t.outcome if t.batch is None else f"{t.outcome} in the batch of file {t.batch}",
            t.code,
        ]
        for t in found
    ]
    if rows:
        table("tasks", heads, rows, ("code",))
        line()


MAX_SHOWN = 10
"""Maximum number of versions to show, newest first."""


def _print_versions(view: FileView, versions: list[FileView]) -> None:
    if len(versions) == 1:
        return
    newest = sorted(versions, key=lambda v: -v.version)
    rows = [
        [v.version, v.file_id, str(v.state), v.account.loaded, v.account.replaced, *_span(v)]
        for v in newest[:MAX_SHOWN]
    ]
    line()
    heads = ("version", "id", "state", "loaded", "replaced", "from", "to")
    table("versions of this name", heads, rows)
    if len(newest) > MAX_SHOWN:
        line(f"and {len(newest) - MAX_SHOWN:,} older ones")
    for text in still_holding(newest):
        line(text)


def _span(view: FileView) -> tuple[Any, Any]:
    return view.ts_min, view.ts_max


def still_holding(newest: list[FileView]) -> list[str]:
    """Returns the lines of a note if readings of older versions are still loaded, else []. newest: all
    versions of the name, newest first."""
    loaded = [v for v in newest if v.state == State.LOADED]
    older = [v for v in loaded[1:] if v.counts.served]
    if not older:
        return []
    total = sum(v.counts.served for v in older)
    low = min(v.ts_min for v in older if v.ts_min)
    high = max(v.ts_max for v in older if v.ts_max)
    last = older[0]
    wanted = f"{older[-1].version}-{last.version}" if len(older) > 1 else f"{last.version}"
    stay = (
        f"kept: {readings(total)} of older versions (spanning {low:%Y-%m-%d %H:%M:%S} to "
        f"{high:%Y-%m-%d %H:%M:%S}) that version {loaded[0].version} omits"
    )
    out = (
        f"to remove them: sensorflow undo '{last.name}@{wanted}'; if the files of this source "
        'are always complete: on_change = "supersede"'
    )
    return [stay, out]


app.command("get", short_help="Copy the original bytes of a file, verified.")(get)
app.command("of-row", short_help="Show which file and line a reading came from.")(of_row)
