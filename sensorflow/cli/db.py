"""sensorflow db"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.former import former_command
from sensorflow.cli.show import line, readings
from sensorflow.errors import Code, UsageError
from sensorflow.escaping import escape

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.sealing import SealResult
    from sensorflow.settings import Settings

app = typer.Typer(help="Manage the database: schema, roles, URL and shell.", no_args_is_help=True)


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Provides the database URL. If the database is embedded and its server is not running, the server runs
    until the context ends."""
    from sensorflow.embedded import state
    from sensorflow.embedded.postgres import Postgres

    if (url := settings.database) is not None:
        yield url
        return
    if (running := state.running(settings.data_folder)) is not None:
        yield running.database_url
        return
    with state.exclusive(settings.data_folder) as place:
        server = Postgres(place, settings.data_folder / "logs")
        server.start()
        try:
            yield server.url
        finally:
            server.process.terminate(30)


@app.command("upgrade")
def upgrade(
    revision: Annotated[
        str, typer.Argument(help="Schema revision to upgrade to. Default: the newest.")
    ] = "head",
) -> None:
    """Upgrade the database schema to the one that this version needs."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import index_mode, migrate

    settings = bootstrap.settings()
    with database(settings) as url:
        before = migrate.current(url)
        migrate.upgrade(url, revision)
        line(f"schema {before or 'empty'} -> {migrate.current(url)}")
        if revision == "head" and (message := index_mode.set_index_mode(url, settings.deferred)):
            line(message)


@app.command("seal", short_help="Build the unique index of past partitions.")
def seal(
    month: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM",
            help="Seal only this month, or a part of it: 2026-02-08, 2026-02-08..14.",
        ),
    ] = None,
) -> None:
    """Seal past partitions: build their unique index (dedupe_index = "deferred").

    The index proves that no reading is stored twice. Exit code 1 if a partition contains duplicates, which
    are listed, or if it cannot be sealed now.
    """
    from sensorflow import bootstrap, telemetry
    from sensorflow.adapters.postgres import sealing

    settings = bootstrap.settings()
    if not settings.deferred:
        raise UsageError(
            'nothing to seal: dedupe_index = "unique" indexes every partition at once',
            Code.SETTINGS,
        )
    telemetry.configure(settings.log_level)
    with database(settings) as url:
        found = sealing.partitions(url, settings.seal_after)
        wanted = [one for one in found if one.due and not one.closed]
        if month is not None:
            wanted = [one for one in found if one.is_within(month)]
            if not wanted:
                raise UsageError(
                    f"--month {month}: the database has no partition of this time; give a month such as "
                    "2026-02, or a partition as `sensorflow doctor` shows it, such as 2026-02-08"
                )
        done = []
        for one in sealing.seal(url, wanted):
            done.append(one)
            _show(one)
    if not wanted:
        line("no partition to seal")
    raise typer.Exit(int(any(one.outcome is not sealing.SealOutcome.SEALED for one in done)))


@app.command("refresh", short_help="Compute the aggregates of changed readings.")
def refresh() -> None:
    """Compute the aggregates and the newest readings until they include all readings in the database.

    A running daemon does this within seconds. This command is for databases without a daemon.
    """
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres.gold import Gold
    from sensorflow.flow.gold import Refresher

    with database(bootstrap.settings()) as url:
        gold = Gold(url, bootstrap.process_name("refresh"))
        try:
            hours = Refresher(gold).refresh_all()
        finally:
            gold.close()
    line(f"hours computed: {hours:,}; the aggregates are fresh")


former_command(app, "db", "close", "seal", seal)


def _show(done: SealResult) -> None:
    from sensorflow.adapters.postgres.sealing import SealOutcome

    name = done.partition.name
    if done.outcome is SealOutcome.DUPLICATES:
        be = "is" if done.total == 1 else "are"
        line(f"{name}: not sealed, {readings(done.total)} {be} stored more than once:")
        for row in done.rows:
            line(f"  {escape(str(row))}")
        if done.total > len(done.rows):
            line(f"  and {done.total - len(done.rows):,} more")
        line("  nothing was removed; `sensorflow audit` lists the files, `replay` fixes them")
        return
    words = {
        SealOutcome.SEALED: f"sealed in {done.seconds:.1f} s: no reading is stored twice",
        SealOutcome.LOADING: "not sealed: workers are loading readings of this time range; try again",
        SealOutcome.BUSY: "not sealed: another process is sealing a partition; try again",
        SealOutcome.OPEN: 'not sealed: the time range is not over, or dedupe_index is not "deferred"',
    }
    line(f"{name}: {words[done.outcome]}")


@app.command("current", short_help="Print the present and the needed schema revision.")
def current() -> None:
    """Print the schema revision of the database and the revision that this version needs."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import migrate

    with database(bootstrap.settings()) as url:
        found, wanted = migrate.current(url), migrate.head()
    advice = "" if found == wanted else f"; {migrate.advice(found)}"
    line(f"schema {found or 'empty'}, expected {wanted}{advice}")


@app.command("url")
def url() -> None:
    """Print the database URL, including the password."""
    from sensorflow import bootstrap

    line(bootstrap.database_url(bootstrap.settings()))


@app.command("roles")
def roles() -> None:
    """Print SQL that creates the roles owner, loader and reader. Run the SQL as an administrator."""
    from sensorflow.adapters.postgres import migrate

    line(migrate.grants())


@app.command("shell", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(context: typer.Context) -> None:
    """Open psql on the database. Further options, such as -c, are passed to psql."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres.connect import url_of
    from sensorflow.embedded import postgres

    found = url_of(bootstrap.database_url(bootstrap.settings()))
    psql = shutil.which("psql")
    if psql is None:
        bundled = postgres.binaries() / "psql"
        if not bundled.exists():
            raise UsageError(
                "psql not found: install it, for example with `apt-get install postgresql-client`"
            )
        psql = str(bundled)
    os.environ["PGPASSWORD"] = str(found.password or "")
    # set() would keep the password as asterisks, which psql would use as the password
    bare = found._replace(drivername="postgresql", password=None)
    os.execv(psql, [psql, bare.render_as_string(), *context.args])
