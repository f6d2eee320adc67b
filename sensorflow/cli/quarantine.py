"""sensorflow quarantine"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.files import record
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.errors import Misuse

if TYPE_CHECKING:
    from sensorflow.ports import FileView

app = typer.Typer(help="Files that could not be loaded, and why.", no_args_is_help=True)

FileId = Annotated[int, typer.Argument(metavar="ID")]


@app.command("ls")
def ls(
    limit: Annotated[int, typer.Option("-n", min=1, help="How many, newest first.")] = 50,
    json: Json = False,
) -> None:
    """List the quarantined files."""
    from sensorflow import bootstrap
    from sensorflow.core.states import State

    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    found = ledger.files(State.QUARANTINED, None, limit)
    if json:
        as_json([record(view) for view in found])
        return
    if not found:
        line("nothing is quarantined")
        return
    heads = ("id", "source", "file", "when", "code", "why")
    table("", heads, [_row(view) for view in found])


def _row(view: FileView) -> list[object]:
    f = view.facts
    place = [view.file_id, view.source, view.name, f["finished_at"]]
    return [*place, f["error_code"], f["error_detail"]]


@app.command("show")
def show(file_id: FileId) -> None:
    """Print the manifest of a quarantined file."""
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    view = bootstrap.ledger(settings, "cli").file(file_id)
    if view is None or not view.facts["quarantined_to"]:
        raise Misuse(f"file {file_id} is not quarantined; see `sensorflow quarantine ls`")
    as_json(bootstrap.quarantine(settings).manifest(view.facts["quarantined_to"]))


@app.command("replay", short_help="Take files through again, from their bytes.")
def replay(
    file_ids: Annotated[list[int], typer.Argument(metavar="ID...")],
) -> None:
    """Take quarantined files through again, from their landed bytes, by the profile as it is now."""
    from sensorflow import bootstrap
    from sensorflow.core.states import State

    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    views = {file_id: ledger.file(file_id) for file_id in file_ids}
    refused = [
        file_id
        for file_id, view in views.items()
        if view is None or view.state is not State.QUARANTINED or not ledger.replay(file_id)
    ]
    done = len(file_ids) - len(refused)
    if done:
        line(
            f"{done} {'file goes' if done == 1 else 'files go'} through again; see `sensorflow files ls`"
        )
    if refused:
        names = ", ".join(map(str, refused))
        raise Misuse(f"not quarantined: {names}; see `sensorflow quarantine ls`")
