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
    on_change: Literal["merge", "supersede", "keep", "reject"] = "merge"
    dedupe_scope: Literal["file", "source"] = "file"
    max_rejects: str = "10%"
    earliest: Instant = None
    latest: Instant = None
    new_months: int = Field(default=1200, ge=1)
    sparse_months: int = Field(default=360, ge=1)
    drift: Drift = Drift()
    retention: Retention = Retention()
    silent_after: Duration = None
    unpack: bool = later(False)

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
    after: Literal["archive", "delete", "keep"] = "archive"
    polling: bool = False
    settle: float = Field(default=2.0, ge=0, le=3600)
    growing: bool = False
    grow_every: float = Field(default=10.0, ge=0, le=86400)
    gate: Annotated[Gate | None, BeforeValidator(_named)] = later(None)
    overdue_after: Annotated[timedelta | None, BeforeValidator(patience)] = later(
        timedelta(hours=1)
    )


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
