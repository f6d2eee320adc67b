"""How a cell is converted to a number, and settings of the measured columns."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import model_validator

from sensorflow.core.profile.scalars import Grouped, Reference, References, Regex, Texts
from sensorflow.core.profile.strict import Strict, later_default


def _numbers_in(clean: str) -> int:
    """Return the number of groups in a pattern, without the group named unit."""
    pattern = re.compile(clean)
    return pattern.groups - ("unit" in pattern.groupindex)


class Quality(Strict):
    """The column that holds the quality of a reading. If a cell contains a text in `good`, the reading is
    good. A text in `reject` rejects the reading. A text in `missing` counts as an empty cell, which says
    nothing about the quality. Any other text sets the quality flag for the logger's own quality."""

    column: Reference
    good: Texts = ("", "0")
    reject: Texts = ()
    missing: Texts = later_default(())

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given


class Cell(Strict):
    """How the text of a cell is converted to a number.

    clean: a regular expression whose first group is the text of the number. values: text -> number that the
    text stands for. scale, offset: the result is number * scale + offset. missing_below, missing_above:
    numbers <= missing_below and numbers >= missing_above mark missing values. angle: the notation of
    geographic positions, "ddmm" for degrees and minutes, "dms" for degrees, minutes and seconds.
    hemisphere: the column that contains N, S, E or W.
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
            raise ValueError("clean needs a group for the number besides the one named unit")
        if self.hemisphere is not None and self.angle is None:
            raise ValueError('hemisphere requires angle = "ddmm" or "dms"')
        return self


class Column(Cell):
    """One measured column of a wide file. Its type defaults to its title.

    type, unit and sensor may be templates with names of columns and captures; {name} is the column's title.
    optional: whether files may lack the column. Short form: "temperature [degC]" sets type and unit.
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
    """All columns whose title matches a regular expression. The expression may match any part of the title.

    If the expression has groups named type, unit or sensor, they set these keys, unless the profile sets
    them. Templates for these keys may use any group, as {1} or {name}.
    """

    match: Regex
    exclude: References = ()

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"match": given} if isinstance(given, str) else given


class Unit(Strict):
    """A unit to convert to. to: the name of the new unit. The new value is value * scale + offset."""

    to: str
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"to": given} if isinstance(given, str) else given
