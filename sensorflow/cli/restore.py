"""sensorflow restore"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.backup import bar, check, damages, files, tools
from sensorflow.cli.show import Json, as_json, line, readings
from sensorflow.core.states import State
from sensorflow.disk import size
from sensorflow.environment import folder as here
from sensorflow.errors import Transient, UsageError

if TYPE_CHECKING:
    from sensorflow.backup.folder import Backup
    from sensorflow.flow.audit import Report
    from sensorflow.settings import Settings


def restore(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A backup. A folder of backups selects the newest one."),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            help="Project folder to restore into. Default: the current project. Ignored with --check."
        ),
    ] = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Verify the backup, and do not restore it.")
    ] = False,
    json: Json = False,
) -> None:
    """Restore database, landing zone, lake, quarantine and settings into an empty project.

    First verifies every file of the backup. At the end, audits the restored data.

    Exit codes: 0 if all data was restored, 1 if the audit has findings or, with --check, files are damaged,
    2 if nothing was restored.
    """
    if only_check:
        raise typer.Exit(check(folder, json))
    from sensorflow.backup import folder as folders

    found = folders.chosen(folder)
    try:
        settings, report = _restored(found, to)
    except Transient as error:
        raise UsageError(f"the restore is not finished: {error}", error.code) from error
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(f"the restore is not finished: {reason}{place}; run it again") from error
    if json:
        as_json({"backup": str(found.path), "to": str(settings.home), "audit": report.as_dict(50)})
    else:
        _show(found, settings, report)
    raise typer.Exit(int(report.exit_code != 0))


def _restored(found: Backup, to: Path | None) -> tuple[Settings, Report]:
    from sensorflow.backup.restore import Restore, require_readable

    require_readable(found)
    home = _home(to)
    settings = _settings(found, home)
    with bar("restore", "bytes") as progress:
        done = 0

        def count(what: str, number: int) -> None:
            nonlocal done
            done += number
            progress(what, done, found.manifest.bytes)

        work = Restore(found, settings, count)
        work.require()
        _require_whole(found)
        with _database(settings) as (url, own):
            work.require_database(url, own)
            programs = tools(url, found.manifest.dumped_by)
            work.begin()
            try:
                work.copy()
                work.fill(url, programs, own)
            except BaseException:
                work.abandon()
                raise
            _settle(found, settings, home)
            work.place(url)
            progress("audit", done, done)
            return settings, _audit(settings, url)


def _home(to: Path | None) -> Path:
    from sensorflow.settings import find

    if to is not None:
        return to.absolute()
    path = find(here())
    return path.parent.absolute() if path else here()


def _settings(found: Backup, home: Path) -> Settings:
    """Returns the settings of the target project. If its folder `home` has no settings file, returns the
    settings in the backup, with paths relative to `home`. Raises UsageError if neither exists."""
    from sensorflow import settings as settings_

    own = home / settings_.FILE_NAME
    backed_up = found.path / "project" / settings_.FILE_NAME
    environ = {k: v for k, v in os.environ.items() if k != settings_.COPY}
    if own.is_file():
        return settings_.load(own, environ)
    if not backed_up.is_file():
        raise UsageError(
            f"{found.path} has no {settings_.FILE_NAME}: write this file to {home} first"
        )
    with NamedTemporaryFile("w", encoding="utf-8") as copy:  # also contains the profile files
        copy.write(settings_.copied(backed_up, environ))
        copy.flush()
        return settings_.load(own, {**environ, settings_.COPY: copy.name})


def _require_whole(found: Backup) -> None:
    damaged = damages(found)
    if damaged:
        more = f", and {len(damaged) - 3:,} more" if len(damaged) > 3 else ""
        raise UsageError(
            f"{found.path} is damaged: {'; '.join(damaged[:3])}{more}; nothing was restored; use another "
            "backup"
        )


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[str, bool]]:
    """Provides the database URL, and whether the database is embedded. An embedded server runs until the
    context ends."""
    from sensorflow.embedded import state
    from sensorflow.embedded.postgres import Postgres

    with state.exclusive(settings.data_folder) as place:
        if (url := settings.database) is not None:
            yield url, False
            return
        server = Postgres(place, settings.data_folder / "logs")
        server.start()
        try:
            yield server.url, True
        finally:
            server.process.terminate(60)


def _settle(found: Backup, settings: Settings, home: Path) -> None:
    """Copy the files of the project that do not exist yet from the backup to the folder `home`, and create
    the drop folders below `home`."""
    from sensorflow.backup import folder as folders

    project = f"{folders.PROJECT}/"
    for relative, _ in folders.sums(found.path):
        target = home / relative.removeprefix(project)
        if relative.startswith(project) and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found.path / relative, target, follow_symlinks=False)
    for source in settings.folders.values():
        folder = settings.path(source.path)
        if folder.is_relative_to(home):
            folder.mkdir(parents=True, exist_ok=True)


def _audit(settings: Settings, url: str) -> Report:
    """Audit the restored data, and return the result without overdue files: files are overdue because no
    process is running yet."""
    from pydantic import SecretStr

    from sensorflow import bootstrap
    from sensorflow.core.findings import Kind
    from sensorflow.flow.audit import Level, audit

    if (
        settings.database_url is None
    ):  # this process runs the embedded server, but has written no record of it
        settings = settings.model_copy(update={"database_url": SecretStr(url)})
    report = audit(bootstrap.audit_context(settings), Level.CHECKSUM)
    report.findings = [found for found in report.findings if found.kind is not Kind.OVERDUE]
    return report


def _show(found: Backup, settings: Settings, report: Report) -> None:
    from sensorflow.cli.audit import show

    manifest = found.manifest
    line(
        f"restored {found.path} into {settings.home}: {files(manifest.ledger_files)}, "
        f"{readings(manifest.readings)}, {size(manifest.bytes)}, as of {manifest.at[:19]} UTC"
    )
    if manifest.missing:
        line(f"missing from the backup: {'; '.join(manifest.missing[:5])}")
    show(report, 50)
    waiting = sum(manifest.states.get(state, 0) for state in (State.PENDING, State.RUNNING))
    waiting += len(manifest.replays)
    if waiting:
        line(f"unfinished at the time of the backup, resumed on the next start: {files(waiting)}")
    line(
        "files that arrived later are not in the backup: docs/how-to/backup.md says how to load them"
    )
