"""What is measured: how a cell becomes a number, and the columns that hold such cells."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import model_validator

from sensorflow.core.profile.scalars import Grouped, Reference, References, Regex, Texts
from sensorflow.core.profile.strict import Strict, later


def _numbers_in(clean: str) -> int:
    """Groups of a pattern besides the one called unit."""
    pattern = re.compile(clean)
    return pattern.groups - ("unit" in pattern.groupindex)


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
            raise ValueError("clean needs a group for the number besides the one named unit")
        if self.hemisphere is not None and self.angle is None:
            raise ValueError('hemisphere requires angle = "ddmm" or "dms"')
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


class Unit(Strict):
    """A unit's new name, and how its values are converted: value * scale + offset."""

    to: str
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"to": given} if isinstance(given, str) else given
