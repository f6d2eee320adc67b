"""The one place that wires settings, flow and adapters together.

What needs Arrow is imported where it is made: the daemon takes files in without it, in half the memory.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow import crash, plugins
from sensorflow import settings as settings_
from sensorflow.adapters import host
from sensorflow.adapters.feeds.folder.drop import Folder
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.embedded import state
from sensorflow.environment import folder
from sensorflow.errors import Code, Misuse
from sensorflow.flow.landing import Landing
from sensorflow.flow.quarantine_zone import FILES, QuarantineZone
from sensorflow.settings import Settings

if TYPE_CHECKING:
    from sensorflow.adapters.feeds.folder.feed import FolderFeed
    from sensorflow.adapters.layers.local import LocalLayers
    from sensorflow.adapters.postgres.audit import PostgresBooks
    from sensorflow.adapters.postgres.closing import Closing
    from sensorflow.flow.audit import Sight
    from sensorflow.flow.housekeeping import Done, Housekeeping
    from sensorflow.flow.intake.leases import Leases
    from sensorflow.flow.pulse import Heart
    from sensorflow.flow.work import World
    from sensorflow.ports.backlog import Backlog, Beside
    from sensorflow.ports.feed import Feed
    from sensorflow.ports.ledger import FileLedger, Ledger
    from sensorflow.ports.objects import MakeStore, ObjectStore
    from sensorflow.ports.queue import Broker, MakeBroker, Publisher

GARBAGE = 3600.0
DAY = 23.5 * 3600
COLLECTED = ".collected"
"""In the data folder: when it was searched for garbage last."""


def settings(
    start: Path | None = None, copy: Path | None = None, *, anywhere: bool = False
) -> Settings:
    """The settings that hold here, from file and environment. copy: of the file, read in its place.
    anywhere: also outside of a project. Raises Misuse."""
    crash.refuse_outside_tests()
    environ = {**os.environ, **({settings_.COPY: str(copy)} if copy else {})}
    path = settings_.find(here := start or folder())
    if not anywhere:
        settings_.require_project(path, here, environ)
    found = settings_.load(path, environ)
    settings_.require_whole(found)
    return found


def project(path: str | os.PathLike[str]) -> Settings:
    """The settings of a project, by its folder or its sensorflow.toml. Raises Misuse."""
    found = Path(path)
    file = found / settings_.FILE_NAME if found.is_dir() else found
    if not file.is_file():
        raise Misuse(f"{file}: no such file; run `sensorflow init` there", Code.SETTINGS)
    made = settings_.load(file.absolute())
    settings_.require_whole(made)
    return made


def who(role: str) -> str:
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def database_url(settings: Settings) -> str:
    """The database's URL: as set, or of the embedded server that runs. Raises Misuse."""
    if (url := settings.database) is not None:
        return url
    return _embedded(settings, "database").database_url


def require_sessions(settings: Settings) -> None:
    """Raises Misuse where the database is reached through a pooler that is not in session mode."""
    from sensorflow.adapters.postgres import inspect

    inspect.require_sessions(database_url(settings))


def broker_url(settings: Settings) -> str:
    if settings.broker_url is not None:
        return settings.broker_url.get_secret_value()
    return _embedded(settings, "broker").broker_url


def _embedded(settings: Settings, what: str) -> state.Running:
    running = state.running(settings.data_folder)
    if running is None:
        raise Misuse(
            f"no {what}: `sensorflow up` does not run {_where(settings)}; start it there, "
            f"or set {what}_url in sensorflow.toml"
        )
    return running


def _where(settings: Settings) -> str:
    if not state.held_by_another(settings.data_folder):
        return f"in {settings.home}"
    return f"yet in {settings.home} (it is starting)"


def shared_digest(settings: Settings) -> str:
    """Of the settings that this process works with, as far as all processes of a fleet share them: one of
    `sensorflow up` and a command beside it have the same one."""
    running = state.running(settings.data_folder) if settings.broker_url is None else None
    return settings.shared_digest(running.broker_url if running else None)


def differs(settings: Settings) -> str | None:
    """What to report where `sensorflow up` works with other settings; None where it does not run."""
    running = state.running(settings.data_folder)
    if running is None or not running.digest:
        return None
    if settings.digest(running.database_url, running.broker_url) == running.digest:
        return None
    return (
        "sensorflow.toml is not what `sensorflow up` works with: it says why, or is to be restarted"
    )


def flower_password(settings: Settings) -> tuple[str, str]:
    """Flower's password, as set or made once, and in words where it is. Raises Misuse."""
    if settings.flower_password is not None:
        return settings.flower_password.get_secret_value(), "the password of flower_password"
    path = state.home(settings.data_folder) / "flower-password"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return state.secret(path), f"the password in {path}"
    except OSError as error:
        raise Misuse(f"{path}: {error.strerror}; set flower_password instead") from error


def ledger(settings: Settings, role: str) -> PostgresLedger:
    return PostgresLedger(database_url(settings), who(role), deferred=settings.deferred)


def books(settings: Settings) -> PostgresBooks:
    from sensorflow.adapters.postgres.audit import PostgresBooks

    after = settings.deferred_close if settings.deferred else None
    return PostgresBooks(database_url(settings), who("audit"), after)


def close_months(settings: Settings) -> list[Closing]:
    """Close the months that are ripe, where months are closed at all."""
    from sensorflow.adapters.postgres import closing

    if not settings.deferred:
        return []
    url = database_url(settings)
    found = closing.months(url, settings.deferred_close)
    return list(closing.close(url, closing.ripe(found, datetime.now(UTC))))


def collect_garbage(settings: Settings) -> int:
    """Remove what writers that were killed left half written, an hour ago or more."""
    from sensorflow.adapters.local.garbage import collect

    stores = (landing(settings), quarantine(settings), lake(settings))
    found = sum(store.collect(GARBAGE) for store in stores)
    return found + collect(settings.data_folder / "archive", GARBAGE)


def collect_garbage_daily(settings: Settings) -> int:
    """As `collect_garbage`, by the first that asks on a day: it walks through all that is stored."""
    from sensorflow.adapters.local.places import storage_errors

    note = settings.data_folder / COLLECTED
    with storage_errors():
        if not settings.data_folder.is_dir():
            return 0
        if note.exists() and 0 <= time.time() - note.stat().st_mtime < DAY:
            return 0
        note.touch()
    return collect_garbage(settings)


def drop_empty_months(settings: Settings) -> int:
    from sensorflow.adapters.postgres import months

    return months.drop_empty(database_url(settings))


def sweeper(
    settings: Settings, ledger: Ledger, publisher: Publisher, touch: Callable[[], object]
) -> Housekeeping:
    """What a daemon does of it: all else needs Arrow, or may take hours."""
    from sensorflow.flow.housekeeping import Housekeeping, sweeping

    return Housekeeping(ledger, (sweeping(ledger, publisher, settings, touch),))


def housekeeping(settings: Settings, ledger: PostgresLedger, publisher: Publisher) -> Housekeeping:
    """All that is done every so often, by whichever engine calls it."""
    from sensorflow.flow.housekeeping import (
        RETAIN,
        RETAIN_EVERY,
        Housekeeping,
        Step,
        each,
        sweeping,
        tidying,
    )
    from sensorflow.flow.retain import retain

    stores = lake(settings), landing(settings)

    def seal() -> Done:
        return {month.month.name: month.outcome for month in close_months(settings)}

    def collect() -> Done:
        garbage = collect_garbage_daily(settings)
        return {"half written": garbage} if garbage else {}

    def drop() -> Done:
        dropped = drop_empty_months(settings)
        return {"empty months": dropped} if dropped else {}

    expire = partial(retain, ledger, *stores, settings)
    steps = (
        sweeping(ledger, publisher, settings),
        tidying(ledger, *stores, settings),
        Step(RETAIN, RETAIN_EVERY, partial(each, (seal, expire, collect, drop))),
    )
    return Housekeeping(ledger, steps)


def sight(settings: Settings, source: str | None = None) -> Sight:
    """What an audit looks at."""
    from sensorflow.adapters.feeds.folder.feed import FolderFeed
    from sensorflow.adapters.feeds.folder.growing import GrowingFolder
    from sensorflow.flow.audit import Sight

    intake = ledger(settings, "audit")
    here = world(settings, "audit", intake)
    growing = {f.name: GrowingFolder(f) for f in folders(settings) if f.source.growing}
    found = [growing.get(f.name) or FolderFeed(f, intake) for f in folders(settings)]
    every = [*found, *_brought(settings)]
    return Sight(here, books(settings), intake, every, growing, scratch, source)


@contextmanager
def scratch() -> Iterator[LocalLayers]:
    """An empty lake that goes when it is left."""
    from sensorflow.adapters.layers.local import LocalLayers

    with tempfile.TemporaryDirectory(prefix="sensorflow-") as folder:
        yield LocalLayers(Path(folder))


def landing(settings: Settings) -> Landing:
    """Raises Misuse."""
    return Landing(store(settings, "landing"))


def store(settings: Settings, zone: str, foreign: str = "") -> ObjectStore:
    """Of a zone of `settings.storage`. foreign: see `LocalObjects`. Raises Misuse where its package cannot
    be imported."""
    folder = settings.zone_folder(zone)
    if folder is not None:
        return LocalObjects(folder, foreign)
    url = settings.storage.url(zone) or ""
    made: MakeStore = plugins.load(plugins.Group.STORES, plugins.scheme(url))
    return made(url, settings.home)


def lake(settings: Settings) -> LocalLayers:
    from sensorflow.adapters.layers.local import LocalLayers

    return LocalLayers(settings.data_folder)


def publisher(settings: Settings) -> Publisher:
    """Raises Misuse."""
    if not settings.by_celery:
        return broker(settings)()
    from sensorflow.adapters.queues.celery import CeleryPublisher

    return CeleryPublisher(broker_url(settings), landing(settings).bucket, settings.to_broker)


def broker(settings: Settings) -> Callable[[], Broker]:
    """What makes the broker of another package, one for each process. Raises Misuse where the package
    cannot be imported."""
    url = broker_url(settings)
    made: MakeBroker = plugins.load(plugins.Group.BROKERS, plugins.scheme(url))
    return partial(made, url, settings.home)


def world(settings: Settings, role: str, ledger: FileLedger) -> World:
    from sensorflow.flow.work import World

    return World(
        ledger=ledger,
        landing=landing(settings),
        lake=lake(settings),
        quarantine=quarantine(settings),
        settings=settings,
        owner=who(role),
    )


def identity() -> str:
    """Of one that holds leases and has a heartbeat: this process among all, and it alone within it."""
    return f"{host.process()} {secrets.token_hex(4)}"


def heart(settings: Settings, ledger: Ledger, mine: str) -> Heart:
    from sensorflow.flow.pulse import Heart

    return Heart(ledger, socket.gethostname(), os.getpid(), mine, shared_digest(settings))


def leases(settings: Settings, ledger: Ledger, sources: Sequence[str], mine: str) -> Leases:
    """Of the intake, by the daemon's `identity`."""
    from sensorflow.flow.intake.leases import Leases

    return Leases(ledger, sources, who("daemon"), mine, settings.lease, host.has_ended)


def feeds(settings: Settings, ledger: Ledger) -> list[Feed]:
    """Of all sources, to take their files in."""
    from sensorflow.adapters.feeds.folder.feed import FolderFeed
    from sensorflow.adapters.feeds.folder.growing import GrowingFolder
    from sensorflow.adapters.feeds.folder.watch import Watch

    def feed(folder: Folder) -> Feed:
        if folder.source.growing:
            return GrowingFolder(folder)
        return FolderFeed(folder, ledger, settings.rescan, watch)

    watch = Watch()
    return [*map(feed, folders(settings)), *_brought(settings)]


def _brought(settings: Settings) -> list[Feed]:
    """Feeds of other packages. Raises Misuse where one cannot be imported."""
    return [
        plugins.load(plugins.Group.FEEDS, source.kind)(name, source, settings.home)
        for name, source in settings.sources.items()
        if name not in settings.folders
    ]


def old_files(settings: Settings, source: str, root: Path, ledger: Ledger) -> FolderFeed:
    """Files of a source in another folder than its own, which stay there."""
    from sensorflow.adapters.feeds.folder.feed import FolderFeed

    quiet = settings_.as_folder(settings.sources[source], after="keep", growing=False)
    return FolderFeed(Folder(source, root.resolve(), quiet, Path()), ledger)


def backlogs(settings: Settings, ledger: Ledger | None) -> list[Backlog]:
    """What does not go on, of all sources. ledger: where it can be asked."""
    from sensorflow.adapters.feeds.folder.backlog import FolderBacklog

    return [FolderBacklog(folder, ledger) for folder in folders(settings)]


def beside(path: Path, settings: Settings) -> Beside | None:
    """A file in the drop folder of a source with gates, by itself; None of one that lies elsewhere."""
    from sensorflow.adapters.feeds.folder.backlog import BesideGate

    for drop in folders(settings):
        if drop.source.gate and path.resolve().is_relative_to(drop.root.resolve()):
            return BesideGate(drop, path)
    return None


def folders(settings: Settings) -> list[Folder]:
    """The drop folders of all sources."""
    archive = settings.data_folder / "archive"
    return [
        Folder(name, settings.path(source.path), source, archive / name)
        for name, source in settings.folders.items()
    ]


def quarantine(settings: Settings) -> QuarantineZone:
    """Raises Misuse."""
    return QuarantineZone(store(settings, "quarantine", FILES))
