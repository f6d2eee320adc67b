"""sensorflow doctor"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from sensorflow.cli.show import Json, as_json, line, readings
from sensorflow.errors import Misuse, SensorflowError

if TYPE_CHECKING:
    from sensorflow.settings import Settings

Verdict = Literal["ok", "warn", "fail"]
ROOM = 1 << 30
SKEW = 5.0
WATCHES = 8192


@dataclass(frozen=True)
class Check:
    """One thing looked at. todo: what to do when it is not ok."""

    what: str
    verdict: Verdict
    found: str
    todo: str = ""


def doctor(json: Json = False) -> None:
    """Check settings, folders, database, broker and kernel limits; say what to do."""
    checks = list(_checks())
    if json:
        as_json([asdict(check) for check in checks])
    else:
        for check in checks:
            line(f"{check.verdict:<4}  {check.what}: {check.found}")
            if check.todo:
                line(f"      -> {check.todo}")
    if any(check.verdict == "fail" for check in checks):
        raise typer.Exit(1)


def _checks() -> Iterator[Check]:
    from sensorflow import bootstrap
    from sensorflow import settings as settings_

    try:
        path = settings_.find(Path.cwd())
        settings = bootstrap.settings()
    except Misuse as error:
        yield Check("settings", "fail", str(error), "mend the file, then run this again")
        return
    if path is None:
        yield Check("settings", "warn", "no sensorflow.toml here", "run `sensorflow init`")
    else:
        yield Check("settings", "ok", f"{path}, {len(settings.sources)} sources")
    if (told := bootstrap.differs(settings)) is not None:
        yield Check(
            "running settings", "fail", told, "mend what it names, or restart `sensorflow up`"
        )
    yield from _folders(settings)
    yield _room(settings)
    yield from _guarded("database", settings, _database)
    yield from _guarded("broker", settings, _broker)
    yield from _kernel(settings)


def _folders(settings: Settings) -> Iterator[Check]:
    for name, source in settings.sources.items():
        folder, what = settings.path(source.path), f"source {name}"
        if not folder.is_dir():
            yield Check(what, "fail", f"no folder {folder}", f"mkdir -p {folder}")
        elif not os.access(folder, os.R_OK | os.X_OK):
            yield Check(what, "fail", f"{folder} is not readable", f"chmod u+rx {folder}")
        elif source.after != "keep" and not os.access(folder, os.W_OK):
            todo = f'chmod u+w {folder}, or after = "keep"'
            yield Check(what, "fail", f"files cannot be moved out of {folder}", todo)
        else:
            yield Check(what, "ok", str(folder))


def _room(settings: Settings) -> Check:
    folder = settings.data_folder
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(there, os.W_OK):
        return Check("data folder", "fail", f"{there} is not writable", f"chmod u+w {there}")
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / (1 << 30):.1f} GiB free"
    if free < ROOM:
        return Check("data folder", "warn", found, "make room: every file is kept in landing/")
    return Check("data folder", "ok", found)


def _guarded(
    what: str, settings: Settings, check: Callable[[Settings], Iterator[Check]]
) -> Iterator[Check]:
    try:
        yield from check(settings)
    except Misuse as error:
        yield Check(what, "fail", str(error))
    except SensorflowError as error:
        todo = f"check {what}_url and that the server runs and lets us in"
        yield Check(what, "fail", str(error), todo)


def _database(settings: Settings) -> Iterator[Check]:
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import inspect, migrate

    url = bootstrap.database_url(settings)
    server = inspect.server(url)
    way = f"{server.version} over TLS" if server.tls else server.version
    yield Check("database", "ok", f"{way}, TimescaleDB {server.timescale or 'not used'}")
    found, wanted = migrate.current(url), migrate.head()
    if found != wanted:
        todo = "run `sensorflow db upgrade`"
        yield Check("schema", "fail", f"{found or 'empty'}, wanted {wanted}", todo)
    else:
        yield Check("schema", "ok", str(found))
        yield _index(settings, url)
        yield _roles(inspect.missing_roles(url))
        yield from _versions(settings, url)
    skew = (server.now - datetime.now(UTC)).total_seconds()
    if abs(skew) > SKEW:
        todo = "set both by NTP; leases go by the database's clock and are safe"
        yield Check("clock", "warn", f"the database is {skew:+.0f} s from this host", todo)
    else:
        yield Check("clock", "ok", f"the database is {skew:+.1f} s from this host")


def _index(settings: Settings, url: str) -> Check:
    from sensorflow.adapters.postgres import closing, inspect

    what, found = "dedupe index", str(settings.dedupe_index)
    if inspect.deferred(url) != settings.deferred:
        todo = "run `sensorflow db upgrade`, or set dedupe_index as the database has it"
        return Check(what, "fail", f"the settings say {found}, the database differs", todo)
    if not settings.deferred:
        return Check(what, "ok", found)
    months = closing.months(url, settings.deferred_close + closing.AGAIN)
    opened = [m for m in months if not m.closed]
    found += f", {len(months) - len(opened)} months closed, {len(opened)} open"
    if doubled := [m.name for m in opened if m.doubled_at is not None]:
        todo = f"`sensorflow db close --month {doubled[0]}` names them"
        return Check(what, "fail", f"{found}; readings doubled in {', '.join(doubled)}", todo)
    if late := [m.name for m in opened if m.due]:
        todo = "does beat run? `sensorflow db close` does it now"
        return Check(what, "warn", f"{found}; over and not closed: {', '.join(late)}", todo)
    return Check(what, "ok", found)


def _roles(missing: list[str]) -> Check:
    if not missing:
        return Check("roles", "ok", "owner, loader and reader")
    make = " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in missing)
    todo = f"only for users with fewer rights: as an administrator run {make} `sensorflow db roles`"
    todo += " prints this and the grants: pipe it to psql"
    return Check("roles", "warn", f"not there, or without rights: {', '.join(missing)}", todo)


def _versions(settings: Settings, url: str) -> Iterator[Check]:
    """What of older versions stays beside newer ones, and what was noticed about them."""
    from sensorflow.adapters.postgres import inspect

    for name, source in settings.sources.items():
        if source.on_change == "supersede":
            found = 'on_change = "supersede": a newer version deletes what it does not state again'
            todo = (
                'on_change = "merge" keeps it, unless every file of this source is always complete'
            )
            yield Check(f"source {name}", "ok", found, todo)
    rows = inspect.survivors(url)
    for row in rows:
        low, high = (f"{at:%Y-%m-%d %H:%M}" for at in (row.low, row.high))
        found = f"{readings(row.rows)} of {row.key_text}, version {row.version} and older (spanning"
        found += f" {low} to {high}), kept beside a newer version"
        todo = f"right for chunks; else `sensorflow undo '{row.key_text}@1-{row.version}'`, or "
        todo += f'on_change = "supersede" for source {row.source}'
        yield Check("versions", "ok", found, todo)
    if rows and rows[0].names > len(rows):
        found = f"{readings(rows[0].total)} of {rows[0].names:,} names in all kept beside newer versions"
        yield Check("versions", "ok", found)
    for row in inspect.remarks(url):
        found = f"{row.key_text}, version {row.version}: {row.remarks}"
        yield Check("versions", "warn", found, f"see `sensorflow files show {row.id}`")


def _broker(settings: Settings) -> Iterator[Check]:
    from sensorflow import bootstrap

    queue = bootstrap.queue(settings)
    yield Check("broker", "ok", f"{queue.kind}, {queue.declare()} messages waiting")


def _kernel(settings: Settings) -> Iterator[Check]:
    with suppress(OSError):
        if Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "0":
            found = "whoever may write into a drop folder may link files of others into it"
            yield Check("hard links", "warn", found, "sysctl fs.protected_hardlinks=1")
    if not any(not source.polling for source in settings.sources.values()):
        return
    limits = Path("/proc/sys/fs/inotify")
    try:
        watches = int((limits / "max_user_watches").read_text())
        instances = int((limits / "max_user_instances").read_text())
    except (OSError, ValueError):
        yield Check("inotify", "warn", "not available", "files are found by rescan alone")
        return
    found = f"{watches:,} watches, {instances:,} instances"
    if watches < WATCHES or instances < 16:
        todo = "sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
        yield Check("inotify", "warn", found, todo)
    else:
        yield Check("inotify", "ok", found)
