"""Defines the settings of a project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from sensorflow import digest, plugins, profiles, tls
from sensorflow.core.partition_width import Width
from sensorflow.core.profile import Profile
from sensorflow.core.profile.strict import Strict, later_default
from sensorflow.core.shares import SourceShare
from sensorflow.settings.former import FormerKey
from sensorflow.settings.retention import span
from sensorflow.settings.sources import AnySource, FolderSource, Source
from sensorflow.settings.storage import ON_DISK, ZONES, Storage, display_url
from sensorflow.tls import Tls


@dataclass(frozen=True)
class Limits:
    """The settings that limit how many files are published at a time.

    inline_below: a file smaller than this number of bytes is processed in one task. max_in_flight:
    maximum number of published, unfinished files. backfill_in_flight: maximum number of such files
    in the backfill lane. group_small_files: whether several small files share a message. workers:
    number of worker processes to assume while no worker sends heartbeats. shares: the sources that
    have a weight or a quota.
    """

    inline_below: int
    max_in_flight: int
    backfill_in_flight: int
    group_small_files: bool = False
    workers: int = 4
    shares: Mapping[str, SourceShare] = field(default_factory=dict)

    @property
    def quotas(self) -> dict[str, int]:
        """Returns the quotas of the sources that have one. See `SourceShare.max_in_flight`."""
        given = {name: share.max_in_flight for name, share in self.shares.items()}
        return {name: quota for name, quota in given.items() if quota is not None}


class Settings(Strict):
    """All settings of a project. Each key can also be set by an environment variable, such as
    SENSORFLOW_RESCAN=10.

    home: folder of the settings file. profile_files: file of each profile that was read from a file
    of its own, by the name of the profile.
    """

    former = {"reconcile": "sweep", "seal_after": "deferred_close"}  # noqa: RUF012
    database_url: SecretStr | None = None
    """URL of PostgreSQL: `postgresql://user@host/db`. If it is not set, the embedded server is used.
    TimescaleDB is used if the server has preloaded its library when `sensorflow db upgrade` creates the
    schema."""
    broker_url: SecretStr | None = None
    """URL of the broker: `redis://`, `valkey://` or `amqp://`; with TLS `rediss://`, `valkeys://` or
    `amqps://`. If it is not set, the embedded Valkey is used. Other schemes select brokers that
    [packages](../how-to/adapters.md#a-broker) add; they work without Celery, beat and Flower."""
    database_tls: Tls | None = None
    """TLS of the connection to the database:
    `{ ca = "ca.pem", cert = "me.pem", key = "me.key", verify = true }`. See
    [security](../explanation/security.md#tls)."""
    broker_tls: Tls | None = None
    """TLS of the connection to the broker, with the same keys as `database_tls`."""
    data: Path = Path("data")
    """Folder of the landing zone, lake, quarantine, archive and logs. The daemon and all workers
    must use the same folder, unless `[storage]` moves all zones to a bucket."""
    storage: Storage = Storage()
    """Locations of the landing zone, the lake and the quarantine, if they are not in `data`: see
    [below](#storage)."""
    min_free: ByteSize | Literal["auto"] = later_default("auto")
    """Size of the free space to keep on the disks of `data` and of the landing zone. The intake pauses
    (`I513`) if less would be free after all registered files are loaded. `"auto"`: a hundredth of
    the disk, at most 1 GiB. See [control](../how-to/control.md#room-on-the-disk)."""
    rescan: float = Field(default=30.0, gt=0, le=86400)
    """Seconds between full scans of the drop folders."""
    reconcile: float = Field(default=15.0, gt=0, le=3600)
    """Seconds between runs of the reconciler, which sends lost messages again and frees expired
    leases. One process runs it for the whole fleet. This is also the time after which a message
    counts as lost."""
    lease: float = Field(default=30.0, ge=3, le=86400)
    """Seconds for which a worker may keep a file without renewing its lease. After this time, another
    worker may claim the file."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """Maximum number of attempts at a stage of a file. If the last attempt fails, the file is
    quarantined."""
    max_in_flight: int = Field(default=1000, ge=1)
    """Maximum number of published, unfinished files. If the workers are slow, fewer files are
    published: about as many as the workers finish in two seconds. All other files wait in the
    ledger. The sources take turns."""
    backfill_in_flight: int = Field(default=8, ge=1)
    """Maximum number of published, unfinished files in the backfill lane, that is, files of
    `backfill` and `replay`. A live file waits for at most this number of backfill files."""
    inline_below: ByteSize = ByteSize(128 * 1024**2)
    """Size below which a file is processed in one task. Larger files are processed in three tasks:
    validate, transform and load."""
    group_small_files: bool = False
    """`true`: small new files that are pending at the same time share a message and a task. This
    reduces the CPU time to about 60 %. `false`: each file has its own message and task, so that
    each is visible in [Flower](../how-to/monitor.md#flower)."""
    max_memory: ByteSize = Field(default=ByteSize(2 * 1024**3), ge=1024**3)
    """Memory limit per file. If a file needs more memory than this, the attempt fails (`F217`)."""
    dedupe_index: Literal["unique", "deferred"] = "unique"
    """`unique`: a unique index prevents duplicate readings at all times. `deferred`: files are
    loaded at the speed of COPY, and the unique index of a partition is built when its month, week
    or day is over.
    After you change the setting, run `sensorflow db upgrade`. See [deferred
    index](../how-to/deferred-index.md)."""
    partitions: Literal["auto", "month", "week", "day"] = later_default("auto")
    """Time range of a new partition of readings, on PostgreSQL without TimescaleDB. `auto`: a month;
    if nearby partitions have at least 3 million readings a month, a week; from 10 million, a day.
    Existing partitions stay as they are. See [reading
    speed](../explanation/reading-speed.md#partitions)."""
    seal_after: Annotated[timedelta, BeforeValidator(span)] = timedelta(days=7)
    """Time between the end of a partition's month, week or day and the building of its unique index,
    if `dedupe_index = "deferred"`."""
    workers: int = Field(default=4, ge=1, le=512)
    """Maximum number of worker processes that `sensorflow up` and `sensorflow worker` run."""
    flower_port: int = Field(default=5555, ge=0, le=65535)
    """Port of Flower under `sensorflow up`, on 127.0.0.1. If you set a port and it is in use, `up`
    does not start. If you set no port and 5555 is in use, `up` selects another port and reports it.
    0 selects any free port."""
    flower_hosts: tuple[str, ...] = ()
    """Additional host names at which Flower answers. Flower always answers at `localhost` and at IP
    addresses. Needed for a reverse proxy that passes the Host header on."""
    flower_user: str = "sensorflow"
    """User name for Flower."""
    flower_password: SecretStr | None = None
    """Password for Flower. If it is not set, `sensorflow up` generates a password once and stores
    it."""
    metrics_port: int = Field(default=0, ge=0, le=65533)
    """Port at which each process serves [metrics of its
    own](../reference/metrics.md#metrics-of-a-process). The daemon uses this port, a worker the next
    one, and beat the one after that. 0: no process serves metrics."""
    metrics_host: str = "127.0.0.1"
    """Address for `metrics_port`. `0.0.0.0` stands for all addresses of the host."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum level of log messages."""
    log_size: ByteSize = Field(default=ByteSize(10 * 1024**2), ge=64 * 1024)
    """Size at which a log file in `data/logs` is rotated."""
    log_files: int = Field(default=5, ge=1, le=1000)
    """Number of rotated files to keep for each log."""
    liveness_file: Path | None = None
    """File that the daemon, a worker or beat touches every 5 s while its loops make progress, even
    if the database is unavailable. Use one file per container, for [liveness
    probes](../how-to/kubernetes.md#probes)."""
    sources: dict[str, AnySource] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    home: Path = Field(default=Path(), exclude=True)
    profile_files: dict[str, Path] = Field(default_factory=dict, exclude=True)
    former_keys: tuple[FormerKey, ...] = Field(default=(), exclude=True)
    """The keys that were set under their former names."""

    @field_validator("flower_hosts", mode="before")
    @classmethod
    def _hosts(cls, given: Any) -> Any:
        """Split the comma-separated value of a variable."""
        if isinstance(given, str):
            return tuple(filter(None, (name.strip() for name in given.split(","))))
        return given

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: SecretStr | None) -> SecretStr | None:
        return _scheme(url, ("postgresql", "postgres", "postgresql+psycopg"))

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or plugins.scheme(url.get_secret_value()) in plugins.CELERY:
            return _scheme(url, plugins.CELERY)
        return _scheme(url, (*plugins.CELERY, *plugins.names(plugins.Group.BROKERS)))

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for name in self.profiles:
            if "/" in name or not name.isprintable():
                raise ValueError(f"profiles.{name}: a profile's name must not contain /")
        for name in self.sources:
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(
                    f"sources.{name}: a source's name may contain only letters, digits, - and _"
                )
        return self

    @model_validator(mode="after")
    def _deferred(self) -> Settings:
        shared = [name for name, s in self.sources.items() if s.dedupe_scope == "source"]
        if self.deferred and shared:
            raise ValueError(
                f'sources.{shared[0]}.dedupe_scope = "source" needs dedupe_index = "unique", because only '
                "this index prevents a reading of another file from being loaded again: change "
                'dedupe_index, or give the source the scope "file"'
            )
        return self

    @property
    def deferred(self) -> bool:
        return self.dedupe_index == "deferred"

    @property
    def partition_width(self) -> Width | None:
        """The width of new partitions; None if it is chosen from the rate of readings."""
        return None if self.partitions == "auto" else Width(self.partitions)

    @property
    def limits(self) -> Limits:
        return Limits(
            self.inline_below,
            self.max_in_flight,
            self.backfill_in_flight,
            self.group_small_files,
            self.workers,
            {name: s.share for name, s in self.sources.items() if s.share != SourceShare()},
        )

    @property
    def min_free_bytes(self) -> int | None:
        """The value of `min_free` in bytes; None if it is `"auto"`."""
        return None if self.min_free == "auto" else int(self.min_free)

    @property
    def embedded(self) -> bool:
        """Whether PostgreSQL or the broker is embedded."""
        return self.database_url is None or self.broker_url is None

    @property
    def by_celery(self) -> bool:
        """Whether Celery sends the messages. Only Celery needs beat and Flower. False if an adapter
        package provides the broker."""
        return self.broker_url is None or (
            plugins.scheme(self.broker_url.get_secret_value()) in plugins.CELERY
        )

    @property
    def database(self) -> str | None:
        """The URL of the database, with the options of `database_tls` added. None for the embedded
        server."""
        url = self.database_url.get_secret_value() if self.database_url else None
        return tls.database_url(url, self.database_tls and self.database_tls.below(self.home))

    @property
    def to_broker(self) -> Tls | None:
        """The TLS settings of the broker, with absolute paths. None if `broker_tls` is not set."""
        return self.broker_tls and self.broker_tls.below(self.home)

    @property
    def folders(self) -> dict[str, FolderSource]:
        """The sources that are drop folders, by name."""
        return {n: s for n, s in self.sources.items() if isinstance(s, FolderSource)}

    def profile_of(self, source: Source) -> Profile:
        return self._bounded(source.profile, self.profiles[source.profile], source)

    def profile(self, name: str, source: Source | None = None) -> Profile | None:
        """Return the profile with this name in the settings or in the library; None if there is no
        such profile.

        source: the source that uses the profile. Its `earliest` and `latest` replace those of the
        profile.
        """
        if name in self.profiles or name not in profiles.builtin():
            found = self.profiles.get(name)
        else:
            found = profiles.load(name)[1]
        return found if source is None or found is None else self._bounded(name, found, source)

    def _bounded(self, name: str, found: Profile, source: Source) -> Profile:
        """Return the profile with the bounds `earliest` and `latest` of the source. Equal arguments
        return the same object, because files with the same profile object are validated together.
        """
        given = {"earliest": source.earliest, "latest": source.latest}
        bounds = {key: value for key, value in given.items() if value is not None}
        if not bounds:
            return found
        place = name, source.earliest, source.latest
        if place not in self._with_bounds:
            self._with_bounds[place] = found.model_copy(update=bounds)
        return self._with_bounds[place]

    @cached_property
    def _with_bounds(self) -> dict[tuple[Any, ...], Profile]:
        return {}

    def path(self, relative: Path) -> Path:
        """Return the absolute path of a path that is relative to the folder of sensorflow.toml."""
        return (self.home / relative).absolute()

    @property
    def liveness(self) -> Path | None:
        return self.path(self.liveness_file) if self.liveness_file else None

    @property
    def data_folder(self) -> Path:
        return self.path(self.data)

    def zone_folder(self, zone: str) -> Path | None:
        """Return the local folder of a zone; None if the zone is not on this host. zone: one of
        `storage.ZONES`. The folder of the lake contains the folders of its layers."""
        return self.storage.folder(zone, self.home, self.data_folder)

    def zone_location(self, zone: str) -> str:
        """Return the location of a zone as text that is equal for equal locations: an absolute path, or a
        URL. zone: one of `storage.ZONES`."""
        if (folder := self.zone_folder(zone)) is not None:
            return os.path.normpath(folder)
        return (self.storage.url(zone) or "").rstrip("/")

    def displayed_zone(self, zone: str) -> str:
        """Return the location of a zone for messages: the path of its folder, or its URL without
        secrets."""
        folder = self.zone_folder(zone)
        return str(folder) if folder is not None else display_url(self.storage.url(zone) or "")

    def shared_zones(self) -> dict[str, str]:
        """Return the locations to compare with those of processes on other hosts: zone -> its URL without
        secrets; or, because paths may differ between hosts, `ON_DISK` for a folder. While zones are moved,
        "previous" -> the previous location."""
        located = {zone: self.storage.url(zone) for zone in ZONES}
        if self.storage.previous is not None:
            located["previous"] = self.storage.previous
        return {
            name: display_url(url or "").rstrip("/")
            if plugins.scheme(url or "") not in ("", "file")
            else ON_DISK
            for name, url in located.items()
        }

    def before_move(self) -> Settings | None:
        """Return these settings with the zones at the location `storage.previous`; None if no move is in
        progress."""
        previous = self.storage.before_move()
        return None if previous is None else self.model_copy(update={"storage": previous})

    def after_move(self) -> Settings:
        """Return these settings without `storage.previous`."""
        moved = self.storage.model_copy(update={"previous": None})
        return self.model_copy(update={"storage": moved})

    def moved_zones(self) -> tuple[str, ...]:
        """Return the zones that are being moved: those that are not at the same location in
        `before_move`."""
        if (previous := self.before_move()) is None:
            return ()
        return tuple(z for z in ZONES if self.zone_location(z) != previous.zone_location(z))

    def compared(self, database_url: str | None = None, broker_url: str | None = None) -> Any:
        """Return the settings as JSON data, for `digest.plain` and `digest.digest`. database_url,
        broker_url: URLs of the embedded servers, used if the settings contain no URL."""
        set_ = (self.database_url, self.broker_url)
        given = [url.get_secret_value() if url else None for url in set_]
        excluded = digest.HOST | set(digest.URLS)
        values = self.model_dump(mode="json", exclude=set(excluded))
        urls = (given[0] or database_url, given[1] or broker_url)
        return {**values, **dict(zip(digest.URLS, urls, strict=True))}

    def digest(self, database_url: str | None = None, broker_url: str | None = None) -> str:
        """Return a digest of all settings except `digest.HOST`. It changes if the settings differ from
        those with which `sensorflow up` was started."""
        return digest.digest(self.compared(database_url, broker_url))

    def shared_digest(self, broker_url: str | None = None) -> str:
        """Return a digest of the settings that all processes of a fleet must share. It does not
        depend on the host or the user; see `digest.shared`."""
        return digest.shared(self.compared(None, broker_url))


def _scheme(url: SecretStr | None, known: tuple[str, ...]) -> SecretStr | None:
    """Return the URL if it is well-formed and its scheme is in `known`. Raises ValueError
    otherwise. The URL is checked here because the message of a driver about a malformed URL may
    contain parts of the password."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port
    except ValueError:
        hint = "write / as %2F, @ as %40, : as %3A, % as %25 in user and password"
        raise ValueError(f"the URL is malformed; {hint}") from None
    if parts.scheme not in known:
        raise ValueError(f"the URL must begin with one of {', '.join(f'{s}://' for s in known)}")
    return url
