"""All settings of a project."""

from __future__ import annotations

from dataclasses import dataclass
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
from sensorflow.core.profile import Profile
from sensorflow.core.profile.strict import Strict
from sensorflow.settings.former import FormerKey
from sensorflow.settings.retention import span
from sensorflow.settings.sources import AnySource, FolderSource, Source
from sensorflow.settings.storage import Storage
from sensorflow.tls import Tls


@dataclass(frozen=True)
class Limits:
    """inline_below: bytes; smaller files take one task. max_in_flight, backfill_in_flight: files
    published and unfinished, in total and in the backfill lane. group_small_files: several small files
    share a message. workers: number of concurrent files to assume while no worker reports."""

    inline_below: int
    max_in_flight: int
    backfill_in_flight: int
    group_small_files: bool = False
    workers: int = 4


class Settings(Strict):
    """All settings. Each key can also be set by a variable, such as SENSORFLOW_RESCAN=10."""

    former = {"reconcile": "sweep", "seal_after": "deferred_close"}  # noqa: RUF012
    database_url: SecretStr | None = None
    """URL of PostgreSQL: `postgresql://user@host/db`. Without it the embedded server is used.
    TimescaleDB is used if its library is preloaded at `db upgrade`."""
    broker_url: SecretStr | None = None
    """URL of the broker: `redis://`, `valkey://` or `amqp://`; with TLS `rediss://`, `valkeys://` or
    `amqps://`. Without it the embedded Valkey is used. Another scheme is a broker of
    [a package](../how-to/adapters.md#a-broker), without Celery, beat and Flower."""
    database_tls: Tls | None = None
    """`{ ca = "ca.pem", cert = "me.pem", key = "me.key", verify = true }`, see
    [security](../explanation/security.md#tls)."""
    broker_tls: Tls | None = None
    """Same as `database_tls`, for the broker."""
    data: Path = Path("data")
    """Folder of the landing zone, lake, quarantine, archive and logs. It must be the same for the daemon
    and all workers."""
    storage: Storage = Storage()
    """Location of the landing zone and the quarantine, if not in `data`: see [below](#storage)."""
    rescan: float = Field(default=30.0, gt=0, le=86400)
    """Seconds between full scans of the drop folders."""
    reconcile: float = Field(default=15.0, gt=0, le=3600)
    """Seconds between runs of the reconciler, which runs once in the whole fleet and repairs stale
    states. Also the time after which a message counts as lost."""
    lease: float = Field(default=30.0, ge=3, le=86400)
    """Seconds without a sign of life after which a worker loses a file."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """Attempts at a stage before a file is quarantined."""
    max_in_flight: int = Field(default=1000, ge=1)
    """Maximum number of published, unfinished files. The limit is lower if the fleet is slower: what it
    finishes in two seconds. Other files wait in the ledger, and the sources take turns."""
    backfill_in_flight: int = Field(default=8, ge=1)
    """Maximum number of these files in the backfill lane (`backfill`, `replay`). A live file never waits
    for more than these."""
    inline_below: ByteSize = ByteSize(128 * 1024**2)
    """Files smaller than this take one task; larger files take the chain validate, transform, load."""
    group_small_files: bool = False
    """`true`: small new files that are pending at the same time share a message and a task, which needs
    about 60 % of the CPU. By default each file has its own, see [Flower](../how-to/monitor.md#flower)."""
    max_memory: ByteSize = Field(default=ByteSize(2 * 1024**3), ge=1024**3)
    """Memory limit per file. A file that needs more fails its attempt (`F217`)."""
    dedupe_index: Literal["unique", "deferred"] = "unique"
    """`deferred` loads at the speed of COPY, and builds the unique index of a month when the month is
    over. `sensorflow db upgrade` applies a change. See [deferred index](../how-to/deferred-index.md)."""
    seal_after: Annotated[timedelta, BeforeValidator(span)] = timedelta(days=7)
    """How long after the end of a month its deferred index is built."""
    workers: int = Field(default=4, ge=1, le=512)
    """Maximum number of worker processes of `sensorflow up` and `sensorflow worker`."""
    flower_port: int = Field(default=5555, ge=0, le=65535)
    """Port of Flower under `sensorflow up`, on 127.0.0.1. If you set a port that is in use, `up` does
    not start. If you do not set one, another free port is used and reported. 0: any free port."""
    flower_hosts: tuple[str, ...] = ()
    """Host names at which Flower answers, besides `localhost` and IP addresses: for a reverse proxy that
    passes the Host header on."""
    flower_user: str = "sensorflow"
    """User name for Flower."""
    flower_password: SecretStr | None = None
    """Password for Flower. If not set, one is generated once."""
    metrics_port: int = Field(default=0, ge=0, le=65533)
    """Port at which each process serves [metrics of its own](../reference/metrics.md#metrics-of-a-process):
    the daemon at this one, a worker at the next one, beat at the one after that. 0: none does."""
    metrics_host: str = "127.0.0.1"
    """Address for `metrics_port`; `0.0.0.0` for all."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum level of log messages."""
    log_size: ByteSize = Field(default=ByteSize(10 * 1024**2), ge=64 * 1024)
    """Size at which each file in `data/logs` is rotated."""
    log_files: int = Field(default=5, ge=1, le=1000)
    """Number of rotated files to keep per log."""
    liveness_file: Path | None = None
    """File that a daemon, worker or beat touches every 5 s while its loops make progress, with or without
    the database. One per container, for [liveness probes](../how-to/kubernetes.md#probes)."""
    sources: dict[str, AnySource] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    home: Path = Field(default=Path(), exclude=True)
    profile_files: dict[str, Path] = Field(default_factory=dict, exclude=True)
    former_keys: tuple[FormerKey, ...] = Field(default=(), exclude=True)
    """The keys that were set by their former names."""

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
                f'sources.{shared[0]}.dedupe_scope = "source" needs dedupe_index = "unique": only that '
                'index rejects readings of other files; or give the source the scope "file"'
            )
        return self

    @property
    def deferred(self) -> bool:
        return self.dedupe_index == "deferred"

    @property
    def limits(self) -> Limits:
        return Limits(
            self.inline_below,
            self.max_in_flight,
            self.backfill_in_flight,
            self.group_small_files,
            self.workers,
        )

    @property
    def embedded(self) -> bool:
        """Whether PostgreSQL or the broker is embedded."""
        return self.database_url is None or self.broker_url is None

    @property
    def by_celery(self) -> bool:
        """Whether messages go through Celery, with beat and Flower, or through a broker of another
        package."""
        return self.broker_url is None or (
            plugins.scheme(self.broker_url.get_secret_value()) in plugins.CELERY
        )

    @property
    def database(self) -> str | None:
        """The database's URL including the options of database_tls; None for the embedded server."""
        url = self.database_url.get_secret_value() if self.database_url else None
        return tls.database_url(url, self.database_tls and self.database_tls.below(self.home))

    @property
    def to_broker(self) -> Tls | None:
        """broker_tls with absolute paths."""
        return self.broker_tls and self.broker_tls.below(self.home)

    @property
    def folders(self) -> dict[str, FolderSource]:
        """The sources that are drop folders."""
        return {n: s for n, s in self.sources.items() if isinstance(s, FolderSource)}

    def profile_of(self, source: Source) -> Profile:
        return self._bounded(source.profile, self.profiles[source.profile], source)

    def profile(self, name: str, source: Source | None = None) -> Profile | None:
        """Return a profile of these settings or of the library, or None if there is none of that name.

        source: the source that uses the profile; it may set bounds of its own.
        """
        if name in self.profiles or name not in profiles.builtin():
            found = self.profiles.get(name)
        else:
            found = profiles.load(name)[1]
        return found if source is None or found is None else self._bounded(name, found, source)

    def _bounded(self, name: str, found: Profile, source: Source) -> Profile:
        """Return the same object on each call, so that files of one profile are validated together."""
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
        """Resolve a path relative to the folder of sensorflow.toml."""
        return (self.home / relative).absolute()

    @property
    def liveness(self) -> Path | None:
        return self.path(self.liveness_file) if self.liveness_file else None

    @property
    def data_folder(self) -> Path:
        return self.path(self.data)

    def zone_folder(self, zone: str) -> Path | None:
        """Return the local folder of the landing zone or quarantine, or None if a package provides the
        store."""
        return self.storage.folder(zone, self.home, self.data_folder)

    def compared(self, database_url: str | None = None, broker_url: str | None = None) -> Any:
        """Return the input of `digest.plain` and `digest.digest`. The URLs of the embedded servers stand
        in for URLs that are not set."""
        set_ = (self.database_url, self.broker_url)
        given = [url.get_secret_value() if url else None for url in set_]
        apart = digest.HOST | set(digest.URLS)
        values = self.model_dump(mode="json", exclude=set(apart))
        urls = (given[0] or database_url, given[1] or broker_url)
        return {**values, **dict(zip(digest.URLS, urls, strict=True))}

    def digest(self, database_url: str | None = None, broker_url: str | None = None) -> str:
        """Digest of all settings except `digest.HOST`: identifies what `sensorflow up` was started with."""
        return digest.digest(self.compared(database_url, broker_url))

    def shared_digest(self, broker_url: str | None = None) -> str:
        """Digest that is equal in all processes of a fleet, on any host and as any user; see
        `digest.shared`."""
        return digest.shared(self.compared(None, broker_url))


def _scheme(url: SecretStr | None, known: tuple[str, ...]) -> SecretStr | None:
    """Validate a URL here: a driver's own error about an unreadable URL contains parts of it, and of the
    password."""
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
