"""sensorflow db"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import line
from sensorflow.errors import Code, Misuse
from sensorflow.shown import shown

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.closing import Closing
    from sensorflow.settings import Settings

app = typer.Typer(help="The database: schema, URL, shell.", no_args_is_help=True)


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The database's URL; the embedded server is started for as long when it does not run."""
    from sensorflow.embedded import state
    from sensorflow.embedded.postgres import Postgres

    if (url := settings.database) is not None:
        yield url
        return
    if (running := state.running(settings.data_folder)) is not None:
        yield running.database_url
        return
    with state.held(settings.data_folder) as place:
        server = Postgres(place, settings.data_folder / "logs")
        server.start()
        try:
            yield server.url
        finally:
            server.process.end(30)


@app.command("upgrade")
def upgrade(
    revision: Annotated[str, typer.Argument(help="Up to this revision.")] = "head",
) -> None:
    """Bring the schema up to date."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import migrate, settle

    settings = bootstrap.settings()
    with database(settings) as url:
        before = migrate.current(url)
        migrate.upgrade(url, revision)
        line(f"schema {before or 'empty'} -> {migrate.current(url)}")
        if revision == "head" and (told := settle.settle(url, settings.deferred)):
            line(told)


@app.command("close")
def close(
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="This one, as soon as it is over.")
    ] = None,
) -> None:
    """Build the unique index of months that are over (dedupe_index = "deferred").

    It proves that no reading of them is there twice. Exit code 1: one is, and is named; or a month could
    not be closed now.
    """
    from sensorflow import bootstrap, telemetry
    from sensorflow.adapters.postgres import closing

    settings = bootstrap.settings()
    if not settings.deferred:
        raise Misuse(
            'dedupe_index = "unique": every month has its unique index from the start',
            Code.SETTINGS,
        )
    telemetry.configure(settings.log_level)
    with database(settings) as url:
        found = closing.months(url, settings.deferred_close)
        wanted = [m for m in found if m.due and not m.closed]
        if month is not None:
            wanted = [m for m in found if m.name == month]
            if not wanted:
                raise Misuse(f"--month {month}: there are no readings of such a month")
        done = []
        for one in closing.close(url, wanted):
            done.append(one)
            _show(one)
    if not wanted:
        line("nothing to close")
    raise typer.Exit(int(any(one.outcome is not closing.Outcome.CLOSED for one in done)))


def _show(done: Closing) -> None:
    from sensorflow.adapters.postgres.closing import Outcome

    name = done.month.name
    if done.outcome is Outcome.DOUBLED:
        line(f"{name}: not closed, {done.total:,} readings are there more than once:")
        for row in done.rows:
            line(f"  {shown(str(row))}")
        if done.total > len(done.rows):
            line(f"  and {done.total - len(done.rows):,} more")
        line("  nothing was removed; `sensorflow audit` says of which files, `replay` mends them")
        return
    said = {
        Outcome.CLOSED: f"closed in {done.seconds:.1f} s: no reading is there twice",
        Outcome.LOADING: "not closed: readings of it are being loaded; try again",
        Outcome.ANOTHER: "not closed: somebody else is closing a month; try again",
        Outcome.OPEN: 'not closed: it is not over, or the database is not for "deferred"',
    }
    line(f"{name}: {said[done.outcome]}")


@app.command("current")
def current() -> None:
    """Print the schema's revision, and the one that this version wants."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import migrate

    with database(bootstrap.settings()) as url:
        found, wanted = migrate.current(url), migrate.head()
    advice = "" if found == wanted else f"; {migrate.advice(found)}"
    line(f"schema {found or 'empty'}, wanted {wanted}{advice}")


@app.command("url")
def url() -> None:
    """Print the database's URL, password included."""
    from sensorflow import bootstrap

    line(bootstrap.database_url(bootstrap.settings()))


@app.command("roles")
def roles() -> None:
    """Print the SQL that makes the roles owner, loader and reader, for an administrator to run."""
    from sensorflow.adapters.postgres import migrate

    line(migrate.grants())


@app.command("shell", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(context: typer.Context) -> None:
    """Open psql on the database; options such as -c go to psql."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres.connect import url_of
    from sensorflow.embedded import postgres

    found = url_of(bootstrap.database_url(bootstrap.settings()))
    psql = shutil.which("psql")
    if psql is None:
        beside = postgres.binaries() / "psql"
        if not beside.exists():
            raise Misuse("no psql found: `apt-get install postgresql-client`")
        psql = str(beside)
    os.environ["PGPASSWORD"] = str(found.password or "")
    # set() would leave the password in, as asterisks that psql takes for one
    bare = found._replace(drivername="postgresql", password=None)
    os.execv(psql, [psql, bare.render_as_string(), *context.args])
