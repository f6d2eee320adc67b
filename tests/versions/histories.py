"""Histories of names as loggers and people make them: chunks, corrections, windows, mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from versions.model import Readings, Version

HEAD = "time,sensor,type,value,unit\n"
FIRST = int(datetime(2026, 1, 31, 23, 59, 0, tzinfo=UTC).timestamp())  # two months
Lines: TypeAlias = "list[tuple[int, str, float]]"


def version_of(lines: Lines) -> Version:
    """(second, sensor, value) of each line. An exact repeat counts once, another value is a reading."""
    readings: Readings = {}
    seen: dict[tuple[str, int], list[float]] = {}
    for second, sensor, value in lines:
        values = seen.setdefault((sensor, second), [])
        if value not in values:
            readings[sensor, second, len(values)] = value
            values.append(value)
    text = [f"{_time(s)},{sensor},temperature,{v!r},degC\n" for s, sensor, v in lines]
    return Version((HEAD + "".join(text)).encode(), readings)


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class History:
    """The versions of one name, each made from the one before it."""

    draw: random.Random
    sensors: tuple[str, ...]
    lines: Lines

    @classmethod
    def begun(cls, draw: random.Random, sensors: tuple[str, ...]) -> History:
        history = cls(draw, sensors, [])
        history.lines = history._rows(FIRST + draw.randrange(90), draw.randrange(3, 12))
        return history

    def _rows(self, start: int, count: int) -> Lines:
        return [
            (start + n * 10, sensor, round(self.draw.uniform(-9, 9), 2))
            for n in range(count)
            for sensor in self.sensors
        ]

    @property
    def _end(self) -> int:
        return max((second for second, _, _ in self.lines), default=FIRST) + 10

    def next(self) -> Lines:
        change: Callable[[], Lines] = self.draw.choice(list(self._changes()))
        self.lines = change()
        return self.lines

    def _changes(self) -> Iterator[Callable[[], Lines]]:
        yield self.chunk
        yield self.grown
        yield self.correction
        yield self.correction_without_its_beginning
        yield self.window
        yield self.shifted_clock
        yield self.one_sensor_less
        yield self.empty
        yield self.boot_rows
        yield self.late_row
        yield self.several_in_a_second
        yield self.truncated

    def chunk(self) -> Lines:
        return self._rows(self._end, self.draw.randrange(1, 8))

    def grown(self) -> Lines:
        return self.lines + self.chunk()

    def correction(self) -> Lines:
        some = self.draw.random()
        return [(s, n, v + 1 if self.draw.random() < some else v) for s, n, v in self.lines]

    def correction_without_its_beginning(self) -> Lines:
        return self.correction()[len(self.lines) // 2 :]

    def window(self) -> Lines:
        return self.lines[len(self.lines) // 3 :] + self.chunk()

    def shifted_clock(self) -> Lines:
        by = self.draw.choice((-3600, 10, 20, 3600))
        return [(s + by, n, v) for s, n, v in self.lines]

    def one_sensor_less(self) -> Lines:
        return [line for line in self.lines if line[1] != self.sensors[0]]

    def empty(self) -> Lines:
        return []

    def boot_rows(self) -> Lines:
        boot = [
            (second, self.sensors[0], 0.0) for second in (0, 10)
        ]  # 1970, before it knew the time
        return boot + self.chunk()

    def late_row(self) -> Lines:
        return [(FIRST - 3600 * self.draw.randrange(1, 900), self.sensors[0], 7.25)]

    def several_in_a_second(self) -> Lines:
        return [line for s, n, v in self.lines for line in ((s, n, v), (s, n, v + 0.5))][:30]

    def truncated(self) -> Lines:
        return self.lines[: self.draw.randrange(len(self.lines) + 1)]
