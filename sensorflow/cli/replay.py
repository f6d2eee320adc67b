"""sensorflow replay, sensorflow undo"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli import archived
from sensorflow.cli.columnstore import slow
from sensorflow.cli.controls import paused
from sensorflow.cli.files import record
from sensorflow.cli.former import warn_former
from sensorflow.cli.selection import Source
from sensorflow.cli.show import Json, as_json, line, readings, table
from sensorflow.cli.times import SINCE, given
from sensorflow.core.states import State
from sensorflow.errors import UsageError
from sensorflow.flow.choose import require_source
from sensorflow.flow.replay import (
    STATES,
    ReplayFilter,
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
    typer.Argument(
        metavar="FILE",
        help="File ids or names; NAME@2 and NAME@2-9 select versions. "
        "Not needed if --source, --since, --state or --rejected selects files.",
    ),
]


def replay(
    files: Files = None,
    source: Source = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Only files that arrived since TIME: {SINCE}"),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only files in this state: quarantined, loaded or undone. "
            "Default: quarantined and loaded.",
            autocompletion=lambda: list(map(str, STATES)),
        ),
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Only loaded files that have rejected rows.")
    ] = False,
    profile: Annotated[
        str | None, typer.Option(help="Use this profile instead of the profile of the source.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files that would be replayed.")
    ] = False,
    json: Json = False,
) -> None:
    """Process files again from their landed bytes.

    Rows in the database that are already correct do not change. Missing rows are added and obsolete rows
    are removed in one transaction.
    """
    from sensorflow import bootstrap, profiles, tracing

    settings = bootstrap.settings()
    after = given(since, "--since")
    wanted = ReplayFilter(files or (), source, after, state, rejected, prefix="--")
    wanted.require()
    if profile is not None and settings.profile(profile) is None:
        raise UsageError(f"--profile: {profiles.unknown(profile, settings.profiles)}")
    ledger = bootstrap.ledger(settings, "cli")
    require_source(settings, ledger, source)
    found = to_replay(ledger, wanted)
    if json and dry_run:
        as_json([record(view) for view in found])
        return
    if not found and not json:
        line("nothing to replay: no file matches these options; see `sensorflow files ls`")
        return
    if dry_run:
        rows = [[v.file_id, v.source, v.name, str(v.state), v.counts.rejected] for v in found]
        table("", ("id", "source", "file", "state", "rejected"), rows)
        return
    if not json:
        slow(settings, found)
    with tracing.running("cli"):
        refused = [v for v in found if not ledger.replay(v.file_id, profile)]
    done = len(found) - len(refused)
    if json:
        as_json([{**_named_as(v), "replayed": v not in refused} for v in found])
    elif done:
        goes = "file is" if done == 1 else "files are"
        line(f"{done:,} {goes} queued for replay; see `sensorflow files ls`")
        for text in paused(ledger, {view.source for view in found}):
            line(text)
    for view in refused if not json else []:
        line(f"not replayed: {view.file_id} {view.name}: {not_replayed(view)}")
    if refused:
        raise typer.Exit(1)


def undo(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="File ids or names; NAME@2 and NAME@2-9 select versions."
        ),
    ],
    source: Source = None,
    reason: Annotated[str, typer.Option(help="The reason to record in the history.")] = "",
    why: Annotated[str, typer.Option(hidden=True)] = "",
    json: Json = False,
) -> None:
    """Remove the rows of files from the database and from silver. `sensorflow replay` restores them."""
    from sensorflow import bootstrap, tracing
    from sensorflow.flow.undo import undo as undo_flow

    if why:
        warn_former("undo --why", "undo --reason")
        reason = reason or why
    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    lake, landing = bootstrap.lake(settings, ledger), bootstrap.landing(settings, ledger)
    results: list[dict[str, object]] = []
    require_source(settings, ledger, source)
    found, shared = to_undo(ledger, files, source)
    file_ids = [view.file_id for view in found]
    lasts = {(view.source, view.name): view.file_id for view in found}
    if not json:
        slow(settings, found)
    tracing.start("cli")  # files whose readings are restored are replayed
    for view in found:
        undone = undo_flow(ledger, lake, landing, view.file_id, reason, file_ids)
        rows, delay = undone or (0, None)
        delayed = str(delay) if delay else None
        results.append(
            {**_named_as(view), "undone": undone is not None, "rows": rows, "delay": delayed}
        )
        if json:
            continue
        if undone is None:
            line(f"not undone: {view.file_id} {view.name}: {not_undone(ledger, view)}")
        else:
            line(f"undone: {view.file_id} {view.name}: {readings(rows)} removed")
            if delayed:
                line(f"  its silver is removed later, because of {delayed}")
            names = {a.name for a in ledger.arrivals(view.file_id)} - {view.name}
            if names:
                line(f"  the same bytes also arrived as {', '.join(sorted(names))}")
            last = lasts[view.source, view.name] == view.file_id  # once per growing file
            if last and (returning := _replayed_by_undo(ledger, view)):
                line(f"  the readings that it had replaced are being restored from {returning}")
            for text in archived.shared(view, shared):
                line(text)
            line(f"  to reverse this: sensorflow replay {view.file_id}")
    tracing.stop()
    if json:
        as_json(results)
    if not all(one["undone"] for one in results):
        raise typer.Exit(1)


def _named_as(view: FileView) -> dict[str, object]:
    keys = {"id": view.file_id, "source": view.source, "name": view.name}
    return {**keys, "version": view.version}


def _replayed_by_undo(ledger: Ledger, undone: FileView) -> str:
    """Returns a text with the older versions that are being replayed, because the undone version had
    replaced some of their readings."""
    found = ledger.named(undone.name, undone.source)
    again = [v for v in found if v.state == State.PENDING and v.version < undone.version]
    names = [f"version {v.version}, file {v.file_id}" for v in again[-3:]]
    more = f" and {len(again) - 3:,} more" if len(again) > 3 else ""
    return "; ".join(names) + more
