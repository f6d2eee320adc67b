"""Defines the settings of sources: where their files come from, and how the files are processed."""

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
from sensorflow.core.shares import SourceShare
from sensorflow.core.stability import IGNORED
from sensorflow.errors import UsageError
from sensorflow.settings.retention import Duration, Retention, patience


def tolerance(value: Any) -> str:
    """Return a checked limit of rejects: a share such as "10%", or a number such as "5". "none" becomes
    "0". Raises ValueError for any other text."""
    text = "0" if value == "none" else str(value).strip()
    number = text.removesuffix("%").strip()
    try:
        amount = float(number) if text.endswith("%") else int(number)
    except ValueError as error:
        raise ValueError('give a share such as "10%" or a number of rows such as 100') from error
    if amount < 0 or (text.endswith("%") and amount > 100):
        raise ValueError("a share must be between 0% and 100%, and a number must not be negative")
    return text


def tolerates(limit: str, rejected: int, read: int) -> bool:
    """Return whether a file may have this number of rejects. limit: a share of `read`, such as
    "10%", or a number, such as "5". Returns False if all rows are rejected."""
    if rejected == 0 or rejected >= read:
        return rejected == 0
    if limit.endswith("%"):
        return rejected <= read * float(limit[:-1]) / 100
    return rejected <= int(limit)


class Gate(Strict):
    """A file by which a sender announces that other files are complete.

    file: pattern of the gate's name, such as `"{name}.done"`, if each file has its own gate.
    manifest: pattern of the manifest's name, if one manifest announces several files. Exactly one
    of the two is set.
    """

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
    """Convert a gate that is given as a string to a table: the string is the name pattern `file`."""
    return {"file": value} if isinstance(value, str) else value


ARCHIVES = ("*.tar", "*.tgz", "*.tbz2", "*.txz", "*.tzst")
"""Default patterns of tar archives, in addition to those of `Source.include`, for a source that unpacks
archives. `Source.include` already contains `*.gz` and `*.zip`."""


class Source(Strict):
    """The settings of a source that all kinds of sources have: how its files are processed.

    The class of each kind, such as `FolderSource`, adds settings that say where the files are.
    """

    leading = ("kind", "path", "profile", "include", "exclude", "after", "on_change")
    kind: str = later_default("folder")
    """The kind of the source, which determines where its files come from. `folder` is a drop
    folder. Other packages can add kinds, see [adapters](../how-to/adapters.md)."""
    profile: str
    """The profile that reads the files: the name of a table `[profiles.<name>]`, the name of a
    profile of [the library](library.md), or the path of a file such as `"testo.toml"`, relative to
    the folder of `sensorflow.toml`. The name of a profile in a file is the file's name without
    `.toml`. If a file contains several profiles, `"loggers.toml:testo"` selects the profile
    `testo`."""
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
    """Patterns of the names of files to process. The case of letters is ignored. A source with
    `unpack = true` by default also processes `*.tar`, `*.tgz`, `*.tbz2`, `*.txz` and `*.tzst`."""
    exclude: tuple[str, ...] = IGNORED
    """Patterns of the names of files and folders to ignore, in all subfolders."""
    on_change: Literal["merge", "supersede", "keep", "reject"] = "merge"
    """What to do when a file's content changes. `merge`: the new version replaces the readings that
    it contains again, and all other readings remain. `supersede`: the new version replaces all
    readings of the older version. `keep`: the readings of both versions are kept. `reject`: the new
    version is quarantined. See [corrections](../how-to/corrections.md)."""
    dedupe_scope: Literal["file", "source"] = "file"
    """The files among which a reading with the same sensor, time and type is loaded only once. `file`: all
    versions of one file. `source`: all files of the source, for exporters that send overlapping periods.
    `source` needs `on_change = "keep"` or `"reject"`, because a reading then belongs to the first file that
    contained it, and no newer version of another file may replace it."""
    max_rejects: str = "10%"
    """Maximum rejected readings per file: a share such as `"10%"`, a number such as `"5"`, or
    `"none"` to allow no rejects. A file with more rejects than this is quarantined (`F204`)."""
    earliest: Instant = None
    """The earliest valid time of a reading: a date or time in ISO 8601. Readings before this time are
    rejected (`F109`)."""
    latest: Instant = None
    """The latest valid time of a reading: a date or time in ISO 8601. Readings after this time are
    rejected (`F109`). For a bound relative to the file's arrival, use the
    [rule](../profiles/rules-and-quality.md) `future`."""
    new_months: int = Field(default=1200, ge=1)
    """Maximum number of new months in a file, that is, months from which the database has no
    readings yet. A file with more new months than this is quarantined (`F219`). Each month is a
    permanent table, which slows down queries."""
    sparse_months: int = Field(default=360, ge=1)
    """Maximum number of new months in which a file has fewer than ten readings. A file with more
    such months than this is quarantined (`F219`). Raise the limit for files with one reading a
    month over more than thirty years."""
    drift: Drift = Drift()
    """What to do if a file's columns differ from the profile. A table with the keys `new`,
    `missing` and `changed`, each with the value `ignore`, `rescue` (keep the cells of new columns)
    or `quarantine`. A single value applies to all three keys. See [drift](../profiles/drift.md)."""
    retention: Retention = Retention()
    """How long data is kept, see [below](#retention)."""
    silent_after: Duration = None
    """Maximum time between two files, such as `"1h"` or `"2d"`. If no file arrives for a longer time,
    `sensorflow status --check` exits with 1, and `status` and `doctor` report the source."""
    weight: float = later_default(1.0, ge=0.01, le=1000)
    """The share of the workers that this source gets while files of several sources wait. A source of
    weight 2 gets twice the work of a source of weight 1. See
    [control](../how-to/control.md#weights-and-quotas)."""
    max_in_flight: int | None = later_default(None, ge=1, le=1_000_000)
    """The quota: the maximum number of published, unfinished files of this source. Other files of
    the source wait in the ledger, and other sources use the workers. By default, only the limit of
    the project applies."""
    unpack: bool = later_default(False)
    """`true`: unpack zip and tar archives (also `.tar.gz`, `.tar.bz2`, `.tar.xz`, `.tar.zst`), and
    process the files in them. See [archives](../how-to/archives.md)."""

    @field_validator("drift", mode="before")
    @classmethod
    def _drift(cls, given: Any) -> Any:
        """Convert a single value to a table with this value for all three keys."""
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
                'dedupe_scope = "source" needs on_change = "keep" or "reject": with this scope, a reading '
                "belongs to the first file that contained it, and no newer version of another file may "
                "replace it"
            )
        return self

    @property
    def accepted_patterns(self) -> tuple[str, ...]:
        """The patterns of file names to process: `include`, and `ARCHIVES` if the source unpacks
        archives and does not set `include`."""
        given = "include" in self.model_fields_set
        return self.include if given or not self.unpack else (*self.include, *ARCHIVES)

    @property
    def share(self) -> SourceShare:
        return SourceShare(self.weight, self.max_in_flight)

    @property
    def is_gated(self) -> bool:
        """Whether the source has a gate, by which senders announce complete files."""
        return False

    @classmethod
    def chosen(cls, table: Any) -> type[Source]:
        """Return the class for a source's table, selected by the key `kind`. Returns `FolderSource`
        if the kind is missing or unknown."""
        kind = table.get("kind", FOLDER) if isinstance(table, Mapping) else FOLDER
        try:
            return _model(kind)
        except ValidationError:
            return FolderSource

    def tolerates(self, rejected: int, read: int) -> bool:
        """Return whether a file of this source is loaded despite `rejected` of `read` rejects. Returns
        False if all rows are rejected."""
        return tolerates(self.max_rejects, rejected, read)


FOLDER = "folder"


class Folder(Strict):
    """The settings that say where a drop folder is, and how to detect that its files are complete."""

    former = {"stability_window": "settle"}  # noqa: RUF012
    path: Path
    """The drop folder. Files in its subfolders are processed too."""
    after: Literal["archive", "delete", "keep"] = "archive"
    """What to do with a file after it is registered. `archive`: move the file to `data/archive`.
    `delete`: delete the file. `keep`: leave the file in place."""
    polling: bool = False
    """`true` for network shares: files are found only by scans, without inotify. The kernel is not
    asked which files are open, and inode numbers are not compared."""
    stability_window: float = Field(default=2.0, ge=0, le=3600)
    """Seconds without change after which a file counts as complete. This is used if no notification
    reports that the file was closed."""
    growing: bool = False
    """`true`: read files line by line while they grow, even while a logger has them open. Needs
    `after = "keep"`, `on_change = "merge"` and a line-based format. See [growing
    files](../how-to/growing-files.md)."""
    grow_every: float = Field(default=10.0, ge=0, le=86400)
    """Minimum seconds between two reads of a growing file. 0 means a quarter of a second."""
    gate: Annotated[Gate | None, BeforeValidator(_named)] = later_default(None)
    """A file by which a sender announces that other files are complete: `"{name}.done"`,
    `"{name}.sha256"`, or `{ manifest = "*.manifest.json" }`. See [gates](../how-to/gates.md)."""
    overdue_after: Annotated[timedelta | None, BeforeValidator(patience)] = later_default(
        timedelta(hours=1)
    )
    """The time, such as `"90s"`, `"30m"` or `"2d"`, after which a file without its gate, or a gate
    without its file, is overdue. `status` and `doctor` report overdue files, and `status --check`
    exits with 1. `"forever"`: files are never overdue."""


class FolderSource(Source, Folder):
    """All settings of a source of the kind `folder`: the drop folder, and how its files are
    processed."""

    kind: Literal["folder"] = later_default(FOLDER)

    @property
    def is_gated(self) -> bool:
        return self.gate is not None

    @model_validator(mode="after")
    def _unpack(self) -> FolderSource:
        if self.unpack and self.growing:
            raise ValueError(
                "growing = true reads a file line by line while it grows, but unpack = true reads a "
                "complete archive: set only one of them"
            )
        return self

    @model_validator(mode="after")
    def _growing(self) -> FolderSource:
        if self.growing and self.gate is not None:
            raise ValueError(
                "growing = true reads a file line by line while it grows, but a gate announces that a file "
                "is complete: set only one of them"
            )
        if self.growing and self.after != "keep":
            raise ValueError(
                'growing = true needs after = "keep": a file must stay in place while it grows'
            )
        if self.growing and self.on_change != "merge":
            raise ValueError(
                'growing = true needs on_change = "merge": if a file is started anew under its name, it '
                "replaces only the readings that it contains again"
            )
        return self


def as_folder(source: Source, **changes: Any) -> FolderSource:
    """Return a drop folder whose files are processed like those of `source`, which may be of any kind.
    changes: settings that differ from those of `source`."""
    if isinstance(source, FolderSource):
        return source.model_copy(update=changes)
    given = source.model_fields_set & set(Source.model_fields) - {"kind"}
    shared = {name: getattr(source, name) for name in given}
    return FolderSource.model_validate({"path": Path(), **shared, **changes})


KINDS: Mapping[str, type[Source]] = {FOLDER: FolderSource}
"""The class of each built-in kind of source. For the kind of a package, the class is the attribute
`Source` of the package's feed."""


def _by_kind(given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Validate a source with the class of its kind, so that errors refer to the keys of this class."""
    if not isinstance(given, Mapping):
        return handler(given)
    kind = given.get("kind", FOLDER)
    return _model(kind).model_validate(given)


def _model(kind: Any) -> type[Source]:
    """Return the class of a kind. Raises ValidationError, with the location `kind`, for an unknown
    kind."""
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    external = plugins.names(plugins.Group.FEEDS)
    if kind not in external:
        known = ", ".join((*KINDS, *external))
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
"""The type of a source of any kind. The key `kind` selects the class, which may belong to another
package."""
