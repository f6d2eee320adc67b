"""The profile's settings for measured columns, and for converting their cells to numbers."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import model_validator

from sensorflow.core.profile.scalars import Grouped, Reference, References, Regex, Texts
from sensorflow.core.profile.strict import Strict, later_default


def _numbers_in(clean: str) -> int:
    """Return the number of groups in a pattern. A group with the name unit is not counted."""
    pattern = re.compile(clean)
    return pattern.groups - ("unit" in pattern.groupindex)


class Quality(Strict):
    """The column in which the logger writes the quality of a reading. good: texts of good readings. reject:
    texts of readings to reject. missing: texts that mean that the quality is unknown; they set no flag. Any
    other text sets the quality flag SOURCE of the reading."""

    column: Reference
    good: Texts = ("", "0")
    reject: Texts = ()
    missing: Texts = later_default(())

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given


class Cell(Strict):
    """The settings for converting the text of a cell to a number.

    missing: texts that mark missing values. missing_below: numbers less than or equal to this one mark
    missing values. missing_above: numbers greater than or equal to this one mark missing values. clean: a
    regular expression whose first group (other than one with the name unit) matches the number. values:
    text -> the number that replaces it. scale, offset: the result is number * scale + offset. quality: see
    `Quality`. angle: the notation of geographic positions, "ddmm" for degrees and minutes, "dms" for
    degrees, minutes and seconds. hemisphere: the column that contains N, S, E or W.
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
    angle: Literal["ddmm", "dms"] | None = later_default(None)
    hemisphere: Reference | None = later_default(None)

    @model_validator(mode="after")
    def _numbered(self) -> Cell:
        if self.clean is not None and not _numbers_in(self.clean):
            raise ValueError(
                "clean needs a group for the number, in addition to the group named unit"
            )
        if self.hemisphere is not None and self.angle is None:
            raise ValueError('hemisphere requires angle = "ddmm" or "dms"')
        return self


class Column(Cell):
    """One measured column of a wide file. Its type defaults to its title.

    type, unit and sensor may be templates that contain names of columns and of captures; {name} is the
    column's title. optional: whether the column may be missing in a file. Short form: "temperature [degC]"
    sets type and unit.
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
            keys = {"type": match[1].strip(), "unit": match[2].strip()}
            return {key: text for key, text in keys.items() if text}
        return {"type": given}


class Each(Column):
    """The measured columns whose titles match a regular expression. The expression may match any part of a
    title.

    If the expression has a group with the name type, unit or sensor, this group sets the key of the same
    name, unless the profile sets it. Templates for these keys may contain any group, as {1} or {name}.
    exclude: columns that do not belong to the result even if their title matches.
    """

    match: Regex
    exclude: References = ()

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"match": given} if isinstance(given, str) else given


class Unit(Strict):
    """A conversion of a unit. to: the name of the new unit. scale, offset: the new value is value * scale +
    offset."""

    to: str
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"to": given} if isinstance(given, str) else given
