"""A profile: what a file is, declaratively. A user writes it in TOML and never any Python.

[profiles.plant]                      # long: a row is one reading
format = "csv"
time   = { column = "time", zone = "Europe/Berlin" }
sensor = "station"                    # the name of a column
type   = "quantity"
value  = "value"
unit   = { constant = "degC" }

[profiles.weather]                    # wide: a row holds several readings
format = "csv"
time   = { column = "date", format = "%Y/%m/%d", zone = "America/Los_Angeles" }
sensor = { constant = "seattle" }
[profiles.weather.columns]
temp_max = { type = "temperature_max", unit = "degC" }

A column is named by its title, "#3" (its place, from 1), or "~regex" (searched in the titles). A text
with braces is a template: "{Host}/{Hop}".
"""

from __future__ import annotations

import difflib
import hashlib
import re
from datetime import UTC, date, datetime
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from sensorflow.core import elementpath
from sensorflow.core.times import timeformats
from sensorflow.core.times.durations import duration
from sensorflow.core.times.monthnames import known_locale
from sensorflow.core.times.zones import check_zone

DECODED = frozenset({"senml", "influx", "nem12"})
"""Formats that say themselves what is measured, when and by what."""

FORMATS = ("csv", "xlsx", "jsonl", "json", "xml", "parquet", *sorted(DECODED))

PLUGINS = "sensorflow.decoders"
"""The group of entry points that bring further formats: each a function as in `formats`."""


def plugins() -> dict[str, EntryPoint]:
    """Decoders of other packages, by name."""
    return {point.name: point for point in entry_points(group=PLUGINS)}


def _instant(value: Any) -> Any:
    """A date, or a time in ISO 8601; UTC where it says nothing else. ValueError for anything else."""
    if value is None:
        return None
    found = value
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        found = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(found, datetime) or not 1900 <= found.year <= 2199:
        raise ValueError("give a date or a time in ISO 8601, of the years 1900 to 2199")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


Instant = Annotated[datetime | None, BeforeValidator(_instant)]


SHEETS = frozenset({"xlsm", "xls", "xlsb", "ods"})
"""Other kinds of spreadsheets: names for `xlsx`, whose reader goes by a file's content."""


def _format(name: str) -> str:
    if name in SHEETS:
        return "xlsx"
    if name not in FORMATS and name not in plugins():
        near = difflib.get_close_matches(name, FORMATS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(FORMATS)}"
        raise ValueError(f"no such format; {hint}")
    return name


Format = Annotated[str, AfterValidator(_format)]

ROLES = ("name", "type", "unit", "sensor", "skip")


class Strict(BaseModel):
    """Frozen, and an unknown key is an error. A `later` key at its default is not serialized."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        made: dict[str, Any] = dump(self)
        for name, info in type(self).model_fields.items():
            if info.json_schema_extra == LATER and getattr(self, name) == info.default:
                made.pop(name, None)
        return made


LATER: Any = {"later": True}


def later(default: Any, **constraints: Any) -> Any:
    """A field added after the first release: at its default it leaves a profile's hash as it was, so
    that an upgrade does not change the hash of a profile that does not use it."""
    return Field(default=default, json_schema_extra=LATER, **constraints)


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


def _grouped(text: str) -> str:
    if re.compile(_regex(text)).groups < 1:
        raise ValueError("the pattern needs a group, as in '^(\\w+)_'")
    return text


def _numbers_in(clean: str) -> int:
    """Groups of a pattern besides the one called unit."""
    pattern = re.compile(clean)
    return pattern.groups - ("unit" in pattern.groupindex)


def _seconds(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\s*", given)
    if not match:
        raise ValueError('give seconds, or a text such as "30s", "10m", "2h", "1d"')
    return float(match[1]) * {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[match[2]]


def _texts(given: Any) -> Any:
    if not isinstance(given, list | tuple) or not all(isinstance(t, str) for t in given):
        raise ValueError('give a list of texts, as in missing = ["-9999", "NaN"]')
    return given


def _reference(text: str) -> str:
    """A column as a profile names it: a "~regex" must be one."""
    if text.startswith("~"):
        _regex(text[1:])
    return text


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _signed(given: Any) -> Any:
    if isinstance(given, str) and given.strip()[:1] in ("-", "+"):
        sign, text = given.strip()[0], given.strip()[1:]
        return _seconds(text) * (-1 if sign == "-" else 1)
    return _seconds(given)


Regex = Annotated[str, AfterValidator(_regex)]
Grouped = Annotated[str, AfterValidator(_grouped)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Shift = Annotated[float, BeforeValidator(_signed), Field(ge=-86400 * 366, le=86400 * 366)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Reference = Annotated[str, AfterValidator(_reference)]
References = Annotated[tuple[Reference, ...], BeforeValidator(_listed)]


class Origin(Strict):
    """Where a text comes from: exactly one of a column, a constant, a template or a pattern.

    The patterns are regular expressions whose first group is the text: `file_name` is searched in
    the file's name, `path` in its path below the source's folder, `preamble` in the lines before
    the header, `header` in the title of the time column. `match` goes with `column`: a pattern whose
    first group is taken of each cell; so does `default`, the text of cells without one, and `tags`: a
    pattern of the titles of columns that are added as ",title=cell".
    """

    column: Reference | None = None
    match: Grouped | None = None
    constant: str | None = None
    template: str | None = None
    file_name: Grouped | None = None
    path: Grouped | None = None
    preamble: Grouped | None = None
    header: Grouped | None = None
    # what an empty cell of the column stands for
    default: str | None = later(None)
    # titles of columns that follow as ",name=value"
    tags: Regex | None = later(None)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        return {"template": given} if TEMPLATE.search(given) else {"column": given}

    @model_validator(mode="after")
    def _one(self) -> Origin:
        given = set(self.model_dump(exclude_none=True))
        beside = {"match", "default", "tags"}
        if len(given - beside) != 1:
            names = ", ".join(name for name in type(self).model_fields if name not in beside)
            raise ValueError(f"give exactly one of {names}")
        if given & beside and self.column is None:
            raise ValueError(
                "match, default and tags go with column: they are about each of its cells"
            )
        return self

    @property
    def name_matters(self) -> bool:
        return self.file_name is not None or self.path is not None


TEMPLATE = re.compile(r"\{([^{}]+)\}")
Text = Origin | None


class Dst(Strict):
    """A column that tells whether daylight saving time holds: its texts for yes, and for no. Without `no`
    any other text is no."""

    column: Reference
    yes: Texts
    no: Texts | None = None


class Counted(Strict):
    """A time that is counted: (index - first) times `size` after the one that the columns tell.

    size: a duration ("PT15M", "15m"), or an Origin of one; unit: of a bare number, "Hz" of a rate.
    """

    index: Origin
    size: Origin
    unit: Literal["ns", "us", "ms", "s", "m", "min", "h", "d", "Hz"] = "s"
    first: int = Field(default=1, ge=-1_000_000, le=1_000_000)

    @field_validator("size", mode="before")
    @classmethod
    def _size(cls, given: Any) -> Any:
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            return given
        text = str(given)
        return {"constant": text} if not isinstance(given, str) or duration(text) else text

    @model_validator(mode="after")
    def _lasts(self) -> Counted:
        text = self.size.constant
        if text is not None and duration(text, self.unit) is None:
            raise ValueError(
                f'{text!r} is no duration; give one like "15m" or "PT15M", or a column'
            )
        if self.index.constant is not None:
            raise ValueError("index is a column, whose numbers count the intervals")
        if re.search(r"\{\d+\}", self.index.template or ""):  # such a column may be there too
            raise ValueError('give the group a name: "(?P<slot>...)", and index = "{slot}"')
        return self


class Time(Strict):
    """When. format: "iso8601", "epoch_s|ms|us|ns|m|h|d", "excel", or strptime formats.

    column(s): several are joined by a space, each filled up with zeros to its width in `pad`.
    extract: a regular expression whose first group is the time within the text.
    since: the instant that epochs count from, as ISO 8601. zone: an IANA name, a fixed offset, or an
    Origin, for times that carry no offset. zones: abbreviation -> offset, for %Z.
    ambiguous, nonexistent: what becomes of a local hour that the zone has twice, or not at all.
    shift is added to the instant, shift_clock to what the clock shows, before the zone is applied.
    """

    column: Reference | None = None
    columns: tuple[Origin, ...] = ()
    format: Names = ("iso8601",)
    join: str = " "
    pad: tuple[int, ...] = ()
    extract: Grouped | None = None
    since: Origin | None = None
    zone: Origin | None = None
    zones: dict[str, str] = Field(default_factory=dict)
    ambiguous: Literal["reject", "earlier", "later", "order"] = "reject"
    nonexistent: Literal["reject", "earlier", "later"] = "reject"
    # whose names are read; a clock's own flag; ends of intervals; digits that are not written
    locale: Annotated[str, AfterValidator(known_locale)] | None = later(None)
    dst: Dst | None = later(None)
    shift: Shift = later(0.0)
    shift_clock: Shift = later(0.0)
    round_to: Seconds = later(0.0)
    scientific: Literal["complete", "trimmed"] = later("complete")
    step: Counted | None = later(None)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if isinstance(given, list):
            given = {"columns": given}
        if isinstance(given, str):
            given = {"columns": [given]} if TEMPLATE.search(given) else {"column": given}
        if not isinstance(given, dict):
            raise ValueError("give a column's name, or a table such as { column, format, zone }")
        given = dict(given)
        for key in ("zone", "since"):
            if isinstance(given.get(key), str) and not TEMPLATE.search(given[key]):
                given[key] = {"constant": given[key]}
        if isinstance(given.get("pad"), int):
            given["pad"] = [given["pad"]]
        return given

    @field_validator("format")
    @classmethod
    def _format(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if not texts:
            raise ValueError("give at least one format")
        for text in texts:
            timeformats.check_format(text)
        return texts

    @field_validator("zone")
    @classmethod
    def _zone(cls, zone: Origin | None) -> Origin | None:
        if zone is not None and zone.constant is not None:
            check_zone(zone.constant)
        return zone

    @field_validator("zones")
    @classmethod
    def _zones(cls, zones: dict[str, str]) -> dict[str, str]:
        for name, offset in zones.items():
            if timeformats.fixed_offset(offset) is None:
                raise ValueError(f"{name} = {offset!r} is no offset; give one like +01:00")
        return zones

    @field_validator("since")
    @classmethod
    def _since(cls, since: Origin | None) -> Origin | None:
        if (
            since is not None
            and since.constant is not None
            and not timeformats.date(since.constant)
        ):
            raise ValueError(f"{since.constant!r} is no date in ISO 8601, as in 1904-01-01")
        return since

    @model_validator(mode="after")
    def _where(self) -> Time:
        if self.column is not None and self.columns:
            raise ValueError("give either column or columns")
        by_row = self.dst is not None or (self.zone is not None and self.zone.column is not None)
        if by_row and self.ambiguous == "order":
            raise ValueError('ambiguous = "order" does not go with dst, nor with a column of zones')
        if self.dst is not None and self.zone is None:
            raise ValueError("dst needs a zone: the place's, or the offset of its standard time")
        if self.since is not None and self.since.column is not None:
            raise ValueError("since is one for the file; join a column to the time by columns")
        if self.since is not None and self.format[0] not in timeformats.EPOCH_UNITS:
            raise ValueError("since goes with an epoch format, as in format = 'epoch_s'")
        return self

    @property
    def parts(self) -> tuple[Origin, ...]:
        return self.columns or ((Origin(column=self.column),) if self.column is not None else ())

    @property
    def origins(self) -> tuple[Origin, ...]:
        """`parts`, and behind them index and size of a step."""
        return (*self.parts, self.step.index, self.step.size) if self.step else self.parts


class Quality(Strict):
    """A column that tells how good a reading is: texts in `good` are, others set the source's flag,
    and those in `reject` refuse the reading. Those in `missing` say nothing, as an empty cell does."""

    column: Reference
    good: Texts = ("", "0")
    reject: Texts = ()
    missing: Texts = later(())

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given


class Cell(Strict):
    """How the text of a value becomes a number.

    clean: a regular expression whose first group is the number's text. values: texts that stand for
    numbers. The number is then multiplied by `scale`, and `offset` is added. missing_below and
    missing_above: numbers up to, or from, these are markers of missing values. angle: degrees and minutes
    ("ddmm"), or with seconds ("dms"); hemisphere: the column that has N, S, E or W.
    """

    missing: Texts | None = None
    missing_below: float | None = None
    missing_above: float | None = None
    clean: Grouped | None = None
    values: dict[str, float] | None = None
    scale: float | None = None
    offset: float | None = None
    quality: Quality | None = None
    # positions
    angle: Literal["ddmm", "dms"] | None = later(None)
    hemisphere: Reference | None = later(None)

    @model_validator(mode="after")
    def _numbered(self) -> Cell:
        if self.clean is not None and not _numbers_in(self.clean):
            raise ValueError("clean needs a group for the number besides the one called unit")
        if self.hemisphere is not None and self.angle is None:
            raise ValueError('hemisphere goes with angle = "ddmm" or "dms"')
        return self


class Column(Cell):
    """One measured column of a wide file; its type is its title unless told.

    type, unit and sensor may be templates of columns and captures; in them {name} is the title.
    optional: the file may lack it. In short "temperature [degC]": type and unit.
    """

    type: str | None = None
    unit: str | None = None
    sensor: str | None = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if match := re.fullmatch(r"(.*?)\s*\[([^\[\]]+)\]", given):
            told = {"type": match[1].strip(), "unit": match[2].strip()}
            return {key: text for key, text in told.items() if text}
        return {"type": given}


class Each(Column):
    """Every column whose title matches: a regular expression, searched in the title.

    Its named groups type, unit and sensor are taken unless the keys say otherwise; any group may
    stand in the templates of those, as {1} or {name}.
    """

    match: Regex
    exclude: References = ()

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"match": given} if isinstance(given, str) else given


class Rule(Strict):
    """What a reading of one type must be. severity: a reading that is not is refused, or flagged.

    future: how far ahead of its file's arrival it may lie. flatline (so many equal values in a row),
    spike (a change per second greater than this) and gap (after a silence longer than this) flag
    only.
    """

    required: bool = False
    integer: bool = False
    min: float | None = None
    max: float | None = None
    units: Texts | None = None
    allowed: tuple[float, ...] | None = None
    future: Seconds | None = None
    monotonic: Literal["increasing", "decreasing"] | None = None
    severity: Literal["reject", "flag"] = "reject"
    flatline: int | None = Field(default=None, ge=2)
    spike: float | None = Field(default=None, gt=0)
    gap: Seconds | None = None

    @model_validator(mode="after")
    def _sane(self) -> Rule:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}")
        if self.required and self.severity == "flag":
            raise ValueError("a reading that is not there cannot be flagged; severity = 'reject'")
        return self


class Unit(Strict):
    """A unit's new name, and how its values are converted: value * scale + offset."""

    to: str
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"to": given} if isinstance(given, str) else given


class Profile(Cell):
    """How to read one kind of file."""

    format: Format
    # what is measured
    time: Time | None = None
    sensor: Text = None
    sensor_type: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+$")
    unit: Origin = Origin(constant="")
    type: Text = None  # long
    value: str | None = None
    columns: dict[Reference, Column] = Field(default_factory=dict)  # wide
    each: tuple[Each, ...] = ()
    ignore: References = ()
    captures: dict[str, Origin] = Field(default_factory=dict)
    units: dict[str, Unit] = Field(default_factory=dict)
    types: dict[str, str] = Field(default_factory=dict)
    rules: dict[Reference, tuple[Rule, ...]] = Field(default_factory=dict)
    # text tables
    encoding: str = "utf-8"
    delimiter: str = ","
    widths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    quote: str = '"'
    escape: str | None = None
    skip: int = Field(default=0, ge=0, le=100_000)
    skip_until: Regex | None = None
    header_again: bool = False
    comment: str | None = Field(default=None, min_length=1)
    header: int | tuple[Literal["name", "type", "unit", "sensor", "skip"], ...] = 1
    header_prefix: str = ""
    header_fill: bool = False
    names: tuple[str, ...] = ()
    keep: Regex | None = None
    drop: Regex | None = None
    short_rows: Literal["reject", "missing"] = "reject"
    # shapes of tables that only the profile can explain
    align: Literal["left", "right"] | None = later(None)
    long_rows: Literal["reject", "ignore"] = later("reject")
    stop_at: Regex | None = later(None)
    checksum: Literal["nmea"] | None = later(None)
    allow_empty: bool = later(False)
    where: dict[Reference, Names] = Field(default_factory=dict)
    fill_down: References = ()
    decimal: Literal[".", ","] = "."
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    # instants
    earliest: Instant = None
    latest: Instant = None
    # documents
    records: str | None = None
    orient: Literal["records", "columns"] = "records"
    units_at: str | None = later(None, pattern=r"^\$")  # an object: column -> unit
    sheet: str | int = 1
    member: str = "*"
    # limits
    max_line: ByteSize = ByteSize(1024**2)
    max_columns: int = Field(default=10_000, ge=1)
    max_rows: int | None = Field(default=None, ge=1)
    max_rows_per_byte: float = Field(default=4.0, gt=0)
    max_cells: int | None = Field(default=None, ge=1)
    max_parts: ByteSize = ByteSize(64 * 1024**2)
    max_nesting: int = Field(default=64, ge=1, le=200)
    max_record: ByteSize = ByteSize(16 * 1024**2)
    max_decompressed: ByteSize = ByteSize(100 * 1024**3)
    max_ratio: int = Field(default=1000, ge=1)
    max_seconds: Seconds = 3600.0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = dict(given)
        if isinstance(given.get("columns"), list):
            given["columns"] = {name: {} for name in given["columns"]}
        if isinstance(given.get("each"), dict | str):
            given["each"] = [given["each"]]
        if isinstance(given.get("rules"), dict):
            rules = given["rules"].items()
            given["rules"] = {k: [r] if isinstance(r, dict) else r for k, r in rules}
        if given.get("names") and "header" not in given:
            given["header"] = 0
        return given

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, text: str) -> str:
        if not text or not text.isascii() or any(c in text for c in '"\r\n\0'):
            raise ValueError(
                'ASCII characters, and neither a quote nor a line end; or "whitespace" for runs of '
                "spaces and tabs"
            )
        return text

    @field_validator("quote", "escape")
    @classmethod
    def _quote(cls, text: str | None) -> str | None:
        if text and (len(text) != 1 or not text.isascii() or text in "\r\n\0"):
            raise ValueError("one ASCII character")
        return text

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError("no such encoding; as in utf-8, latin-1, cp1252, utf-16-le") from None
        return name

    @field_validator("header", mode="before")
    @classmethod
    def _roles(cls, header: Any) -> Any:
        wrong = [r for r in header if r not in ROLES] if isinstance(header, list | tuple) else []
        if wrong:
            raise ValueError(f"{wrong[0]!r} is nothing that a row tells: {', '.join(ROLES)}")
        return header

    @field_validator("header")
    @classmethod
    def _header(cls, header: int | tuple[str, ...]) -> int | tuple[str, ...]:
        if isinstance(header, int) and not 0 <= header <= 20:
            raise ValueError("0 to 20 rows, or a list of what each row tells: name, type, unit, …")
        return header

    @model_validator(mode="after")
    def _shape(self) -> Profile:
        if self.format in DECODED or self.format not in FORMATS:
            if self.type or self.value or self.columns or self.each or self.sensor or self.records:
                raise ValueError(f"{self.format} says itself what is measured: leave it to it")
            if self.time is not None and self.time.step is not None:
                raise ValueError(f"{self.format} says itself when: it has no time.step")
            return self
        if self.format == "xml":
            elementpath.check(self.records, self._references())
        if self.time is None or not self.time.parts:
            raise ValueError("time is required: the column that tells when")
        if self.sensor is None and not self._sensor_elsewhere():
            raise ValueError("sensor is required: a column, a constant, or a pattern for the name")
        wide, long = bool(self.columns or self.each), bool(self.value or self.type)
        if wide and self.value is not None:
            raise ValueError(
                "give either columns or each (wide) or type and value (long), not both"
            )
        if not wide and not (self.value is not None and self.type is not None):
            what = "columns or each (wide), or type and value (long)"
            raise ValueError(f"say what is measured: {what}{' — both' if long else ''}")
        nameless = self.header == 0 and not self.names and self.format in ("csv", "xlsx")
        if nameless and not all(ref.startswith("#") for ref in self._references()):
            raise ValueError('without a header give names = [...], or places such as "#1"')
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        signs = [self.delimiter, self.quote, self.escape or ""]
        signs = [sign for sign in signs if len(sign) == 1]
        if len(set(signs)) != len(signs):
            raise ValueError("delimiter, quote and escape must differ from each other")
        if self.escape and (self.widths or len(self.delimiter) > 1):
            raise ValueError("escape needs a delimiter of one character: leave it out, or give one")
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal must differ from each other")
        if self.header_again and (self.header == 0 or self.skip_until is None):
            raise ValueError("header_again needs a header, and skip_until to tell it by")
        titled = {group for each in self.each for group in re.compile(each.match).groupindex}
        parts = self.time.origins if self.time else ()
        named = {name for part in parts for name in TEMPLATE.findall(part.template or "")}
        if titled & named and self.columns:
            raise ValueError("a time that stands in titles goes with each alone, not with columns")
        if self.angle is not None:
            raise ValueError("angle belongs to one column: latitude = { angle = ... }")
        for name in self.captures:
            self._follow(name, ())
        self._beside()
        return self

    def _beside(self) -> None:
        origins = (self.sensor, self.type, self.unit, *self.captures.values())
        tagged = any(origin is not None and origin.tags is not None for origin in origins)
        if tagged and self.format not in ("csv", "xlsx", "parquet"):
            raise ValueError(f"tags goes with tables, not with {self.format}: name the columns")
        streamed = self.orient == "records" and "[*]" in (self.records or "[*]")
        if self.units_at is not None and (self.format != "json" or streamed):
            raise ValueError(
                'units_at goes with format = "json" and orient = "columns", or one record'
            )

    def _follow(self, name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"captures go in a circle: {' -> '.join((*above, name))}")
        for inner in TEMPLATE.findall(self.captures[name].template or ""):
            if inner in self.captures:
                self._follow(inner, (*above, name))

    def _sensor_elsewhere(self) -> bool:
        named = all(c.sensor for c in self.columns.values()) and bool(self.columns or self.each)
        each = all(e.sensor or "sensor" in re.compile(e.match).groupindex for e in self.each)
        header = isinstance(self.header, tuple) and "sensor" in self.header
        return header or (named and each)

    def _references(self) -> list[str]:
        origins = [self.sensor, self.type, self.unit, *(self.time.origins if self.time else ())]
        found = [o.column for o in origins if o is not None and o.column is not None]
        return [*found, *self.columns, *([self.value] if self.value else [])]

    @property
    def wide(self) -> bool:
        return bool(self.columns or self.each)

    @cached_property
    def name_matters(self) -> bool:
        """Whether the same bytes under another name are other readings."""
        origins = [self.sensor, self.type, self.unit, *self.captures.values()]
        if self.time is not None:
            origins += [*self.time.origins, self.time.zone, self.time.since]
        return any(origin is not None and origin.name_matters for origin in origins)

    @property
    def bounds(self) -> str:
        """What times the settings expect, in words."""
        ends = {"from": self.earliest, "to": self.latest}
        return " ".join(f"{word} {end.isoformat()}" for word, end in ends.items() if end)

    @cached_property
    def hash(self) -> str:
        """Changes with anything that changes what is read."""
        without = {"max_rows_per_byte", "max_cells", "max_parts"}
        without |= {name for name in ("earliest", "latest") if getattr(self, name) is None}
        return hashlib.sha256(self.model_dump_json(exclude=without).encode()).hexdigest()[:16]
