"""How a cell becomes a number, and the columns that contain such cells."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import model_validator

from sensorflow.core.profile.scalars import Grouped, Reference, References, Regex, Texts
from sensorflow.core.profile.strict import Strict, later_default


def _numbers_in(clean: str) -> int:
    """Return the number of groups in a pattern, not counting the one named unit."""
    pattern = re.compile(clean)
    return pattern.groups - ("unit" in pattern.groupindex)


class Quality(Strict):
    """The column that holds the quality of a reading. Texts in `good` are good, those in `reject` reject
    the reading, and any other text sets the source's quality flag. Texts in `missing` count as an empty
    cell: no statement."""

    column: Reference
    good: Texts = ("", "0")
    reject: Texts = ()
    missing: Texts = later_default(())

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"column": given} if isinstance(given, str) else given


class Cell(Strict):
    """How the text of a value becomes a number.

    clean: a regular expression whose first group is the text of the number. values: texts that stand for
    numbers. The number is then multiplied by `scale`, and `offset` is added. missing_below, missing_above:
    numbers at or below, or at or above, these limits mark missing values. angle: degrees and minutes
    ("ddmm"), or degrees, minutes and seconds ("dms"); hemisphere: the column that contains N, S, E or W."""

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

    type, unit and sensor may be templates of columns and captures; in them {name} is the title. optional:
    the file may lack the column. Short form: "temperature [degC]" sets type and unit."""

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
    """Every column whose title matches a regular expression, which is searched in the title.

    Its named groups type, unit and sensor set those keys unless the profile does. The templates of these
    keys may use any group, as {1} or {name}."""

    match: Regex
    exclude: References = ()

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"match": given} if isinstance(given, str) else given


class Unit(Strict):
    """The new name of a unit, and the conversion of its values: value * scale + offset."""

    to: str
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        return {"to": given} if isinstance(given, str) else given
