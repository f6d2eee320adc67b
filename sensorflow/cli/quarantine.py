"""sensorflow quarantine"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.choose import Source, cut
from sensorflow.cli.files import record
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.cli.times import SINCE, given
from sensorflow.errors import Misuse
from sensorflow.flow.choose import code_of, file_of, require_source

if TYPE_CHECKING:
    from sensorflow.ports.files import FileView

app = typer.Typer(help="Files that could not be loaded, and why.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="A file's number or name.")]


@app.command("ls")
def ls(
    source: Source = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only files quarantined since: {SINCE}")
    ] = None,
    code: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only files with this error, such as F204.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1_000_000_000, help="How many, newest first.")
    ] = 50,
    json: Json = False,
) -> None:
    """List the quarantined files, and why each is there."""
    from sensorflow import bootstrap
    from sensorflow.core.listing import FileFilter
    from sensorflow.core.states import State

    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    require_source(settings, ledger, source)
    wanted = FileFilter(
        State.QUARANTINED,
        source,
        finished_since=given(since, "--since"),
        code=code_of(code),
    )
    listed = ledger.matching(wanted, limit)
    if json:
        as_json([record(view) for view in listed.files])
    elif not listed.files:
        all_ = source is since is code is None
        line("nothing is quarantined" if all_ else "nothing is quarantined that fits these options")
    else:
        heads = ("id", "source", "file", "when", "code", "why")
        table("", heads, [_row(view) for view in listed.files])
    cut(len(listed.files), listed.total, json)


def _row(view: FileView) -> list[object]:
    place = [view.file_id, view.source, view.name, view.finished_at]
    return [*place, view.error_code, view.error_detail]


@app.command("show")
def show(
    file: File,
    json: Annotated[bool, typer.Option("--json", help="The manifest is JSON in any case.")] = False,
) -> None:
    """Print the manifest of a quarantined file (JSON): the error, what to do, its first rejected rows."""
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    view = file_of(bootstrap.ledger(settings, "cli"), file)
    if not view.quarantined_to:
        raise Misuse(
            f"file {view.file_id}, {view.name}, was never quarantined: it is {view.state}; "
            "see `sensorflow quarantine ls`"
        )
    as_json(bootstrap.quarantine(settings).manifest(view.quarantined_to))


@app.command("replay", short_help="Take files through again, from their bytes.")
def replay(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Numbers or names of files.")
    ],
) -> None:
    """Take quarantined files through again, from their landed bytes, by the profile as it is now."""
    from sensorflow import bootstrap
    from sensorflow.core.states import State

    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    views = [file_of(ledger, file) for file in files]  # all are known, or none is replayed
    done, refused = 0, []
    for view in {view.file_id: view for view in views}.values():
        if view.state is not State.QUARANTINED:
            refused.append(f"{view.file_id} {view.name}: it is {view.state}, not quarantined")
        elif not ledger.replay(view.file_id):
            refused.append(
                f"{view.file_id} {view.name}: its bytes have expired, or it goes already"
            )
        else:
            done += 1
    if done:
        goes = "file goes" if done == 1 else "files go"
        line(f"{done:,} {goes} through again when a worker is free; see `sensorflow files ls`")
    for text in refused:
        line(f"not replayed: {text}")
    if refused:
        raise typer.Exit(1)
