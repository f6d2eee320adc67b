"""Creates the adapters that the settings select, and passes them to the flow. No other module creates
adapters.

Modules that need Arrow are imported inside functions. The daemon does not need Arrow, and its memory would
double if Arrow were imported.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow import failpoints, plugins, stores
from sensorflow import settings as settings_
from sensorflow.adapters import host
from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.embedded import state
from sensorflow.environment import folder
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.flow.landing import Landing
from sensorflow.flow.quarantine_zone import QuarantineZone
from sensorflow.settings import Settings

if TYPE_CHECKING:
    from sensorflow.adapters.feeds.folder.feed import FolderFeed
    from sensorflow.adapters.layers.local import LocalLayers
    from sensorflow.adapters.postgres.audit import PostgresAuditStore
    from sensorflow.flow.audit import AuditContext
    from sensorflow.flow.file_task import Services
    from sensorflow.flow.heartbeats import HeartbeatSender
    from sensorflow.flow.intake.leases import Leases
    from sensorflow.ports.backlog import Backlog, GatedPath
    from sensorflow.ports.feed import Feed
    from sensorflow.ports.layers import Layers
    from sensorflow.ports.ledger import FileLedger, Ledger
    from sensorflow.ports.project import GetProject, ProjectRecord
    from sensorflow.ports.queue import Broker, MakeBroker, Publisher


def settings(
    start: Path | None = None,
    copy: Path | None = None,
    *,
    anywhere: bool = False,
    warn: bool = True,
) -> Settings:
    """Load the settings that apply in a folder. Raises UsageError if they are invalid.

    start: the folder; None for the current folder. copy: path of a copy of the settings file, which is read
    instead of the settings file. anywhere: what to do if no project is found: True to return the default
    settings, False to raise UsageError. warn: whether to emit a `FormerName` warning for each key that the
    settings contain under a former name. Processes that log these names pass False.
    """
    failpoints.require_testing()
    environ = {**os.environ, **({settings_.COPY: str(copy)} if copy else {})}
    path = settings_.find(start_folder := start or folder())
    if not anywhere:
        settings_.require_project(path, start_folder, environ)
    found = settings_.load(path, environ, warn=warn)
    settings_.require_whole(found)
    return found


def project(path: str | os.PathLike[str]) -> Settings:
    """Load the settings of a project. path: the project's folder, or its sensorflow.toml. Raises
    UsageError if there is no sensorflow.toml, or if the settings are invalid."""
    found = Path(path)
    file = found / settings_.FILE_NAME if found.is_dir() else found
    if not file.is_file():
        raise UsageError(f"{file}: no such file; run `sensorflow init` there", Code.SETTINGS)
    loaded = settings_.load(file.absolute())
    settings_.require_whole(loaded)
    return loaded


def process_name(role: str) -> str:
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


def database_url(settings: Settings) -> str:
    """Return the database URL of the settings; if the settings contain none, the URL of the embedded
    server. Raises UsageError if the embedded server is needed and does not run."""
    if (url := settings.database) is not None:
        return url
    return _embedded(settings, "database").database_url


def require_sessions(settings: Settings) -> None:
    """Check that each client connection has a database session of its own. Raises UsageError if a pooler
    in front of the database is not in session mode."""
    from sensorflow.adapters.postgres import inspect

    inspect.require_sessions(database_url(settings))


def broker_url(settings: Settings) -> str:
    if settings.broker_url is not None:
        return settings.broker_url.get_secret_value()
    return _embedded(settings, "broker").broker_url


def _embedded(settings: Settings, what: str) -> state.RunningStack:
    running = state.running(settings.data_folder)
    if running is None:
        raise UsageError(
            f"no {what}: `sensorflow up` is not running {_where(settings)}; start it there, "
            f"or set {what}_url in sensorflow.toml"
        )
    return running


def _where(settings: Settings) -> str:
    if not state.held_by_another(settings.data_folder):
        return f"in {settings.home}"
    return f"yet in {settings.home} (it is starting)"


def shared_digest(settings: Settings) -> str:
    """Return a digest of the settings that all processes of a fleet must share (see `digest.shared`).

    A command that runs in a project gets the same digest as the processes that `sensorflow up` has started
    there.
    """
    running = state.running(settings.data_folder) if settings.broker_url is None else None
    return settings.shared_digest(running.broker_url if running else None)


def differs(settings: Settings) -> str | None:
    """Return a message if `sensorflow up` is running with other settings than `settings`, else None."""
    running = state.running(settings.data_folder)
    if running is None or not running.digest:
        return None
    if settings.digest(running.database_url, running.broker_url) == running.digest:
        return None
    return "`sensorflow up` runs with other settings than sensorflow.toml: see its output, or restart it"


def ledger(settings: Settings, role: str) -> PostgresLedger:
    return PostgresLedger(
        database_url(settings),
        process_name(role),
        deferred=settings.deferred,
        partition_width=settings.partition_width,
    )


def audit_store(settings: Settings) -> PostgresAuditStore:
    from sensorflow.adapters.postgres.audit import PostgresAuditStore

    after = settings.seal_after if settings.deferred else None
    return PostgresAuditStore(database_url(settings), process_name("audit"), after)


def audit_context(settings: Settings, source: str | None = None) -> AuditContext:
    """Return the services and settings for an audit. source: the only source to audit; None for all
    sources. Raises UsageError NOT_OWNED if a location belongs to another project."""
    from sensorflow.adapters.feeds.folder.feed import FolderFeed
    from sensorflow.adapters.feeds.folder.growing import GrowingFolder
    from sensorflow.flow.audit import AuditContext

    intake = ledger(settings, "audit")
    require_own_locations(settings, intake.project)
    opened = services(settings, "audit", intake)
    growing = {f.name: GrowingFolder(f) for f in folders(settings) if f.source.growing}
    found = [growing.get(f.name) or FolderFeed(f, intake) for f in folders(settings)]
    every = [*found, *_plugin_feed(settings)]
    return AuditContext(opened, audit_store(settings), intake, every, growing, scratch, source)


@contextmanager
def scratch() -> Iterator[LocalLayers]:
    """Return a context manager that yields an empty lake in a temporary folder, and removes the folder on
    exit."""
    from sensorflow.adapters.layers.local import LocalLayers

    with tempfile.TemporaryDirectory(prefix="sensorflow-") as folder:
        yield LocalLayers(Path(folder))


def require_own_locations(settings: Settings, get_project: GetProject | None = None) -> None:
    """Check that no location of the zones belongs to another project. Sends one request per location, and
    stores nothing. Does not raise if a location or the database is unavailable: each store checks it again.
    get_project: None for the project of the database in the settings. Raises UsageError NOT_OWNED."""
    try:
        for one in stores.location_owners(settings, get_project or project_of(settings)):
            one.require()
    except Transient as error:
        if error.code is Code.NOT_OWNED:
            raise stores.not_owned(error) from error


def project_of(settings: Settings) -> GetProject:
    """Return a function that asks the database in the settings for its project."""
    from sensorflow.adapters.postgres import project

    return partial(project.project, database_url(settings))


def landing(settings: Settings, ledger: ProjectRecord) -> Landing:
    """Return the landing zone. Raises UsageError as `stores.store` does."""
    return Landing(stores.store(settings, "landing", ledger.project))


def lake(settings: Settings, ledger: ProjectRecord) -> Layers:
    """Return the lake. Raises UsageError as `stores.store` does."""
    return stores.lake(settings, ledger.project)


def publisher(settings: Settings) -> Publisher:
    """Return the publisher for the broker that the settings select. Raises UsageError as `broker`
    does."""
    if not settings.by_celery:
        return broker(settings)()
    from sensorflow.adapters.queues.celery import CeleryPublisher

    return CeleryPublisher(
        broker_url(settings), stores.bucket_of(settings, "landing"), settings.to_broker
    )


def broker(settings: Settings) -> Callable[[], Broker]:
    """Return a function that creates the broker object of a broker that an installed package adds. Call
    the function once per process. Raises UsageError if the package is missing or cannot be imported."""
    url = broker_url(settings)
    make: MakeBroker = plugins.load(plugins.Group.BROKERS, plugins.scheme(url))
    return partial(make, url, settings.home)


def services(settings: Settings, role: str, ledger: FileLedger) -> Services:
    from sensorflow.flow.file_task import Services

    return Services(
        ledger=ledger,
        landing=landing(settings, ledger),
        lake=lake(settings, ledger),
        quarantine=quarantine(settings, ledger),
        settings=settings,
        owner=process_name(role),
    )


def identity() -> str:
    """Return a new, unique identity with which a process acquires leases and sends heartbeats. It consists
    of an identifier of the process and a random part."""
    return f"{host.process()} {secrets.token_hex(4)}"


def heartbeat_sender(settings: Settings, ledger: Ledger, own_process: str) -> HeartbeatSender:
    from sensorflow.flow.heartbeats import HeartbeatSender

    me = socket.gethostname(), os.getpid(), own_process, shared_digest(settings)
    state = {"storage": settings.shared_zones()}
    return HeartbeatSender(ledger, *me, liveness_file=settings.liveness, state=state)


def leases(settings: Settings, ledger: Ledger, sources: Sequence[str], own_process: str) -> Leases:
    """Return the intake leases of a daemon for these sources. own_process: the daemon's `identity`."""
    from sensorflow.flow.intake.leases import Leases

    return Leases(
        ledger, sources, process_name("daemon"), own_process, settings.lease, host.has_ended
    )


def feeds(settings: Settings, ledger: Ledger) -> list[Feed]:
    """Return one feed for each source, from which the intake gets the files of the source."""
    from sensorflow.adapters.feeds.folder.feed import FolderFeed
    from sensorflow.adapters.feeds.folder.growing import GrowingFolder
    from sensorflow.adapters.feeds.folder.watch import InotifyWatcher

    def feed(folder: DropFolder) -> Feed:
        if folder.source.growing:
            return GrowingFolder(folder)
        return FolderFeed(folder, ledger, settings.rescan, watch)

    watch = InotifyWatcher()
    return [*map(feed, folders(settings)), *_plugin_feed(settings)]


def _plugin_feed(settings: Settings) -> list[Feed]:
    """Return the feeds of the sources that are not folders. Installed packages provide these feeds. Raises
    UsageError if a package is missing or cannot be imported."""
    return [
        plugins.load(plugins.Group.FEEDS, source.kind)(name, source, settings.home)
        for name, source in settings.sources.items()
        if name not in settings.folders
    ]


def old_files(settings: Settings, source: str, root: Path, ledger: Ledger) -> FolderFeed:
    """Return a feed of the files in the folder `root`, for a backfill into a source. The files are
    processed like files from the drop folder of the source, but are not moved or deleted."""
    from sensorflow.adapters.feeds.folder.feed import FolderFeed

    quiet = settings_.as_folder(settings.sources[source], after="keep", growing=False)
    return FolderFeed(DropFolder(source, root.resolve(), quiet, Path()), ledger)


def backlogs(settings: Settings, ledger: Ledger | None) -> list[Backlog]:
    """Return the backlog of each source that is a folder. ledger: None if the ledger is unavailable."""
    from sensorflow.adapters.feeds.folder.backlog import FolderBacklog

    return [FolderBacklog(folder, ledger) for folder in folders(settings)]


def gated_path(path: Path, settings: Settings) -> GatedPath | None:
    """Return an object that checks the gate of the file `path`. None if the file is not in the drop folder
    of a source with a gate."""
    from sensorflow.adapters.feeds.folder.backlog import FolderGatedPath

    for drop in folders(settings):
        if drop.source.gate and path.resolve().is_relative_to(drop.root.resolve()):
            return FolderGatedPath(drop, path)
    return None


def folders(settings: Settings) -> list[DropFolder]:
    """Return the drop folders of all sources that are folders."""
    archive = settings.data_folder / "archive"
    return [
        DropFolder(name, settings.path(source.path), source, archive / name)
        for name, source in settings.folders.items()
    ]


def quarantine(settings: Settings, ledger: ProjectRecord) -> QuarantineZone:
    """Return the quarantine. Raises UsageError as `stores.store` does."""
    return QuarantineZone(stores.store(settings, "quarantine", ledger.project))
