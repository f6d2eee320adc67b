"""Reads NEM12, a format of Australian interval meter data (AEMO, "Meter Data File Format Specification
NEM12 & NEM13").

A 200 record begins a channel of a meter. A 300 record contains the values of this channel for one day. A
400 record states the quality of some of these values. The time of a value is the end of its interval, in
market time (+10:00, no daylight saving time). The sensor is the NMI. The type is the suffix of the channel
(E1, Q1). A reading gets a quality flag if its method is not "actual" (A).
"""

from __future__ import annotations

import csv as csv_
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

from sensorflow.core.binding.binding import decoded
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.cells import refuse, undecodable
from sensorflow.core.formats.chunk import Chunk, Spot, text_of
from sensorflow.core.formats.decoded import DecodedReading, Readings
from sensorflow.core.formats.encoding import Utf8Stream
from sensorflow.core.formats.lines import Line, Lines
from sensorflow.core.profile import Profile
from sensorflow.errors import Code

MARKET = "+10:00"
ROWS = 16384
DAY = 24 * 60


@dataclass(frozen=True)
class _Channel:
    nmi: str
    suffix: str
    unit: str
    minutes: int


@dataclass
class _Day:
    """The values of a channel for one day. They are kept until all 400 records of the day have been
    read. quality: the quality flag of each value."""

    line: Line
    start: datetime
    channel: _Channel
    values: list[str]
    quality: list[str]


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    plain = Utf8Stream(stream, profile.encoding)
    lines = Lines(plain, profile.max_line, plain.start)
    reading = _Reading(Readings(decoded(profile, ("iso8601",), MARKET)))
    while (line := lines.next()) is not None:
        if not line.raw.strip():
            continue
        if (bad := undecodable(line)) is not None:
            reading.found.rejects.append(bad)
        else:
            reading.take(line, _cells(line))
        if len(reading.found.decoded) + len(reading.found.rejects) >= ROWS:
            yield reading.found.chunk()
    reading.close()
    yield reading.found.chunk()


def _cells(line: Line) -> list[str]:
    """Split a line into cells. If the csv module cannot parse the quotes in a line, the line is split at
    commas; quotes are rare in NEM12."""
    try:
        cells = next(csv_.reader([line.raw.decode().rstrip("\r\n")]), [])
    except csv_.Error:
        cells = line.raw.decode().split(",")
    return [cell.strip() for cell in cells]


class _Reading:
    def __init__(self, found: Readings) -> None:
        self.found = found
        self.channel: _Channel | None = None
        self.day: _Day | None = None

    def take(self, line: Line, cells: list[str]) -> None:
        kind = cells[0] if cells else ""
        if kind == "400":
            self._quality(line, cells)
            return
        if kind == "500":
            return
        self.close()
        if kind == "200":
            self._begin(line, cells)
        elif kind == "300":
            self._values(line, cells)
        elif kind not in ("100", "900"):
            self.refuse(
                line, f"{kind[:20]!r} is not a NEM12 record type: 100, 200, 300, 400, 500, 900"
            )

    def refuse(self, line: Line, reason: str) -> None:
        self.found.rejects.append(refuse(line, Code.MALFORMED_ROW, reason))

    def _begin(self, line: Line, cells: list[str]) -> None:
        self.channel = None
        minutes = cells[8] if len(cells) > 8 else ""
        if (
            not re.fullmatch(r"[0-9]{1,4}", minutes)
            or not 0 < int(minutes) <= DAY
            or DAY % int(minutes)
        ):
            self.refuse(line, f"200 record: {minutes!r} is not an interval length in minutes")
        elif not cells[1] or not cells[4]:
            self.refuse(line, "200 record: NMI or suffix is missing")
        else:
            self.channel = _Channel(cells[1], cells[4], cells[7], int(minutes))

    def _values(self, line: Line, cells: list[str]) -> None:
        if self.channel is None:
            self.refuse(line, "300 record without a 200 record before it")
            return
        count = DAY // self.channel.minutes
        values = cells[2 : 2 + count]
        method = cells[2 + count] if len(cells) > 2 + count else ""
        if len(values) < count or not re.match(r"[AEFNSV]", method):
            unit_of_values = next(
                (i for i, v in enumerate(cells[2:]) if re.match(r"[AEFNSV]", v)), len(values)
            )
            name = f"{self.channel.nmi}/{self.channel.suffix}"
            self.refuse(
                line, f"300 record of {name} has {unit_of_values} of {count} interval values"
            )
            return
        try:
            start = datetime.strptime(cells[1], "%Y%m%d")  # noqa: DTZ007 - the layout has the zone
            start + timedelta(days=2)
        except (ValueError, OverflowError):
            self.refuse(line, f"300 record: {cells[1][:20]!r} is not a date in the form YYYYMMDD")
            return
        self.day = _Day(line, start, self.channel, values, [_grade(method)] * count)

    def _quality(self, line: Line, cells: list[str]) -> None:
        if self.day is None:
            self.refuse(line, "400 record without a 300 record before it")
            return
        try:
            first, last = int(cells[1]), int(cells[2])
            method = cells[3]
            if not 1 <= first <= last <= len(self.day.values):
                raise ValueError
            self.day.quality[first - 1 : last] = [_grade(method)] * (last - first + 1)
        except (IndexError, ValueError):
            count = len(self.day.values)
            self.refuse(
                line,
                f"400 record: it must have two intervals from 1 to {count}, in order, and a method",
            )

    def close(self) -> None:
        """Add the readings of the current day to `found`. Called after the day's last 400 record."""
        day, self.day = self.day, None
        if day is None:
            return
        found, channel, line = self.found, day.channel, day.line
        found.records += 1
        found.spots[line.number] = lambda: Spot(line.offset, text_of(line.raw))
        for index, (value, quality) in enumerate(zip(day.values, day.quality, strict=False), 1):
            at = (day.start + timedelta(minutes=index * channel.minutes)).isoformat()
            reading = DecodedReading(
                line.number, at, channel.nmi, channel.suffix, channel.unit, value, quality
            )
            found.decoded.append(reading)


def _grade(method: str) -> str:
    """Return the quality flag for a method; "" for an actual reading. With method V, the methods of the
    values are in 400 records."""
    return "" if method[:1] in ("A", "V") else method
