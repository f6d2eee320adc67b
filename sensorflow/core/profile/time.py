"""The profile's settings for the time of readings."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from sensorflow.core.profile.scalars import Grouped, Names, Reference, Seconds, Shift, Texts
from sensorflow.core.profile.strict import Strict, later_default
from sensorflow.core.profile.text_source import TEMPLATE, TextSource
from sensorflow.core.times import timeformats
from sensorflow.core.times.durations import duration
from sensorflow.core.times.monthnames import known_locale
from sensorflow.core.times.zones import check_zone


class Dst(Strict):
    """The column that says whether daylight saving time is in effect. yes, no: the texts that mean yes and
    no. If `no` is not set, any text that is not in `yes` means no. If the zone is a fixed offset, it must
    be the offset of standard time; in rows with daylight saving time, an hour is added to this offset."""

    column: Reference
    yes: Texts
    no: Texts | None = None


class Counted(Strict):
    """A counted time: the time in the columns is a start time, to which (index - first) * size is added.

    index: the source of the number of the interval, usually a column. size: the duration of an interval
    ("PT15M", "15m"), or the source of the duration in the file. unit: the unit that is used if the size has
    no unit. With "Hz", the size is the number of intervals per second. first: the index of the start time.
    """

    index: TextSource
    size: TextSource
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
                f'{text!r} is not a duration; give one such as "15m" or "PT15M", or a column'
            )
        if self.index.constant is not None:
            raise ValueError(
                "index must be a column with the numbers of the intervals, not a constant"
            )
        if re.search(
            r"\{\d+\}", self.index.template or ""
        ):  # the number in braces could also be the title of a column
            raise ValueError('give the group a name: "(?P<slot>...)", and index = "{slot}"')
        return self


class Time(Strict):
    """The settings for reading the time of readings.

    column: the column with the time. columns: instead of `column`, several columns whose texts are joined
    by `join`. format: one or more of "iso8601", "epoch_s" (or _ms, _us, _ns, _m, _h, _d), "excel",
    "excel_1904", "matlab", "mjd", "julian", "decimal_year", and strptime formats. pad: the widths to which
    the texts are padded with zeros on the left. extract: a regular expression whose first group is the time
    within the text. since: the time from which epochs count, in ISO 8601, or the source of this time in the
    file.

    zone: the zone of times without an offset, as an IANA name or a fixed offset, or the source of the zone
    in the file. zones: abbreviation -> offset, for %Z. ambiguous: what to do with a local time that occurs
    twice in the zone. nonexistent: what to do with a local time that does not occur in the zone. shift: a
    duration that is added to the UTC time. shift_clock: a duration that is added to the local time, before
    the zone is applied.
    """

    column: Reference | None = None
    columns: tuple[TextSource, ...] = ()
    format: Names = ("iso8601",)
    join: str = " "
    pad: tuple[int, ...] = ()
    extract: Grouped | None = None
    since: TextSource | None = None
    zone: TextSource | None = None
    zones: dict[str, str] = Field(default_factory=dict)
    ambiguous: Literal["reject", "earlier", "later", "order"] = "reject"
    nonexistent: Literal["reject", "earlier", "later"] = "reject"
    # language of names; daylight saving flag; corrections of times; omitted digits
    locale: Annotated[str, AfterValidator(known_locale)] | None = later_default(None)
    dst: Dst | None = later_default(None)
    shift: Shift = later_default(0.0)
    shift_clock: Shift = later_default(0.0)
    round_to: Seconds = later_default(0.0)
    scientific: Literal["complete", "trimmed"] = later_default("complete")
    step: Counted | None = later_default(None)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if isinstance(given, list):
            given = {"columns": given}
        if isinstance(given, str):
            given = {"columns": [given]} if TEMPLATE.search(given) else {"column": given}
        if not isinstance(given, dict):
            raise ValueError("give a column name, or a table such as { column, format, zone }")
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
    def _zone(cls, zone: TextSource | None) -> TextSource | None:
        if zone is not None and zone.constant is not None:
            check_zone(zone.constant)
        return zone

    @field_validator("zones")
    @classmethod
    def _zones(cls, zones: dict[str, str]) -> dict[str, str]:
        for name, offset in zones.items():
            if timeformats.fixed_offset(offset) is None:
                raise ValueError(f"{name} = {offset!r} is not an offset; give one such as +01:00")
        return zones

    @field_validator("since")
    @classmethod
    def _since(cls, since: TextSource | None) -> TextSource | None:
        if (
            since is not None
            and since.constant is not None
            and not timeformats.date(since.constant)
        ):
            raise ValueError(f"{since.constant!r} is not an ISO 8601 date such as 1904-01-01")
        return since

    @model_validator(mode="after")
    def _where(self) -> Time:
        if self.column is not None and self.columns:
            raise ValueError("give either column or columns")
        by_row = self.dst is not None or (self.zone is not None and self.zone.column is not None)
        if by_row and self.ambiguous == "order":
            raise ValueError('ambiguous = "order" cannot be combined with dst or a column of zones')
        if self.dst is not None and self.zone is None:
            raise ValueError("dst needs a zone: a zone name, or the offset of standard time")
        if self.since is not None and self.since.column is not None:
            raise ValueError(
                "since applies to the whole file, so it cannot be a column; to add a column to the time, "
                "use columns"
            )
        if self.since is not None and self.format[0] not in timeformats.EPOCH_UNITS:
            raise ValueError("since requires an epoch format, as in format = 'epoch_s'")
        return self

    @property
    def parts(self) -> tuple[TextSource, ...]:
        return self.columns or (
            (TextSource(column=self.column),) if self.column is not None else ()
        )

    @property
    def origins(self) -> tuple[TextSource, ...]:
        """Return the text sources of the time: `parts` and, if `step` is set, the index and the size."""
        return (*self.parts, self.step.index, self.step.size) if self.step else self.parts
