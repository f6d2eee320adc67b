"""Messages for rejected cells. A message shows the cell and says what was expected."""

from __future__ import annotations

from dataclasses import dataclass

from sensorflow.core.numbers import Style
from sensorflow.core.times.clock import Clock
from sensorflow.core.times.epochs import lost_digits
from sensorflow.core.times.timeformats import EPOCH_UNITS
from sensorflow.core.times.zones import ABBREVIATIONS
from sensorflow.errors import Code

_REASONS = {
    Code.TIMESTAMP_MISSING: "the time is missing",
    Code.TIMESTAMP_UNREADABLE: "{cell!r} is not a time in the format {format}",
    Code.TIMESTAMP_OUT_OF_RANGE: "{cell!r} is outside the years 1900 to 2199",
    Code.TIMESTAMP_OUTSIDE: "{cell!r} is outside the bounds in the settings, {bounds}",
    Code.TIMESTAMP_NONEXISTENT: "{cell!r} does not exist in {zone}: the clock was put forward",
    Code.TIMESTAMP_AMBIGUOUS: "{cell!r} exists twice in {zone}: the clock was put back",
    Code.TIMESTAMP_NO_ZONE: "{cell!r} has no offset, and the profile gives no zone",
    Code.VALUE_NOT_A_NUMBER: "{cell!r} is not a number",
    Code.VALUE_NOT_REPRESENTABLE: "{cell!r} is outside the range of a double",
    Code.VALUE_NOT_FINITE: "{cell!r} is not finite",
    Code.SENSOR_MISSING: "the sensor's id is missing",
    Code.TYPE_MISSING: "the reading's type is missing",
    Code.NUL_BYTE: "a NUL character in the sensor's id, the type or the unit",
    Code.RULE_REQUIRED: "the rules require a reading here, but the cell is missing",
    Code.QUALITY_REFUSED: "the logger's own quality column rejects it: {cell!r}",
}


@dataclass(frozen=True)
class Expected:
    """The notation of times and numbers that the profile expects in a cell.

    formats, zone, bounds: the formats, the zone and the limits of the time. by_row: whether a column
    contains the zone. style: the notation of the number. counted: whether the time is computed by counting
    from a start time.
    """

    formats: tuple[str, ...]
    zone: str | None
    by_row: bool
    bounds: str
    style: Style
    counted: bool = False


def reason(code: Code, cell: str | None, asked: Expected, clock: Clock) -> str:
    shown, formats = str(cell)[:100], " or ".join(asked.formats)
    message = _REASONS[code].format(
        cell=shown, format=formats, zone=asked.zone, bounds=asked.bounds
    )
    if code is Code.TIMESTAMP_UNREADABLE:
        return message + _of_time(shown, asked, clock)
    if code is Code.TIMESTAMP_AMBIGUOUS and clock.dst is not None:
        return f"{message}, and the cell of the dst column is listed neither in yes nor in no"
    if code is Code.TIMESTAMP_NO_ZONE and asked.by_row:
        what = f"{shown!r} {'needs a zone' if asked.counted else 'has no offset'}"
        if not asked.zone:
            return f"{what}, and its zone cell is empty"
        return f"{what}, and {asked.zone!r} is not a known zone: add it to zones"
    if code is Code.VALUE_NOT_A_NUMBER:
        return message + _of_number(asked.style)
    return message


def _of_time(shown: str, asked: Expected, clock: Clock) -> str:
    if not clock.trimmed and set(asked.formats) & set(EPOCH_UNITS) and lost_digits(shown):
        return ': digits are missing; set scientific = "trimmed" if these digits are zeros'
    if any("%Z" in fmt for fmt in asked.formats):
        word = shown.split()[-1]
        known = {**ABBREVIATIONS, **clock.zones}
        if word.isalpha() and word.upper() not in known and word not in known:
            return f"; zones has no {word!r}"
    named = any(d in fmt for fmt in asked.formats for d in ("%b", "%B", "%p"))
    return f", with names in the language {clock.locale}" if named and clock.locale else ""


def _of_number(style: Style) -> str:
    """Return the part of a message that says how the style expects numbers to be written; "" if it expects
    plain numbers."""
    wants = []
    if style.angle is not None:
        wants.append(
            f"an angle in the notation {style.angle}, with N, S, E or W if hemisphere is set"
        )
    if style.decimal != ".":
        wants.append(f"the decimal sign {style.decimal!r}")
    if style.thousands:
        wants.append(f"{style.thousands!r} between groups of three digits")
    if style.clean:
        wants.append(f"a match of clean, {style.clean!r}")
    if style.words:
        wants.append(f"one of {', '.join(map(repr, list(style.words)[:10]))}")
    return f"; expected: {', '.join(wants)}" if wants else ""
