"""sensorflow quarantine"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.files import record
from sensorflow.cli.selection import Source, cut
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.cli.times import SINCE, given
from sensorflow.errors import UsageError
from sensorflow.flow.choose import code_of, file_of, require_source

if TYPE_CHECKING:
    from sensorflow.ports.files import FileView

app = typer.Typer(help="Show and replay quarantined files.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="File id or name.")]


@app.command("ls")
def ls(
    source: Source = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only files quarantined since TIME: {SINCE}")
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Only files with this error code, such as F204."),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", min=1, max=1_000_000_000, help="Maximum number of files, newest first."
        ),
    ] = 50,
    json: Json = False,
) -> None:
    """List the quarantined files and their errors."""
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
        line("no files are quarantined" if all_ else "no quarantined files match these options")
    else:
        heads = ("id", "source", "file", "when", "code", "why")
        table("", heads, [_row(view) for view in listed.files])
    cut(len(listed.files), listed.total, json)


def _row(view: FileView) -> list[object]:
    place = [view.file_id, view.source, view.name, view.finished_at]
    return [*place, view.error_code, view.error_detail]


@app.command("show", short_help="Print the manifest of a quarantined file as JSON.")
def show(
    file: File,
    json: Annotated[
        bool, typer.Option("--json", help="No effect: the manifest is always JSON.")
    ] = False,
) -> None:
    """Print the manifest of a quarantined file as JSON: error, remedy and first rejected rows."""
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    view = file_of(ledger, file)
    if not view.quarantined_to:
        raise UsageError(
            f"file {view.file_id}, {view.name}, was never quarantined: its state is {view.state}; "
            "see `sensorflow quarantine ls`"
        )
    as_json(bootstrap.quarantine(settings, ledger).manifest(view.quarantined_to))


@app.command("replay", short_help="Process quarantined files again from their landed bytes.")
def replay(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="File ids or names.")],
) -> None:
    """Process quarantined files again from their landed bytes, with the current profile."""
    from sensorflow import bootstrap, tracing
    from sensorflow.core.states import State

    ledger = bootstrap.ledger(bootstrap.settings(), "cli")
    views = [file_of(ledger, file) for file in files]  # if one file is unknown, none is replayed
    done, refused = 0, []
    with tracing.running("cli"):
        for view in {view.file_id: view for view in views}.values():
            if view.state is not State.QUARANTINED:
                refused.append(
                    f"{view.file_id} {view.name}: its state is {view.state}, not quarantined"
                )
            elif not ledger.replay(view.file_id):
                refused.append(
                    f"{view.file_id} {view.name}: its bytes have expired, or it is already being replayed"
                )
            else:
                done += 1
    if done:
        goes = "file is" if done == 1 else "files are"
        line(f"{done:,} {goes} queued for replay; see `sensorflow files ls`")
    for text in refused:
        line(f"not replayed: {text}")
    if refused:
        raise typer.Exit(1)
