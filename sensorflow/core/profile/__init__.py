"""A profile: a declarative description of how to read files of one kind. Users write profiles in TOML.

[profiles.plant]                      # long: a row is one reading
format = "csv"
time   = { column = "time", zone = "Europe/Berlin" }
sensor = "station"                    # the name of a column
type   = "quantity"
value  = "value"
unit   = { constant = "degC" }

[profiles.weather]                    # wide: a row contains several readings
format = "csv"
time   = { column = "date", format = "%Y/%m/%d", zone = "America/Los_Angeles" }
sensor = { constant = "seattle" }
[profiles.weather.columns]
temp_max = { type = "temperature_max", unit = "degC" }

A profile refers to a column by its title, by its position from 1 ("#3"), or by a regular expression that
matches a part of its title ("~regex"). A text with braces is a template: "{Host}/{Hop}".
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field, field_validator, model_validator

from sensorflow.core import elementpath
from sensorflow.core.profile.cells import Cell, Column, Each, Unit
from sensorflow.core.profile.formats import DECODED, FORMATS, Format
from sensorflow.core.profile.rules import Rule
from sensorflow.core.profile.scalars import Instant, Names, Reference, References, Regex, Seconds
from sensorflow.core.profile.strict import later_default
from sensorflow.core.profile.text_source import TEMPLATE, Text, TextSource
from sensorflow.core.profile.time import Time

ROLES = ("name", "type", "unit", "sensor", "skip")


class Profile(Cell):
    """A profile: the settings for reading files of one kind."""

    leading = ("format", "time", "sensor", "type", "value", "columns", "each", "unit")
    format: Format
    # what is measured
    time: Time | None = None
    sensor: Text = None
    sensor_type: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+$")
    unit: TextSource = TextSource(constant="")
    type: Text = None  # long
    value: str | None = None
    columns: dict[Reference, Column] = Field(default_factory=dict)  # wide
    each: tuple[Each, ...] = ()
    ignore: References = ()
    captures: dict[str, TextSource] = Field(default_factory=dict)
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
    # table structures that the reader cannot detect
    align: Literal["left", "right"] | None = later_default(None)
    long_rows: Literal["reject", "ignore"] = later_default("reject")
    stop_at: Regex | None = later_default(None)
    checksum: Literal["nmea"] | None = later_default(None)
    allow_empty: bool = later_default(False)
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
    units_at: str | None = later_default(None, pattern=r"^\$")  # an object: column -> unit
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
                'expected ASCII characters other than quotes and line ends; or "whitespace" for runs of '
                "spaces and tabs"
            )
        return text

    @field_validator("quote", "escape")
    @classmethod
    def _quote(cls, text: str | None) -> str | None:
        if text and (len(text) != 1 or not text.isascii() or text in "\r\n\0"):
            raise ValueError("expected one ASCII character")
        return text

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError(
                "unknown encoding; use e.g. utf-8, latin-1, cp1252, utf-16-le"
            ) from None
        return name

    @field_validator("header", mode="before")
    @classmethod
    def _roles(cls, header: Any) -> Any:
        wrong = [r for r in header if r not in ROLES] if isinstance(header, list | tuple) else []
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a row role; use one of: {', '.join(ROLES)}")
        return header

    @field_validator("header")
    @classmethod
    def _header(cls, header: int | tuple[str, ...]) -> int | tuple[str, ...]:
        if isinstance(header, int) and not 0 <= header <= 20:
            raise ValueError(
                "expected 0 to 20 rows, or a list with the role of each row: name, type, unit, …"
            )
        return header

    @model_validator(mode="after")
    def _shape(self) -> Profile:
        if self.format in DECODED or self.format not in FORMATS:
            if self.type or self.value or self.columns or self.each or self.sensor or self.records:
                raise ValueError(
                    f"files of the format {self.format} say what is measured: omit sensor, type, value, "
                    "columns, each and records"
                )
            if self.time is not None and self.time.step is not None:
                raise ValueError(
                    f"files of the format {self.format} contain each time: omit time.step"
                )
            return self
        if self.format == "xml":
            elementpath.check(self.records, self._references())
        if self.time is None or not self.time.parts:
            raise ValueError("time is required: set the column that contains the time")
        if self.sensor is None and not self._sensor_elsewhere():
            raise ValueError(
                "sensor is required: set a column, a constant, or a pattern for the file's name"
            )
        wide, long = bool(self.columns or self.each), bool(self.value or self.type)
        if wide and self.value is not None:
            raise ValueError(
                "give either columns or each (wide) or type and value (long), not both"
            )
        if not wide and not (self.value is not None and self.type is not None):
            what = "columns or each (wide), or type and value (long)"
            raise ValueError(f"define what is measured: {what}{', both' if long else ''}")
        nameless = self.header == 0 and not self.names and self.format in ("csv", "xlsx")
        if nameless and not all(ref.startswith("#") for ref in self._references()):
            raise ValueError('without a header, set names = [...], or use positions such as "#1"')
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        signs = [self.delimiter, self.quote, self.escape or ""]
        signs = [sign for sign in signs if len(sign) == 1]
        if len(set(signs)) != len(signs):
            raise ValueError("delimiter, quote and escape must differ from each other")
        if self.escape and (self.widths or len(self.delimiter) > 1):
            raise ValueError(
                "escape needs a delimiter of one character: omit escape, or set such a delimiter"
            )
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal must differ from each other")
        if self.header_again and (self.header == 0 or self.skip_until is None):
            raise ValueError("header_again needs a header, and skip_until to recognize it")
        titled = {group for each in self.each for group in re.compile(each.match).groupindex}
        parts = self.time.origins if self.time else ()
        named = {name for part in parts for name in TEMPLATE.findall(part.template or "")}
        if titled & named and self.columns:
            raise ValueError(
                "a time in column titles requires each, and cannot be combined with columns"
            )
        if self.angle is not None:
            raise ValueError("angle applies to a single column: latitude = { angle = ... }")
        for name in self.captures:
            self._follow(name, ())
        self._check_reserved_places()
        return self

    def _check_reserved_places(self) -> None:
        origins = (self.sensor, self.type, self.unit, *self.captures.values())
        tagged = any(origin is not None and origin.tags is not None for origin in origins)
        if tagged and self.format not in ("csv", "xlsx", "parquet"):
            raise ValueError(f"tags requires a table format, not {self.format}: name the columns")
        streamed = self.orient == "records" and "[*]" in (self.records or "[*]")
        if self.units_at is not None and (self.format != "json" or streamed):
            raise ValueError(
                'units_at requires format = "json" and orient = "columns", or one record'
            )

    def _follow(self, name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(
                f"captures refer to each other in a cycle: {' -> '.join((*above, name))}"
            )
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
        """Return whether the same bytes under another file name yield different readings."""
        origins = [self.sensor, self.type, self.unit, *self.captures.values()]
        if self.time is not None:
            origins += [*self.time.origins, self.time.zone, self.time.since]
        return any(origin is not None and origin.name_matters for origin in origins)

    @property
    def bounds(self) -> str:
        """Return a description of the times that the profile accepts, for messages."""
        ends = {"from": self.earliest, "to": self.latest}
        return " ".join(f"{word} {end.isoformat()}" for word, end in ends.items() if end)

    @cached_property
    def hash(self) -> str:
        """Return a hash of all settings that affect which readings a file yields."""
        without = {"max_rows_per_byte", "max_cells", "max_parts"}
        without |= {name for name in ("earliest", "latest") if getattr(self, name) is None}
        return hashlib.sha256(self.model_dump_json(exclude=without).encode()).hexdigest()[:16]
