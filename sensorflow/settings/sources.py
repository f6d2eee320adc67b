"""Where files come from, and what is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from sensorflow import plugins
from sensorflow.core.binding.drift import Drift
from sensorflow.core.gates.patterns import ManifestPattern, NamePattern
from sensorflow.core.profile.scalars import Instant
from sensorflow.core.profile.strict import Strict, later
from sensorflow.core.stability import IGNORED
from sensorflow.errors import Misuse
from sensorflow.settings.retention import Duration, Retention, patience


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


def _named(value: Any) -> Any:
    """A gate of each file may be given by its name alone."""
    return {"file": value} if isinstance(value, str) else value


ARCHIVES = ("*.tar", "*.tgz", "*.tbz2", "*.txz", "*.tzst")
"""Names that a source which unpacks takes beside the usual ones; `*.gz` is among those."""


class Source(Strict):
    """What is done with the files of a source: the policy that sources of all kinds share.

    A kind adds where its files are, under a `kind` of its own.
    """

    leading = ("kind", "path", "profile", "include", "exclude", "after", "on_change")
    kind: str = later("folder")
    """Where the files come from. Other packages can add kinds, see [adapters](../how-to/adapters.md)."""
    profile: str
    """How to read the files: a `[profiles.<name>]`, a name of [the library](library.md), or a file
    such as `"testo.toml"`, relative to the folder of `sensorflow.toml`. `"loggers.toml:testo"`
    names one of several profiles in a file. Such a profile is called by the file's name without
    `.toml`."""
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
    """Names that are taken, in upper or lower case."""
    exclude: tuple[str, ...] = IGNORED
    """Names that are not taken, at any depth."""
    on_change: Literal["merge", "supersede", "keep", "reject"] = "merge"
    """What to do when a file arrives under a known name with other content. `merge`: it replaces the
    readings that it states again, and everything else stays. `supersede`: it replaces all rows of
    the older version. `keep`: both are kept. `reject`: the new one is quarantined. See
    [corrections](../how-to/corrections.md)."""
    dedupe_scope: Literal["file", "source"] = "file"
    """`source`: the same sensor, time and type is loaded once from whatever file, for exporters that
    send overlapping windows. Needs `on_change = "keep"` or `"reject"`: a reading belongs to the
    first file that brought it, so a newer version of another file may not replace it."""
    max_rejects: str = "10%"
    """Rejected readings that a file may have, as a share or a number."""
    earliest: Instant = None
    """A date or a time in ISO 8601: earlier readings are rejects (`F109`)."""
    latest: Instant = None
    """The same for later readings. The rule `future` is a bound that moves with the file's arrival."""
    new_months: int = Field(default=1200, ge=1)
    """Months that a file may be the first to have readings of (`F219`). Each month is a table for
    good, which every query has to plan for."""
    sparse_months: int = Field(default=360, ge=1)
    """How many of these may have fewer than ten readings of the file. Decades of daily readings load.
    Raise it for a reading a month over more than thirty years."""
    drift: Drift = Drift()
    """Columns that are not the profile's: `ignore`, `rescue` (keep the cells of new ones) or
    `quarantine`. One word sets all three. See [drift](../profiles/drift.md)."""
    retention: Retention = Retention()
    """How long data is kept, see [below](#retention)."""
    silent_after: Duration = None
    """`"1h"`, `"2d"`: after this time without a file `sensorflow status --check` exits with 1, and
    `status` and `doctor` name the source."""
    unpack: bool = later(False)
    """Zip and tar archives (also `.tar.gz`, `.tar.bz2`, `.tar.xz`, `.tar.zst`) become the files that
    they contain. See [archives](../how-to/archives.md)."""

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

    @property
    def is_gated(self) -> bool:
        """Whether senders say by a gate which files are complete."""
        return False

    @classmethod
    def chosen(cls, table: Any) -> type[Source]:
        """The model of a source's table by its kind; a folder's where that is missing or unknown."""
        kind = table.get("kind", FOLDER) if isinstance(table, Mapping) else FOLDER
        try:
            return _model(kind)
        except ValidationError:
            return FolderSource

    def tolerates(self, rejected: int, read: int) -> bool:
        """Whether a file with so many rejects is loaded all the same. All rejected: never."""
        return tolerates(self.max_rejects, rejected, read)


FOLDER = "folder"


class Folder(Strict):
    """Where the files of a drop folder are, and when they are complete."""

    path: Path
    """The drop folder, with everything below it."""
    after: Literal["archive", "delete", "keep"] = "archive"
    """What to do with a file after it is registered: `archive` moves it to `data/archive`."""
    polling: bool = False
    """Never use inotify here, nor ask the kernel who has a file open, nor compare inode numbers. For
    network shares."""
    settle: float = Field(default=2.0, ge=0, le=3600)
    """Seconds without change after which a file is complete, if no notification says so."""
    growing: bool = False
    """Files are read while they grow, line by line, also while a logger has them open. Needs `after =
    "keep"`, `on_change = "merge"` and a format of lines. See [growing
    files](../how-to/growing-files.md)."""
    grow_every: float = Field(default=10.0, ge=0, le=86400)
    """Least seconds from one growth of a file to the next. 0: a quarter of a second."""
    gate: Annotated[Gate | None, BeforeValidator(_named)] = later(None)
    """The file by which a sender says that others are complete: `"{name}.done"`, `"{name}.sha256"`, or
    `{ manifest = "*.manifest.json" }`. See [gates](../how-to/gates.md)."""
    overdue_after: Annotated[timedelta | None, BeforeValidator(patience)] = later(
        timedelta(hours=1)
    )
    """After this time without its gate a file is overdue, and so is a gate without its file: `status`
    and `doctor` name it, and `status --check` exits with 1. `"90s"`, `"30m"`, `"2d"`, or
    `"forever"`."""


class FolderSource(Source, Folder):
    """A drop folder, and what becomes of the files in it."""

    kind: Literal["folder"] = later(FOLDER)

    @property
    def is_gated(self) -> bool:
        return self.gate is not None

    @model_validator(mode="after")
    def _unpack(self) -> FolderSource:
        if self.unpack and self.growing:
            raise ValueError(
                "growing = true takes a file line by line while it grows, unpack = true takes an archive "
                "that is complete: give one of them"
            )
        return self

    @model_validator(mode="after")
    def _growing(self) -> FolderSource:
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


def as_folder(source: Source, **changes: Any) -> FolderSource:
    """A drop folder with the policy of a source of any kind: for files that lie elsewhere."""
    if isinstance(source, FolderSource):
        return source.model_copy(update=changes)
    given = source.model_fields_set & set(Source.model_fields) - {"kind"}
    shared = {name: getattr(source, name) for name in given}
    return FolderSource.model_validate({"path": Path(), **shared, **changes})


KINDS: Mapping[str, type[Source]] = {FOLDER: FolderSource}
"""The model of each kind of source; other packages bring more, as `Source` of their feeds."""


def _by_kind(given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """A source by the model of its kind, whose errors are its own."""
    if not isinstance(given, Mapping):
        return handler(given)
    kind = given.get("kind", FOLDER)
    return _model(kind).model_validate(given)


def _model(kind: Any) -> type[Source]:
    """Raises ValidationError of the key `kind`."""
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    brought = plugins.names(plugins.Group.FEEDS)
    if kind not in brought:
        known = ", ".join((*KINDS, *brought))
        raise _fault(kind, f"no such kind of source; known: {known}")
    try:
        found: type[Source] = plugins.load(plugins.Group.FEEDS, kind).Source
    except Misuse as error:
        raise _fault(kind, str(error)) from error
    return found


def _fault(kind: Any, message: str) -> ValidationError:
    what = PydanticCustomError("kind", "{message}", {"message": message})
    details = InitErrorDetails(type=what, loc=("kind",), input=kind)
    return ValidationError.from_exception_data("Source", [details])


AnySource = Annotated[SerializeAsAny[Source], WrapValidator(_by_kind)]
"""A union by `kind`, open for those of other packages."""
