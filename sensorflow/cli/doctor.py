"""sensorflow doctor"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.ready import FULL
from sensorflow.cli.show import Json, as_json, line, readings
from sensorflow.core.health import Check
from sensorflow.errors import REMEDY, SensorflowError, UsageError

if TYPE_CHECKING:
    from sensorflow.settings import Settings

PARTITIONS = 1200
"""Number of partitions above which `doctor` warns: the months of a hundred years. With more
partitions than this, the planning of a query takes a second."""
SKEW = 5.0
WATCHES = 8192


def doctor(
    json: Json = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also exit with 1 if a check warns.")
    ] = False,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            help="Check only the heartbeats of one kind of process on this host: daemon, workers or beat.",
        ),
    ] = "",
) -> None:
    """Check processes, settings, folders, database, broker and kernel limits, and suggest fixes.

    Exit codes: 0 if no check fails, 1 if a check fails, 2 for a usage error.
    """
    checks = _alone(only) if only else list(_checks())
    if json:
        as_json([asdict(check) for check in checks])
    else:
        for check in checks:
            line(f"{check.verdict:<4}  {check.what}: {check.found}")
            if check.todo:
                line(f"      -> {check.todo}")
    bad = ("fail", "warn") if strict else ("fail",)
    if any(check.verdict in bad for check in checks):
        raise typer.Exit(1)


def _alone(what: str) -> list[Check]:
    """Check the heartbeats of one kind of process on this host. what: "daemon", "workers" or "beat".

    If some of these processes run in this container, only their heartbeats are checked. All other
    heartbeats then belong to other containers, or to this container before a restart.
    """
    import socket

    from sensorflow import bootstrap
    from sensorflow.adapters.host import has_ended, is_same_host
    from sensorflow.core.health import NAMES, health

    if what not in NAMES:
        raise UsageError(f"--only {what}: give one of {', '.join(NAMES)}")
    settings = bootstrap.settings()
    if what == "beat" and not settings.by_celery:
        return [Check(what, "ok", "not needed: the broker is not a Celery broker")]
    ledger = bootstrap.ledger(settings, "doctor")
    try:
        on_this_host = [b for b in ledger.heartbeats() if b.report.host == socket.gethostname()]
    except SensorflowError as error:
        return [Check(what, "fail", str(error), REMEDY.get(error.code, ""))]
    others = [
        b for b in on_this_host if b.report.role in NAMES[what] and is_same_host(b.report.process)
    ]
    on_this_host = others or on_this_host
    return [check for check in health(on_this_host, None, has_ended) if check.what == what]


def _checks() -> Iterator[Check]:
    from sensorflow import bootstrap
    from sensorflow import settings as settings_
    from sensorflow.environment import folder

    path = settings_.find(start_folder := folder())
    settings_.require_project(path, start_folder, os.environ)
    try:
        settings = bootstrap.settings()
    except UsageError as error:
        yield Check(
            "settings", "fail", str(error), "correct the file, then run `sensorflow doctor` again"
        )
        return
    if path is None:
        yield Check(
            "settings", "ok", f"from environment variables, {len(settings.sources)} sources"
        )
    else:
        yield Check("settings", "ok", f"{path}, {len(settings.sources)} sources")
    if (difference := bootstrap.differs(settings)) is not None:
        yield Check(
            "running settings", "fail", difference, "correct the file, or restart `sensorflow up`"
        )
    yield from _folders(settings)
    yield from _data_folder(settings)
    yield from _stores(settings)
    yield _backup(settings)
    yield from _guarded("database", settings, _database)
    yield from _guarded("broker", settings, _broker)
    yield from _guarded("drop folders", settings, _drops)
    yield from _kernel(settings)


def _folders(settings: Settings) -> Iterator[Check]:
    from sensorflow.folders import folder_fault

    for name, source in settings.folders.items():
        folder, what = settings.path(source.path), f"source {name}"
        fault = folder_fault(folder, source.after)
        yield Check(what, "fail", *fault) if fault else Check(what, "ok", str(folder))


def _data_folder(settings: Settings) -> Iterator[Check]:
    from sensorflow.cli import disk_space
    from sensorflow.folders import data_fault

    folder = settings.data_folder
    if fault := data_fault(folder):
        yield Check("data folder", "fail", *fault)
        return
    yield Check("data folder", "ok", str(folder))
    yield from disk_space.of_project(settings)


def _stores(settings: Settings) -> Iterator[Check]:
    """Check the owners of all zones, the zones that are outside the data folder, and the locations from
    which zones are moved."""
    from sensorflow.cli.storage import known_project, owner_of
    from sensorflow.folders import data_fault
    from sensorflow.settings.storage import ZONES

    get_project = known_project(settings)
    for zone in ZONES:
        if (folder := settings.zone_folder(zone)) is not None:
            fault = data_fault(folder) if settings.storage.url(zone) is not None else None
            found = Check(zone, "fail", *fault) if fault else Check(zone, "ok", str(folder))
        else:
            found = _store(settings, zone, zone)
        if found.verdict == "ok":
            owned = owner_of(settings, zone, get_project)
            if owned.verdict == "fail":
                found = Check(zone, "fail", owned.found, owned.todo)
        if found.verdict == "fail" or settings.storage.url(zone) is not None:
            yield found
    if (before := settings.before_move()) is not None:
        for zone in settings.moved_zones():
            yield _store(before, zone, f"previous {zone}")
        todo = "run `sensorflow storage migrate`, then remove storage.previous"
        yield Check("storage", "warn", f"{', '.join(settings.moved_zones())}: being moved", todo)


def _store(settings: Settings, zone: str, what: str) -> Check:
    """Check a store without writing to it. what: the title of the check."""
    from sensorflow import stores
    from sensorflow.cli.storage import explained, located
    from sensorflow.flow.store_check import StoreCheck

    try:
        objects = stores.zone_alone(settings, zone)
    except SensorflowError as error:
        return Check(what, "fail", f"{located(settings, zone)}: {error}", error.remedy)
    for found in StoreCheck(objects).read_only():
        if found.verdict != "ok":
            failed = explained(settings, zone, found)
            text = f"{located(settings, zone)}: {failed.step}: {failed.found}"
            todo = failed.todo or f"check storage.{zone} and the credentials of the store"
            return Check(what, "fail", text, todo)
    return Check(what, "ok", f"{located(settings, zone)}; `sensorflow storage check` also writes")


def _backup(settings: Settings) -> Check:
    """Report the last backup. This check never fails, because backups may be made with other tools."""
    import json

    from sensorflow.backup.make import LAST
    from sensorflow.core.health import span

    try:
        last = json.loads((settings.data_folder / LAST).read_text("utf-8"))
        age = (datetime.now(UTC) - datetime.fromisoformat(last["at"])).total_seconds()
        found = f"{last['path']}, {span(max(age, 0))} old"
    except (OSError, ValueError, KeyError, TypeError):
        return Check(
            "backup", "ok", "no backup was made on this host; see `sensorflow backup --help`"
        )
    return Check("backup", "ok", found)


def _guarded(
    what: str, settings: Settings, check: Callable[[Settings], Iterator[Check]]
) -> Iterator[Check]:
    try:
        yield from check(settings)
    except UsageError as error:
        yield Check(what, "fail", str(error))
    except SensorflowError as error:
        yield Check(what, "fail", str(error), _remedy(what, settings, error))


def _remedy(what: str, settings: Settings, error: SensorflowError) -> str:
    """Returns the remedy for an unreachable server. what: "database" or "broker". For an embedded server,
    the remedy depends on the free disk space, and contains the last error in the server's log."""
    from sensorflow import disk
    from sensorflow.embedded import state
    from sensorflow.embedded.process import cause, tail

    url = {"database": settings.database_url, "broker": settings.broker_url}.get(what)
    if error.code in REMEDY or url is not None:
        return REMEDY.get(
            error.code, f"check {what}_url, that the server is running, and its access rules"
        )
    place = state.home(settings.data_folder)
    if disk.free(place) < FULL:
        return f"free space on the disk of {place}: {disk.room(place)}; work resumes automatically"
    name = "valkey" if what == "broker" else "postgres"
    log = settings.data_folder / "logs" / f"{name}.log"
    return f"`sensorflow up` restarts it; last error in {log}: {cause(tail(log)) or 'none'}"


def _database(settings: Settings) -> Iterator[Check]:
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import inspect, migrate
    from sensorflow.cli import columnstore, running
    from sensorflow.status import long_outages, processes

    url = bootstrap.database_url(settings)
    server = inspect.server(url)
    way = f"{server.version} over TLS" if server.tls else server.version
    yield Check("database", "ok", f"{way}, TimescaleDB {server.timescale or 'not used'}")
    at, wanted = migrate.current(url), migrate.head()
    if at != wanted:
        yield Check("schema", "fail", f"{at or 'empty'}, expected {wanted}", migrate.advice(at))
    else:
        yield Check("schema", "ok", str(at))
        yield _index(settings, url)
        yield _roles(inspect.missing_roles(url))
        yield from _partitions(inspect.partitions(url))
        yield from columnstore.check(url)
        yield from _versions(settings, url)
        for found in long_outages(url):
            yield Check("files", "warn" if found.passing else "fail", str(found), found.todo)
        ledger = bootstrap.ledger(settings, "doctor")
        yield from processes(settings, ledger)
        yield from running.held_back(ledger)
        yield from running.ledger(settings, url, ledger.controls())
        yield from running.overdue_arrivals(settings, ledger)
    skew = (server.now - datetime.now(UTC)).total_seconds()
    if abs(skew) > SKEW:
        todo = "synchronize both with NTP; leases use the database clock and are safe"
        yield Check(
            "clock", "warn", f"the database clock differs from this host by {skew:+.0f} s", todo
        )
    else:
        yield Check("clock", "ok", f"the database clock differs from this host by {skew:+.1f} s")


def _index(settings: Settings, url: str) -> Check:
    from sensorflow.adapters.postgres import inspect, sealing

    what, found = "dedupe index", str(settings.dedupe_index)
    if inspect.deferred(url) != settings.deferred:
        todo = "run `sensorflow db upgrade`, or set dedupe_index to match the database"
        return Check(
            what, "fail", f"dedupe_index = {found} in the settings, but the database differs", todo
        )
    if not settings.deferred:
        return Check(what, "ok", found)
    patience = settings.seal_after + sealing.RETRY_AFTER
    partitions = sealing.partitions(url, patience, patience)
    opened = [p for p in partitions if not p.closed]
    found += f", {len(partitions) - len(opened)} partitions sealed, {len(opened)} open"
    if doubled := [p.name for p in opened if p.doubled_at is not None]:
        todo = f"`sensorflow db seal --month {doubled[0]}` lists them"
        return Check(what, "fail", f"{found}; duplicate readings in {', '.join(doubled)}", todo)
    if late := [p.name for p in opened if p.due and not p.busy]:
        todo = "check that beat is running; `sensorflow db seal` seals them now"
        return Check(what, "warn", f"{found}; past partitions not sealed: {', '.join(late)}", todo)
    return Check(what, "ok", found)


def _partitions(count: int) -> Iterator[Check]:
    if count > PARTITIONS:
        found = f"{count:,} partitions: queries over all of them are slow to plan"
        todo = (
            "set earliest and latest of the sources to reject implausible times, or partitions = "
        )
        todo += '"month" in sensorflow.toml'
        yield Check("partitions", "warn", found, todo)


def _roles(missing: list[str]) -> Check:
    if not missing:
        return Check("roles", "ok", "owner, loader and reader")
    make = " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in missing)
    todo = (
        "needed only for restricted users: pipe the output of `sensorflow db roles` to psql as an "
    )
    todo += f"administrator; the output contains the grants and {make}"
    return Check("roles", "warn", f"missing, or without grants: {', '.join(missing)}", todo)


def _versions(settings: Settings, url: str) -> Iterator[Check]:
    """Report readings of older file versions that are still loaded, and remarks about versions."""
    from sensorflow.adapters.postgres import inspect

    for name, source in settings.sources.items():
        if source.on_change == "supersede":
            found = 'on_change = "supersede": a newer version deletes readings that it omits'
            todo = (
                'use on_change = "merge" to keep them, unless every file of this source is complete'
            )
            yield Check(f"source {name}", "ok", found, todo)
    rows = inspect.superseded_with_rows(url)
    for row in rows:
        low, high = (f"{at:%Y-%m-%d %H:%M}" for at in (row.low, row.high))
        found = f"{readings(row.rows)} of {row.key_text}, version {row.version} and older (spanning"
        found += f" {low} to {high}); a newer version omits them"
        todo = "this is normal if files are sent in parts; if not, run "
        todo += f"`sensorflow undo '{row.key_text}@1-{row.version}'`, or set "
        todo += f'on_change = "supersede" for source {row.source}'
        yield Check("versions", "ok", found, todo)
    if rows and rows[0].names > len(rows):
        found = (
            f"{readings(rows[0].total)} of {rows[0].names:,} names are omitted by newer versions"
        )
        yield Check("versions", "ok", found)
    for row in inspect.remarks(url):
        found = f"{row.key_text}, version {row.version}: {row.remarks}"
        yield Check("versions", "warn", found, f"see `sensorflow files show {row.id}`")


def _broker(settings: Settings) -> Iterator[Check]:
    from sensorflow import bootstrap

    queue = bootstrap.publisher(settings)
    depth = queue.depth()
    waiting = "reachable" if depth is None else f"{depth} messages waiting"
    yield Check("broker", "ok", f"{queue.name}, {waiting}")


def _drops(settings: Settings) -> Iterator[Check]:
    from sensorflow import bootstrap
    from sensorflow.cli import drops
    from sensorflow.core.heartbeat import Role

    audit_store, is_ingesting, ledger, held = None, False, None, {}
    with suppress(SensorflowError):  # another check reports this; these checks need no ledger
        ledger = bootstrap.ledger(settings, "doctor")
        beats, held = ledger.heartbeats(), ledger.controls()
        is_ingesting = any(b.is_alive for b in beats if b.report.role is Role.INTAKE)
        audit_store = bootstrap.audit_store(settings)
    yield from drops.checks(
        settings, bootstrap.backlogs(settings, ledger), audit_store, is_ingesting, held
    )


def _kernel(settings: Settings) -> Iterator[Check]:
    with suppress(OSError):
        if Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "0":
            found = (
                "anyone who can write to a drop folder can hard-link files of other users into it"
            )
            yield Check(
                "hard links", "warn", found, "run `sysctl fs.protected_hardlinks=1` as root"
            )
    if not any(not source.polling for source in settings.folders.values()):
        return
    limits = Path("/proc/sys/fs/inotify")
    try:
        watches = int((limits / "max_user_watches").read_text())
        instances = int((limits / "max_user_instances").read_text())
    except (OSError, ValueError):
        yield Check("inotify", "warn", "not available", "new files are found only by rescans")
        return
    found = f"{watches:,} watches, {instances:,} instances"
    if watches < WATCHES or instances < 16:
        values = "fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
        todo = f"run `sysctl {values}` as root"
        yield Check("inotify", "warn", found, todo)
    else:
        yield Check("inotify", "ok", found)
