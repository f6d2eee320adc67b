"""Sources: where files come from, and how they are processed."""

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
from sensorflow.core.profile.strict import Strict, later_default
from sensorflow.core.shares import Share
from sensorflow.core.stability import IGNORED
from sensorflow.errors import UsageError
from sensorflow.settings.retention import Duration, Retention, patience


def tolerance(value: Any) -> str:
    """Parse a share such as "10%", a number such as "5", or "none". Raises ValueError for anything else."""
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
    """Whether the number of rejects is within a share ("10%") or a number ("5"). Never if all rows are
    rejected."""
    if rejected == 0 or rejected >= read:
        return rejected == 0
    if limit.endswith("%"):
        return rejected <= read * float(limit[:-1]) / 100
    return rejected <= int(limit)


class Gate(Strict):
    """The file by which a sender announces complete files: one gate per file, or a manifest for many
    files."""

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
    """Accept the name pattern alone for a gate per file."""
    return {"file": value} if isinstance(value, str) else value


ARCHIVES = ("*.tar", "*.tgz", "*.tbz2", "*.txz", "*.tzst")
"""Additional default patterns of a source that unpacks archives; `*.gz` is among the usual ones."""


class Source(Strict):
    """The processing policy shared by sources of all kinds.

    Each kind adds where its files are, under its own value of `kind`.
    """

    leading = ("kind", "path", "profile", "include", "exclude", "after", "on_change")
    kind: str = later_default("folder")
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
    """Patterns of file names to process, case-insensitive."""
    exclude: tuple[str, ...] = IGNORED
    """Patterns of file names to ignore, at any depth."""
    on_change: Literal["merge", "supersede", "keep", "reject"] = "merge"
    """What to do when a file's content changes. `merge`: the new version replaces the readings that it
    contains again, and all other readings remain. `supersede`: it replaces all rows of the older
    version. `keep`: both versions are kept. `reject`: the new version is quarantined. See
    [corrections](../how-to/corrections.md)."""
    dedupe_scope: Literal["file", "source"] = "file"
    """`source`: a reading with the same sensor, time and type is loaded only once per source, for
    exporters that send overlapping windows. Needs `on_change = "keep"` or `"reject"`: a reading belongs
    to the first file that contained it, so a newer version of another file may not replace it."""
    max_rejects: str = "10%"
    """Maximum rejected readings per file, as a share or a number."""
    earliest: Instant = None
    """A date or time in ISO 8601. Earlier readings are rejected (`F109`)."""
    latest: Instant = None
    """A date or time in ISO 8601. Later readings are rejected (`F109`). For a bound relative to the
    file's arrival use the rule `future`."""
    new_months: int = Field(default=1200, ge=1)
    """Maximum number of months for which a file may contain the first readings (`F219`). Each month is a
    permanent table that every query must plan for."""
    sparse_months: int = Field(default=360, ge=1)
    """Maximum number of these months with fewer than ten readings of the file. Decades of daily readings
    fit within the default. Raise it for one reading a month over more than thirty years."""
    drift: Drift = Drift()
    """Policy for columns that differ from the profile: `ignore`, `rescue` (keep the cells of new
    columns) or `quarantine`. One word sets all three. See [drift](../profiles/drift.md)."""
    retention: Retention = Retention()
    """How long data is kept, see [below](#retention)."""
    silent_after: Duration = None
    """`"1h"`, `"2d"`: if no file arrives for this time, `sensorflow status --check` exits with 1, and
    `status` and `doctor` name the source."""
    weight: float = later_default(1.0, ge=0.01, le=1000)
    """Share of the workers while several sources have files waiting: a source of weight 2 gets twice the
    work of a source of weight 1. See [control](../how-to/control.md#weights-and-quotas)."""
    max_in_flight: int | None = later_default(None, ge=1, le=1_000_000)
    """Quota: maximum number of published, unfinished files of this source. Other files wait in the ledger,
    and other sources use the workers. By default only the limit of the project applies."""
    unpack: bool = later_default(False)
    """Replace zip and tar archives (also `.tar.gz`, `.tar.bz2`, `.tar.xz`, `.tar.zst`) by the files in
    them. See [archives](../how-to/archives.md)."""

    @field_validator("drift", mode="before")
    @classmethod
    def _drift(cls, given: Any) -> Any:
        """Expand one word to new columns, missing columns and changed units."""
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
                "to the first file that contained it, and no newer version of another file may replace it"
            )
        return self

    @property
    def taken(self) -> tuple[str, ...]:
        """`include`; if not set, a source that unpacks archives also accepts tar archives."""
        given = "include" in self.model_fields_set
        return self.include if given or not self.unpack else (*self.include, *ARCHIVES)

    @property
    def share(self) -> Share:
        return Share(self.weight, self.max_in_flight)

    @property
    def is_gated(self) -> bool:
        """Whether senders announce complete files by a gate."""
        return False

    @classmethod
    def chosen(cls, table: Any) -> type[Source]:
        """Return the model of a source's table by its kind; the folder's model if that is missing or
        unknown."""
        kind = table.get("kind", FOLDER) if isinstance(table, Mapping) else FOLDER
        try:
            return _model(kind)
        except ValidationError:
            return FolderSource

    def tolerates(self, rejected: int, read: int) -> bool:
        """Whether a file with so many rejects is still loaded. Never if all rows are rejected."""
        return tolerates(self.max_rejects, rejected, read)


FOLDER = "folder"


class Folder(Strict):
    """A drop folder, and when its files are complete."""

    former = {"stability_window": "settle"}  # noqa: RUF012
    path: Path
    """The drop folder, including all subfolders."""
    after: Literal["archive", "delete", "keep"] = "archive"
    """What to do with a file after it is registered: `archive` moves it to `data/archive`."""
    polling: bool = False
    """Do not use inotify here, do not ask the kernel which files are open, and do not compare inode
    numbers. For network shares."""
    stability_window: float = Field(default=2.0, ge=0, le=3600)
    """Seconds without change after which a file counts as complete. Used if no notification reports that
    the file was closed."""
    growing: bool = False
    """Read files line by line while they grow, even while a logger has them open. Needs `after =
    "keep"`, `on_change = "merge"` and a line-based format. See [growing
    files](../how-to/growing-files.md)."""
    grow_every: float = Field(default=10.0, ge=0, le=86400)
    """Minimum seconds between two reads of a growing file. 0: a quarter of a second."""
    gate: Annotated[Gate | None, BeforeValidator(_named)] = later_default(None)
    """The file by which a sender announces that others are complete: `"{name}.done"`, `"{name}.sha256"`,
    or `{ manifest = "*.manifest.json" }`. See [gates](../how-to/gates.md)."""
    overdue_after: Annotated[timedelta | None, BeforeValidator(patience)] = later_default(
        timedelta(hours=1)
    )
    """A file without its gate, or a gate without its file, is overdue after this time: `status` and
    `doctor` name it, and `status --check` exits with 1. `"90s"`, `"30m"`, `"2d"`, or `"forever"`."""


class FolderSource(Source, Folder):
    """A drop folder with the processing policy of its files."""

    kind: Literal["folder"] = later_default(FOLDER)

    @property
    def is_gated(self) -> bool:
        return self.gate is not None

    @model_validator(mode="after")
    def _unpack(self) -> FolderSource:
        if self.unpack and self.growing:
            raise ValueError(
                "growing = true reads a file line by line while it grows, unpack = true reads an archive "
                "that is complete: set only one of them"
            )
        return self

    @model_validator(mode="after")
    def _growing(self) -> FolderSource:
        if self.growing and self.gate is not None:
            raise ValueError(
                "growing = true reads a file line by line while it grows, a gate announces that it is "
                "complete: set only one of them"
            )
        if self.growing and self.after != "keep":
            raise ValueError('growing = true needs after = "keep": the file stays where it grows')
        if self.growing and self.on_change != "merge":
            raise ValueError(
                'growing = true needs on_change = "merge": a file that starts again under its name '
                "replaces only the readings that it contains again"
            )
        return self


def as_folder(source: Source, **changes: Any) -> FolderSource:
    """Return a drop folder with the policy of a source of any kind, for files from another place."""
    if isinstance(source, FolderSource):
        return source.model_copy(update=changes)
    given = source.model_fields_set & set(Source.model_fields) - {"kind"}
    shared = {name: getattr(source, name) for name in given}
    return FolderSource.model_validate({"path": Path(), **shared, **changes})


KINDS: Mapping[str, type[Source]] = {FOLDER: FolderSource}
"""The model of each kind of source. Other packages add more, as `Source` of their feeds."""


def _by_kind(given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Validate a source by the model of its kind, so that errors refer to that model."""
    if not isinstance(given, Mapping):
        return handler(given)
    kind = given.get("kind", FOLDER)
    return _model(kind).model_validate(given)


def _model(kind: Any) -> type[Source]:
    """Return the model of a kind. Raises ValidationError for the key `kind`."""
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    brought = plugins.names(plugins.Group.FEEDS)
    if kind not in brought:
        known = ", ".join((*KINDS, *brought))
        raise _fault(kind, f"no such kind of source; known: {known}")
    try:
        found: type[Source] = plugins.load(plugins.Group.FEEDS, kind).Source
    except UsageError as error:
        raise _fault(kind, str(error)) from error
    return found


def _fault(kind: Any, message: str) -> ValidationError:
    what = PydanticCustomError("kind", "{message}", {"message": message})
    details = InitErrorDetails(type=what, loc=("kind",), input=kind)
    return ValidationError.from_exception_data("Source", [details])


AnySource = Annotated[SerializeAsAny[Source], WrapValidator(_by_kind)]
"""A union by `kind`, open to kinds of other packages."""
