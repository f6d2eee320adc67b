"""Settings: ``sensorflow.toml``, then ``SENSORFLOW_*`` variables, then ``*_FILE`` for secrets.

Strict: an unknown key or a value of the wrong type is one line that names the file, the key and
what would be right.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
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
    ValidationError,
    field_validator,
    model_validator,
)

from sensorflow import digest, profiles, tls
from sensorflow.core import growth
from sensorflow.core.binding.drift import Drift
from sensorflow.core.gates.patterns import ManifestPattern, NamePattern
from sensorflow.core.profile import Profile
from sensorflow.core.profile.scalars import Instant
from sensorflow.core.profile.strict import Strict, later
from sensorflow.core.stability import IGNORED
from sensorflow.environment import Variables, names_project
from sensorflow.errors import Code, Misuse
from sensorflow.explain import explain
from sensorflow.profiles import files
from sensorflow.profiles.files import Texts
from sensorflow.tls import Tls

FILE_NAME = "sensorflow.toml"
COPY = "SENSORFLOW_CONFIG_COPY"
"""Names a copy of the settings file and of the profile files that it names, read in their place:
`sensorflow up` has its processes work with what was there when they were started, whatever is written
meanwhile."""
RESTORING = ".restoring"
"""In the data folder while a restore is not finished: nothing else works with it."""


def tolerance(value: Any) -> str:
    """A share such as "10%", a number such as "5", or "none"; ValueError for anything else."""
    text = "0" if value == "none" else str(value).strip()
    number = text.removesuffix("%").strip()
    try:
        amount = float(number) if text.endswith("%") else int(number)
    except ValueError as error:
        raise ValueError('give a share such as "10%" or a number of rows such as 100') from error
    if amount < 0 or (text.endswith("%") and amount > 100):
        raise ValueError("a share lies between 0% and 100%, a number of rows is not negative")
    return text


def tolerates(limit: str, rejected: int, read: int) -> bool:
    """Whether so many rejects are within a share ("10%") or a number ("5"). All rejected: never."""
    if rejected == 0 or rejected >= read:
        return rejected == 0
    if limit.endswith("%"):
        return rejected <= read * float(limit[:-1]) / 100
    return rejected <= int(limit)


UNITS = {"m": 1 / 1440, "h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.25}


def duration(value: Any) -> Any:
    """A time such as "90d"; "forever" is None. ValueError for anything else."""
    if value is None or value == "forever":
        return None
    text = str(value).strip()
    if not re.fullmatch(r"[0-9]+[mhdwy]", text) or int(text[:-1]) == 0:
        raise ValueError('give a time such as "12h", "90d", "8w" or "2y", or "forever"')
    return timedelta(days=int(text[:-1]) * UNITS[text[-1]])


Duration = Annotated[timedelta | None, BeforeValidator(duration)]


def _span(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    found = duration(value)
    if found is None:
        raise ValueError('give a time such as "12h", "7d" or "2w"')
    return found


class Retention(Strict):
    """How long things are kept after a file was finished; rows: after they were measured."""

    landing: Duration = None
    bronze: Duration = None
    rejects: Duration = None
    silver: Duration = None
    rows: Duration = None
    history: Duration = None


@dataclass(frozen=True)
class Limits:
    """inline_below: bytes; smaller files are one task. max_in_flight, backfill_in_flight: files published
    and unfinished, in all and of the backfill lane. group_small_files: several small files a message.
    workers: how many files are taken to be worked on at a time while no worker says."""

    inline_below: int
    max_in_flight: int
    backfill_in_flight: int
    group_small_files: bool = False
    workers: int = 4


class Gate(Strict):
    """By which file a sender says that others are complete: one of each file, or a manifest of many."""

    file: str | None = None
    manifest: str | None = None

    @field_validator("file")
    @classmethod
    def _file(cls, text: str | None) -> str | None:
        if text is not None:
            NamePattern.of(text)
        return text

    @field_validator("manifest")
    @classmethod
    def _manifest(cls, text: str | None) -> str | None:
        if text is not None:
            ManifestPattern.of(text)
        return text

    @model_validator(mode="after")
    def _one(self) -> Gate:
        if (self.file is None) == (self.manifest is None):
            raise ValueError('give either a file, as in gate = "{name}.done", or a manifest')
        return self

    @cached_property
    def pattern(self) -> NamePattern | ManifestPattern:
        if self.file is not None:
            return NamePattern.of(self.file)
        return ManifestPattern.of(self.manifest or "")


def _patience(value: Any) -> Any:
    """As `duration`, and of seconds too."""
    if re.fullmatch(r"[1-9][0-9]{0,6}s", str(value).strip()):
        return timedelta(seconds=int(str(value).strip()[:-1]))
    return value if isinstance(value, timedelta) else duration(value)


def _named(value: Any) -> Any:
    """A gate of each file may be given by its name alone."""
    return {"file": value} if isinstance(value, str) else value


ARCHIVES = ("*.tar", "*.tgz", "*.tbz2", "*.txz", "*.tzst")
"""Names that a source which unpacks takes beside the usual ones; `*.gz` is among those."""


class Source(Strict):
    """A drop folder, and what becomes of the files in it."""

    path: Path
    profile: str
    include: tuple[str, ...] = (
        "*.csv",
        "*.txt",
        "*.jsonl",
        "*.ndjson",
        "*.json",
        "*.xml",
        "*.gpx",
        "*.xle",
        "*.parquet",
        "*.xlsx",
        "*.xlsm",
        "*.xlsb",
        "*.xls",
        "*.ods",
        "*.tsv",
        "*.dat",
        "*.lp",
        "*.epw",
        "*.gz",
        "*.bz2",
        "*.xz",
        "*.zst",
        "*.zip",
    )
    exclude: tuple[str, ...] = IGNORED
    after: Literal["archive", "delete", "keep"] = "archive"
    on_change: Literal["merge", "supersede", "keep", "reject"] = "merge"
    dedupe_scope: Literal["file", "source"] = "file"
    max_rejects: str = "10%"
    earliest: Instant = None
    latest: Instant = None
    new_months: int = Field(default=1200, ge=1)
    sparse_months: int = Field(default=360, ge=1)
    drift: Drift = Drift()
    polling: bool = False
    retention: Retention = Retention()
    settle: float = Field(default=2.0, ge=0, le=3600)
    growing: bool = False
    grow_every: float = Field(default=10.0, ge=0, le=86400)
    silent_after: Duration = None
    unpack: bool = later(False)
    gate: Annotated[Gate | None, BeforeValidator(_named)] = later(None)
    overdue_after: Annotated[timedelta | None, BeforeValidator(_patience)] = later(
        timedelta(hours=1)
    )

    @field_validator("drift", mode="before")
    @classmethod
    def _drift(cls, given: Any) -> Any:
        """One word for all three: new columns, missing ones, changed units."""
        if isinstance(given, str):
            return dict.fromkeys(("new", "missing", "changed"), given)
        return given

    @field_validator("max_rejects", mode="before")
    @classmethod
    def _tolerance(cls, value: Any) -> str:
        return tolerance(value)

    @model_validator(mode="after")
    def _scope(self) -> Source:
        if self.dedupe_scope == "source" and self.on_change in ("merge", "supersede"):
            raise ValueError(
                'dedupe_scope = "source" needs on_change = "keep" or "reject": there a reading belongs '
                "to the first file that brought it, so that no newer version of another may replace it"
            )
        return self

    @property
    def taken(self) -> tuple[str, ...]:
        """`include`; a source that unpacks takes tar archives too, where it does not say what it takes."""
        given = "include" in self.model_fields_set
        return self.include if given or not self.unpack else (*self.include, *ARCHIVES)

    @model_validator(mode="after")
    def _unpack(self) -> Source:
        if self.unpack and self.growing:
            raise ValueError(
                "growing = true takes a file line by line while it grows, unpack = true takes an archive "
                "that is complete: give one of them"
            )
        return self

    @model_validator(mode="after")
    def _growing(self) -> Source:
        if self.growing and self.gate is not None:
            raise ValueError(
                "growing = true takes a file line by line while it grows, a gate says that it is "
                "complete: give one of them"
            )
        if self.growing and self.after != "keep":
            raise ValueError('growing = true needs after = "keep": the file stays where it grows')
        if self.growing and self.on_change != "merge":
            raise ValueError(
                'growing = true needs on_change = "merge": a file that is begun anew under its name '
                "replaces the readings that it states again, and no others"
            )
        return self

    def tolerates(self, rejected: int, read: int) -> bool:
        """Whether a file with so many rejects is loaded all the same. All rejected: never."""
        return tolerates(self.max_rejects, rejected, read)


class Settings(Strict):
    """Everything that can be set; each key also as a variable: SENSORFLOW_RESCAN=10."""

    database_url: SecretStr | None = None
    broker_url: SecretStr | None = None
    database_tls: Tls | None = None
    broker_tls: Tls | None = None
    data: Path = Path("data")
    rescan: float = Field(default=30.0, gt=0, le=86400)
    sweep: float = Field(default=15.0, gt=0, le=3600)
    lease: float = Field(default=30.0, ge=3, le=86400)
    max_attempts: int = Field(default=3, ge=1, le=100)
    max_in_flight: int = Field(default=1000, ge=1)
    backfill_in_flight: int = Field(default=8, ge=1)
    inline_below: ByteSize = ByteSize(128 * 1024**2)
    group_small_files: bool = False
    max_memory: ByteSize = Field(default=ByteSize(2 * 1024**3), ge=1024**3)
    dedupe_index: Literal["unique", "deferred"] = "unique"
    deferred_close: Annotated[timedelta, BeforeValidator(_span)] = timedelta(days=7)
    workers: int = Field(default=4, ge=1, le=512)
    flower_port: int = Field(default=5555, ge=0, le=65535)
    flower_hosts: tuple[str, ...] = ()
    flower_user: str = "sensorflow"
    flower_password: SecretStr | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_size: ByteSize = Field(default=ByteSize(10 * 1024**2), ge=64 * 1024)
    log_files: int = Field(default=5, ge=1, le=1000)
    sources: dict[str, Source] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    home: Path = Field(default=Path(), exclude=True)
    profile_files: dict[str, Path] = Field(default_factory=dict, exclude=True)

    @field_validator("flower_hosts", mode="before")
    @classmethod
    def _hosts(cls, given: Any) -> Any:
        """A variable has them with commas between."""
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
        return _scheme(
            url, ("redis", "rediss", "redis+socket", "valkey", "valkeys", "amqp", "amqps", "pyamqp")
        )

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for name in self.profiles:
            if "/" in name or not name.isprintable():
                raise ValueError(f"profiles.{name}: a profile's name has no / in it")
        for name in self.sources:
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"sources.{name}: a source's name is of letters, digits, - and _")
        return self

    @model_validator(mode="after")
    def _deferred(self) -> Settings:
        shared = [name for name, s in self.sources.items() if s.dedupe_scope == "source"]
        if self.deferred and shared:
            raise ValueError(
                f'sources.{shared[0]}.dedupe_scope = "source" needs dedupe_index = "unique": only that '
                'index keeps out what another file has brought; or give the source the scope "file"'
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
        """Whether PostgreSQL or the broker is the embedded one."""
        return self.database_url is None or self.broker_url is None

    @property
    def database(self) -> str | None:
        """The database's URL with what database_tls adds; None for the embedded one."""
        url = self.database_url.get_secret_value() if self.database_url else None
        return tls.database_url(url, self.database_tls and self.database_tls.below(self.home))

    @property
    def to_broker(self) -> Tls | None:
        """broker_tls with absolute paths."""
        return self.broker_tls and self.broker_tls.below(self.home)

    def profile_of(self, source: Source) -> Profile:
        return self._bounded(source.profile, self.profiles[source.profile], source)

    def profile(self, name: str, source: Source | None = None) -> Profile | None:
        """A profile of these settings, or of the library; None when there is none of that name.

        source: what it is of, which may set bounds of its own.
        """
        if name in self.profiles or name not in profiles.builtin():
            found = self.profiles.get(name)
        else:
            found = profiles.load(name)[1]
        return found if source is None or found is None else self._bounded(name, found, source)

    def _bounded(self, name: str, found: Profile, source: Source) -> Profile:
        """The same object each time: files of one profile are judged at once."""
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
        """A path as the settings mean it: below the folder of sensorflow.toml."""
        return (self.home / relative).absolute()

    @property
    def data_folder(self) -> Path:
        return self.path(self.data)

    def compared(self, database_url: str | None = None, broker_url: str | None = None) -> Any:
        """What `digest.plain` and `digest.digest` take. The URLs: where they are not set, of the
        embedded servers."""
        set_ = (self.database_url, self.broker_url)
        given = [url.get_secret_value() if url else None for url in set_]
        apart = digest.HOST | set(digest.URLS)
        values = self.model_dump(mode="json", exclude=set(apart))
        urls = (given[0] or database_url, given[1] or broker_url)
        return {**values, **dict(zip(digest.URLS, urls, strict=True))}

    def digest(self, database_url: str | None = None, broker_url: str | None = None) -> str:
        """Of all settings but those of `digest.HOST`: what `sensorflow up` was started with."""
        return digest.digest(self.compared(database_url, broker_url))

    def shared_digest(self, broker_url: str | None = None) -> str:
        """The same in all processes of a fleet, on any host and as any user; see `digest.shared`."""
        return digest.shared(self.compared(None, broker_url))


def _scheme(url: SecretStr | None, known: tuple[str, ...]) -> SecretStr | None:
    """The drivers' own words for a URL they cannot read hold parts of it, and of the password."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port
    except ValueError:
        hint = "write / as %2F, @ as %40, : as %3A, % as %25 in user and password"
        raise ValueError(f"the URL cannot be read; {hint}") from None
    if parts.scheme not in known:
        raise ValueError(f"the URL must begin with one of {', '.join(f'{s}://' for s in known)}")
    return url


def find(start: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The settings file: $SENSORFLOW_CONFIG, or the nearest sensorflow.toml at or above `start`."""
    if named := environ.get("SENSORFLOW_CONFIG"):
        path = Path(named).absolute()
        if not path.is_file():
            raise Misuse(
                f"{path}: no such file (named by SENSORFLOW_CONFIG); run `sensorflow init` there",
                Code.SETTINGS,
            )
        return path
    if (start / FILE_NAME).is_dir():
        raise Misuse(f"{start / FILE_NAME}: is a folder, not a file; rename it", Code.SETTINGS)
    for above in (start.absolute(), *start.absolute().parents):
        if (above / FILE_NAME).is_file():
            return above / FILE_NAME
    return None


def required_file(start: Path) -> Path:
    """The settings file, for what needs one. Raises Misuse."""
    path = find(start)
    require_project(path, start, {})
    assert path is not None
    return path


def require_project(path: Path | None, start: Path, environ: Mapping[str, str]) -> None:
    """Misuse where there is neither a settings file nor variables that make a project."""
    if path is None and not names_project(environ):
        raise Misuse(
            f"no {FILE_NAME} at or above {start.absolute()}: run `sensorflow init` here, or cd to your "
            "project, or set SENSORFLOW_CONFIG to its file",
            Code.SETTINGS,
        )


def load(
    path: Path | None, environ: Mapping[str, str] = os.environ, text: str | None = None
) -> Settings:
    """Read and check settings; Misuse with one line for the first thing that is wrong.

    path: the TOML file; None for defaults and environment alone. text: in place of what the file holds.
    """
    copy = environ.get(COPY)
    texts = Texts(path, Path(copy) if copy and text is None else None, text)
    given, variables, named = _given(texts, environ)
    where = _Where(path, variables)
    _resolve_profiles(given, where)
    try:
        settings = Settings.model_validate({**given, "home": texts.home, "profile_files": named})
    except ValidationError as error:
        key, message = explain(error, Settings, given)
        told = f"{where(key)}: {message}" if key else where.begins(message)
        raise Misuse(told, Code.SETTINGS) from error
    _check_profiles(settings, where)
    _check_folders(settings, where)
    _check_tls(settings, where)
    return settings


class _Where:
    """Who set a key: a variable or the file. For messages."""

    def __init__(self, path: Path | None, variables: Variables) -> None:
        self._path, self._variables = path, variables

    def __call__(self, *keys: str) -> str:
        """The variable of the first key that has one; else the file."""
        file = str(self._path) if self._path else None
        return next(filter(None, (self._variables.of(k, file) for k in keys)), file or "settings")

    def begins(self, message: str) -> str:
        """A message that begins with the key which it is about."""
        key = re.match(r"[\w.-]*", message)
        return f"{self(key[0].rstrip('.') if key else '')}: {message}"


def copied(path: Path | None, environ: Mapping[str, str] = os.environ) -> str:
    """The settings file and the profile files that it names as they are now: the text of a `COPY`. Raises
    Misuse."""
    texts = Texts(path)
    _given(texts, environ)
    return texts.copied()


def _given(
    texts: Texts, environ: Mapping[str, str]
) -> tuple[dict[str, Any], Variables, dict[str, Path]]:
    """(what file and variables give, which variable gave what, the files of profiles)"""
    try:
        given = texts.settings()
    except OSError as error:
        raise Misuse(f"{texts.path}: cannot be read: {error.strerror}", Code.SETTINGS) from error
    variables = Variables(environ, Settings.model_fields)
    variables.overlay(given)
    return given, variables, files.resolve(given, texts)


def _resolve_profiles(given: dict[str, Any], where: _Where) -> None:
    """Put what profiles extend, and those of the library that sources name, into the settings."""
    tables = given.get("profiles", {})
    sources = given.get("sources", {})
    if not isinstance(tables, dict) or not isinstance(sources, dict):
        return
    named = [s.get("profile") for s in sources.values() if isinstance(s, dict)]
    wanted = [*tables, *(n for n in named if isinstance(n, str) and n in profiles.builtin())]
    try:
        given["profiles"] = {name: profiles.resolved(name, tables) for name in wanted}
    except Misuse as error:
        raise Misuse(where.begins(str(error)), Code.SETTINGS) from error


def _check_profiles(settings: Settings, where: _Where) -> None:
    for name, source in settings.sources.items():
        if source.profile not in settings.profiles:
            there = files.toml_files(settings.home)
            near = difflib.get_close_matches(f"{source.profile}.toml", there, 1)
            hint = profiles.unknown(source.profile, settings.profiles).partition("; ")[2]
            hint = f"did you mean the file {near[0]!r}?" if near else hint
            raise Misuse(
                f"{where(f'sources.{name}.profile')}: sources.{name}.profile = {source.profile!r}: "
                f"no such profile; {hint}",
                Code.SETTINGS,
            )
        why = growth.unfit(settings.profile_of(source)) if source.growing else None
        if why is not None:
            raise Misuse(
                where.begins(
                    f"sources.{name}.growing = true with the profile {source.profile!r}: {why}"
                ),
                Code.SETTINGS,
            )


def _check_folders(settings: Settings, where: _Where) -> None:
    """No file may be seen by two sources, or be seen as dropped because it was put away."""
    folders = {f"sources.{n}.path": settings.path(s.path) for n, s in settings.sources.items()}
    folders["data"] = settings.data_folder
    real = {name: Path(os.path.normpath(folder)) for name, folder in folders.items()}
    for name, outer in real.items():
        for other, inner in real.items():
            if name != other and inner.is_relative_to(outer):
                raise Misuse(
                    f"{where(other, name)}: {other} lies within {name} ({outer}); "
                    "give each a folder of its own",
                    Code.SETTINGS,
                )


def _check_tls(settings: Settings, where: _Where) -> None:
    url = settings.broker_url.get_secret_value() if settings.broker_url else None
    try:
        for key in ("database_tls", "broker_tls"):
            if (given := getattr(settings, key)) is not None:
                tls.check(key, given.below(settings.home))
        tls.check_broker(url, settings.broker_tls)
        _ = settings.database
    except Misuse as error:
        raise Misuse(where.begins(str(error)), Code.SETTINGS) from error


def require_whole(settings: Settings) -> None:
    """Misuse where a restore was interrupted: half of the data may be there."""
    mark = settings.data_folder / RESTORING
    if mark.is_dir():
        begun = (
            mark / "step"
        ).exists()  # the database may be filled, with files that are only in there
        other = "" if begun else f", or remove {mark} to begin with nothing"
        raise Misuse(
            f"a restore into {settings.data_folder} is not finished: run `sensorflow restore` again with "
            f"the same backup{other}",
            Code.SETTINGS,
        )
