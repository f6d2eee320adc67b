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
"""

from __future__ import annotations

import difflib
import hashlib
import re
from functools import cached_property
from typing import Any, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ByteSize, ConfigDict, Field, field_validator, model_validator

from sensorflow.core import clocktime

Format = Literal["csv", "jsonl", "parquet"]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(Strict):
    """Where a text comes from: a column, a constant, or the file's name by a pattern.

    file_name: a regular expression, searched in the file's name; its first group is the text.
    """

    column: str | None = None
    constant: str | None = None
    file_name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one(self) -> Origin:
        given = [v for v in (self.column, self.constant, self.file_name) if v is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of column, constant, file_name")
        return self

    @field_validator("file_name")
    @classmethod
    def _pattern(cls, text: str | None) -> str | None:
        if text is None:
            return text
        try:
            groups = re.compile(text).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if groups < 1:
            raise ValueError("the pattern needs a group, as in '^(\\w+)_'")
        return text


class Time(Strict):
    """The time column. format: "iso8601", "epoch_s|ms|us|ns", or a strptime format.

    zone: an IANA name or a fixed offset, for times that carry no offset of their own.
    ambiguous: what becomes of a local hour that the zone has twice.
    """

    column: str
    format: str = "iso8601"
    zone: str | None = None
    ambiguous: Literal["reject", "earlier", "later"] = "reject"

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given

    @field_validator("format")
    @classmethod
    def _format(cls, text: str) -> str:
        if text not in clocktime.EPOCH_UNITS:
            clocktime.pattern(text)
        return text

    @field_validator("zone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        known = name is None or clocktime.fixed_offset(name) is not None
        if not known and name not in available_timezones():
            near = difflib.get_close_matches(str(name), sorted(available_timezones()), 1)
            hint = f"did you mean {near[0]!r}?" if near else "give an IANA name or one like +01:00"
            raise ValueError(f"no such zone; {hint}")
        return name


class Column(Strict):
    """One measured column of a wide file."""

    type: str
    unit: str = ""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"type": given} if isinstance(given, str) else given


class Profile(Strict):
    """How to read one kind of file."""

    format: Format
    time: Time
    sensor: Origin
    sensor_type: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+$")
    # long
    type: Origin | None = None
    value: str | None = None
    unit: Origin = Origin(constant="")
    # wide: column name -> reading
    columns: dict[str, Column] = Field(default_factory=dict)
    # text
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    missing: tuple[str, ...] = ()
    max_line: ByteSize = ByteSize(1024**2)
    max_decompressed: ByteSize = ByteSize(100 * 1024**3)

    @field_validator("missing", mode="before")
    @classmethod
    def _missing(cls, given: Any) -> Any:
        if not isinstance(given, list | tuple) or not all(isinstance(t, str) for t in given):
            raise ValueError('give a list of texts, as in missing = ["-9999", "NaN"]')
        return given

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, text: str) -> str:
        if not text.isascii() or text in '"\r\n\0':
            raise ValueError("one ASCII character, and neither a quote nor a line end")
        return text

    @model_validator(mode="after")
    def _shape(self) -> Profile:
        if self.columns and (self.value is not None or self.type is not None):
            raise ValueError("give either columns (wide) or type and value (long), not both")
        if not self.columns and (self.value is None or self.type is None):
            raise ValueError("say what is measured: columns (wide), or type and value (long)")
        return self

    @property
    def wide(self) -> bool:
        return bool(self.columns)

    @cached_property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of the file that hold time and texts, each once."""
        origins = (self.sensor, self.type, self.unit if not self.wide else None)
        names = [self.time.column, *(o.column for o in origins if o and o.column is not None)]
        return tuple(dict.fromkeys(names))

    @cached_property
    def value_columns(self) -> tuple[str, ...]:
        return tuple(self.columns) if self.wide else (str(self.value),)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Every column that the file must have."""
        return tuple(dict.fromkeys((*self.text_columns, *self.value_columns)))

    @property
    def name_matters(self) -> bool:
        """Whether the same bytes under another name are other readings."""
        return any(
            o is not None and o.file_name is not None for o in (self.sensor, self.type, self.unit)
        )

    @cached_property
    def hash(self) -> str:
        """Changes with anything that changes what is read."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
