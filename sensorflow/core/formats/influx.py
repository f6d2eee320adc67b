"""Reads InfluxDB line protocol: `measurement,tag=x field=1.5,other=2i 1700000000000000000`.

The format is defined at docs.influxdata.com, "Line protocol reference". The sensor is the measurement with
its tags, as written in the file. The type is the field's key. Times are in nanoseconds unless the profile
sets time.format. String and boolean fields yield no readings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from sensorflow.core.binding.binding import decoded
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.cells import refuse, undecodable
from sensorflow.core.formats.chunk import Chunk, Spot, text_of
from sensorflow.core.formats.decoded import DecodedReading, Readings
from sensorflow.core.formats.encoding import Utf8Stream
from sensorflow.core.formats.lines import Line, Lines
from sensorflow.core.growth import Part
from sensorflow.core.profile import Profile
from sensorflow.errors import Code

ROWS = 16384

_KEY = r"(?:\\.|[^\\,= ])+"
_SERIES = re.compile(rf"(?:\\.|[^\\, ])+(?:,{_KEY}={_KEY})*")
_FIELD = re.compile(rf'({_KEY})=("(?:\\.|[^"\\])*"|[^ ,"]+)')
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|NaN|[-+]?[Ii]nf)|([-+]?\d+)[iu]")
_BOOLEANS = frozenset({"t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"})


def chunks(
    stream: BinaryIO, profile: Profile, resolve: Resolve, part: Part | None = None
) -> Iterator[Chunk]:
    formats = profile.time.format if profile.time is not None else ("epoch_ns",)
    formats = ("epoch_ns",) if formats == ("iso8601",) else formats
    plain = Utf8Stream(stream, profile.encoding)
    lines = Lines(plain, profile.max_line, plain.start)
    if part is not None and part.byte_offset:
        lines.jump(part.byte_offset, part.line_base + 1)
    found = Readings(decoded(profile, formats))
    while (line := lines.next()) is not None:
        raw = line.raw.strip()
        if not raw or raw.startswith(b"#"):
            continue
        if (bad := undecodable(line)) is not None:
            found.rejects.append(bad)
        else:
            _take(line, raw.decode(), found)
        if len(found.decoded) + len(found.rejects) >= ROWS:
            yield found.chunk()
    yield found.chunk()


def _take(line: Line, text: str, found: Readings) -> None:
    try:
        series, fields, time = _parse(text)
    except ValueError as error:
        found.rejects.append(refuse(line, Code.MALFORMED_ROW, str(error)))
        return
    if time is None:
        reason = "no timestamp: the time of receipt is not the time of measurement"
        found.rejects.append(refuse(line, Code.TIMESTAMP_MISSING, reason))
        return
    found.records += 1
    found.spots[line.number] = lambda: Spot(line.offset, text_of(line.raw))
    found.decoded += [
        DecodedReading(line.number, time, series, key, "", value) for key, value in fields
    ]


def _parse(text: str) -> tuple[str, list[tuple[str, str]], str | None]:
    """Return the (series, numeric fields, time) of a line. Raises ValueError with the reason if the line
    is invalid."""
    series = _SERIES.match(text)
    if series is None or text[series.end() : series.end() + 1] != " ":
        raise ValueError(
            "not in the form of line protocol: measurement[,tag=value…] field=value[,…] [time]"
        )
    at = series.end() + len(text[series.end() :]) - len(text[series.end() :].lstrip(" "))
    fields: list[tuple[str, str]] = []
    while True:
        match = _FIELD.match(text, at)
        if match is None:
            raise ValueError(f"not a field: {text[at : at + 40]!r}")
        number = _NUMBER.fullmatch(match[2])
        if number is not None:
            value = number[1] or number[2]
            fields.append((re.sub(r"\\([,= ])", r"\1", match[1]), value))
        elif not match[2].startswith('"') and match[2] not in _BOOLEANS:
            raise ValueError(f"{match[2][:40]!r} is neither a number nor a quoted string")
        at = match.end()
        if text[at : at + 1] != ",":
            break
        at += 1
    return series[0], fields, text[at:].strip() or None
