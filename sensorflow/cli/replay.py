"""sensorflow replay, sensorflow undo"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli import archived
from sensorflow.cli.choose import Source
from sensorflow.cli.files import record
from sensorflow.cli.show import Json, as_json, line, readings, table
from sensorflow.cli.times import SINCE, given
from sensorflow.core.states import State
from sensorflow.errors import Misuse
from sensorflow.flow.choose import require_source
from sensorflow.flow.replay import (
    STATES,
    Wanted,
    not_replayed,
    not_undone,
    to_replay,
    to_undo,
)

if TYPE_CHECKING:
    from sensorflow.ports.files import FileView
    from sensorflow.ports.ledger import Ledger

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="Numbers or names of files, NAME@2, NAME@2-9."),
]


def replay(
    files: Files = None,
    source: Source = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only files that arrived since: {SINCE}")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only quarantined, loaded or undone files. Default: the first two.",
            autocompletion=lambda: list(map(str, STATES)),
        ),
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Only loaded files that have rejected rows.")
    ] = False,
    profile: Annotated[
        str | None, typer.Option(help="Read them by this profile, not by their source's.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
    json: Json = False,
) -> None:
    """Take files through the pipeline again, from their landed bytes.

    What is in the database already and right is not touched: only what is missing is added, and what
    no longer belongs there is removed, at one instant.
    """
    from sensorflow import bootstrap, profiles

    settings = bootstrap.settings()
    after = given(since, "--since")
    wanted = Wanted(files or (), source, after, state, rejected, prefix="--")
    wanted.require()
    if profile is not None and settings.profile(profile) is None:
        raise Misuse(f"--profile: {profiles.unknown(profile, settings.profiles)}")
    ledger = bootstrap.ledger(settings, "cli")
    require_source(settings, ledger, source)
    found = to_replay(ledger, wanted)
    if json and dry_run:
        as_json([record(view) for view in found])
        return
    if not found and not json:
        line("nothing to replay: no file fits these options; see `sensorflow files ls`")
        return
    if dry_run:
        rows = [[v.file_id, v.source, v.name, str(v.state), v.counts.rejected] for v in found]
        table("", ("id", "source", "file", "state", "rejected"), rows)
        return
    refused = [v for v in found if not ledger.replay(v.file_id, profile)]
    done = len(found) - len(refused)
    if json:
        as_json([{**_named_as(v), "replayed": v not in refused} for v in found])
    elif done:
        goes = "file goes" if done == 1 else "files go"
        line(f"{done:,} {goes} through again when a worker is free; see `sensorflow files ls`")
    for view in refused if not json else []:
        line(f"not replayed: {view.file_id} {view.name}: {not_replayed(view)}")
    if refused:
        raise typer.Exit(1)


def undo(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Numbers or names of files, NAME@2, NAME@2-9."),
    ],
    source: Source = None,
    why: Annotated[str, typer.Option(help="The reason, for the file's history.")] = "",
    json: Json = False,
) -> None:
    """Take exactly these files' rows out of the database and of silver. `replay` brings them back."""
    from sensorflow import bootstrap
    from sensorflow.flow.undo import undo as undo_flow

    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    lake, landing = bootstrap.lake(settings), bootstrap.landing(settings)
    told: list[dict[str, object]] = []
    require_source(settings, ledger, source)
    found, shared = to_undo(ledger, files, source)
    along = [view.file_id for view in found]
    lasts = {(view.source, view.name): view.file_id for view in found}
    for view in found:
        rows = undo_flow(ledger, lake, landing, view.file_id, why, along)
        told.append({**_named_as(view), "undone": rows is not None, "rows": rows or 0})
        if json:
            continue
        if rows is None:
            line(f"not undone: {view.file_id} {view.name}: {not_undone(ledger, view)}")
        else:
            line(f"undone: {view.file_id} {view.name}: {readings(rows)} taken out")
            names = {a.name for a in ledger.arrivals(view.file_id)} - {view.name}
            if names:
                line(f"  the same bytes also came as {', '.join(sorted(names))}")
            last = lasts[view.source, view.name] == view.file_id  # said once for a file that grows
            if last and (returning := _returning(ledger, view)):
                line(f"  what it had replaced comes back from {returning} when a worker is free")
            for text in archived.shared(view, shared):
                line(text)
            line(f"  to reverse it: sensorflow replay {view.file_id}")
    if json:
        as_json(told)
    if not all(one["undone"] for one in told):
        raise typer.Exit(1)


def _named_as(view: FileView) -> dict[str, object]:
    keys = {"id": view.file_id, "source": view.source, "name": view.name}
    return {**keys, "version": view.version}


def _returning(ledger: Ledger, undone: FileView) -> str:
    """The older versions that go through again, and hold again what an undone one had replaced."""
    found = ledger.named(undone.name, undone.source)
    again = [v for v in found if v.state == State.PENDING and v.version < undone.version]
    names = [f"version {v.version}, file {v.file_id}" for v in again[-3:]]
    more = f" and {len(again) - 3:,} more" if len(again) > 3 else ""
    return "; ".join(names) + more
