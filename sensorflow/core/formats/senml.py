"""Reads SenML in JSON (RFC 8428): a list of records, some of which contain base values. The line number of
a reading is the number of its record.

The sensor is the base name followed by the name (4.5.1). The type is the name, or "value" if there is no
name. Times below 2**28 are rejected, because they are relative to the time of receipt (4.5.3), which is not
in the file. A record that contains only base values yields no reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, BinaryIO

from sensorflow.core.binding.binding import decoded
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import Chunk, Reject
from sensorflow.core.formats.decoded import DecodedReading, Readings
from sensorflow.core.formats.json import items
from sensorflow.core.formats.records import Record, label, raw_of
from sensorflow.core.profile import Profile
from sensorflow.errors import Code

ROWS = 8192
RELATIVE = 2**28
BASES = ("bn", "bt", "bu", "bv", "bs")
_VALUES = ("v", "s", "vs", "vb", "vd")


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    found = Readings(decoded(profile, ("epoch_s",)))
    base: dict[str, Any] = {}
    for number, record in enumerate(items(stream, profile, "item", 1), 1):
        _take(number, record, base, found)
        if found.records + len(found.rejects) >= ROWS:
            yield found.chunk()
    yield found.chunk()


def _take(number: int, record: Any, base: dict[str, Any], found: Readings) -> None:
    def refuse(code: Code, reason: str) -> None:
        raw = raw_of(Record(record)).raw
        found.rejects.append(Reject(number, None, None, code, reason, raw))

    if not isinstance(record, dict):
        refuse(Code.MALFORMED_ROW, "a SenML record must be an object")
        return
    unknown = [key for key in record if key.endswith("_")]
    if unknown:
        refuse(
            Code.MALFORMED_ROW,
            f"{unknown[0]!r} must be understood, but is not supported (RFC 8428, 4.4)",
        )
        return
    base.update((key, record[key]) for key in BASES if key in record)
    if not any(key in record for key in _VALUES):
        if not any(key in record for key in BASES):
            refuse(Code.NOTHING_MEASURED, "the record has no value (v or s)")
        return
    try:
        time = _number(base.get("bt")) + _number(record.get("t"))
    except ArithmeticError:
        refuse(Code.TIMESTAMP_UNREADABLE, f"t = {record.get('t')!r} is not a number")
        return
    if time < RELATIVE:
        refuse(
            Code.TIMESTAMP_RELATIVE,
            "t is not an absolute time, but relative to the time of receipt",
        )
        return
    if "v" not in record and "s" not in record:
        kind = next(key for key in _VALUES if key in record)
        refuse(
            Code.VALUE_NOT_A_NUMBER, f"the value is not a number: {kind} = {record[kind]!r}"[:200]
        )
        return
    found.records += 1
    found.spots[number] = lambda: raw_of(Record(record))
    name, unit = label(record.get("n")) or "", label(record.get("u", base.get("bu"))) or ""
    sensor = f"{label(base.get('bn')) or ''}{name}"
    for key, kind in (("v", name or "value"), ("s", f"{name or 'value'}.sum")):
        if key in record:
            value = _sum(base.get("bv" if key == "v" else "bs"), record[key])
            found.decoded.append(
                DecodedReading(number, format(time, "f"), sensor, kind, unit, value)
            )


def _number(text: Any) -> Decimal:
    number = Decimal(str(text)) if text is not None else Decimal(0)
    if not number.is_finite() or abs(number.adjusted()) > 400:  # outside the range of a double
        raise InvalidOperation
    return number


def _sum(base: Any, value: Any) -> str | None:
    """Return the sum of a value and its base value as text. If there is no base value, the value's text
    is returned unchanged."""
    if base is None or not isinstance(value, str):
        return value if value is None or isinstance(value, str) else str(value)
    try:
        return str(_number(base) + _number(value))
    except ArithmeticError:
        return value
