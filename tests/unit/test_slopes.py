"""Which series of a soak count as a leak: planted ones do, noise and warming up do not."""

from __future__ import annotations

import math
import random

import pytest
from elastic.slopes import Series, slope

HOUR = 3600.0
EVERY = 5.0
MB = 1e6


def series(value, minutes: float = 30, most: float = 2 * MB) -> Series:
    """value: of a second."""
    result = Series("B", most)
    for number in range(int(minutes * 60 / EVERY)):
        result.add(number * EVERY, value(number * EVERY))
    return result


def noise(seed: int, deviation: float, memory: float = 0.0):
    """Each value remembers so much of the one before."""
    draw, last = random.Random(seed), 0.0

    def value(_: float) -> float:
        nonlocal last
        last = memory * last + math.sqrt(1 - memory**2) * draw.gauss(0, deviation)
        return last

    return value


@pytest.mark.parametrize("an_hour", [4 * MB, 40 * MB])
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_a_planted_leak_is_found_under_noise(an_hour: float, memory: float) -> None:
    rest = noise(1, 0.2 * MB, memory)
    found = series(lambda at: 100 * MB + an_hour * at / HOUR + rest(at))
    line = found.slope()
    assert line is not None
    assert line.per_hour == pytest.approx(an_hour, abs=4 * line.error)
    assert found.is_leak


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_noise_is_seldom_a_leak(memory: float) -> None:
    leaks = sum(series(noise(seed, MB, memory), most=0.0).is_leak for seed in range(200))
    assert leaks <= 8


def test_what_a_process_needs_at_first_is_no_leak() -> None:
    rest = noise(2, 0.05 * MB)
    assert not series(lambda at: 100 * MB + 20 * MB * min(1.0, at / 400) + rest(at)).is_leak


def test_a_sawtooth_is_no_leak() -> None:
    """As of a table between two vacuums, or of a broker's log."""
    assert not series(lambda at: at % 60 * MB).is_leak


def test_a_certain_growth_below_the_limit_is_no_leak() -> None:
    found = series(lambda at: 100 * MB + MB * at / HOUR)
    line = found.slope()
    assert line is not None
    assert line.per_hour == pytest.approx(MB)
    assert line.error == pytest.approx(0.0, abs=1)
    assert not found.is_leak


def test_one_descriptor_a_minute_is_found() -> None:
    assert series(lambda at: 20 + at // 60, most=2).is_leak


def test_the_error_is_that_of_the_textbook() -> None:
    """The first point is left out; the others are 0.5 above and below 0.5 + x."""
    line = slope([(-1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (2.0, 2.0), (3.0, 4.0)])
    assert line is not None
    assert line.per_hour / HOUR == pytest.approx(1.0)
    assert line.error / HOUR == pytest.approx(math.sqrt(0.5**2 * 4 / 2 / 5))
    assert line.growth == pytest.approx(3.0)


def test_nothing_is_said_of_a_short_series() -> None:
    assert slope([(0.0, 1.0), (1.0, 5.0), (2.0, 9.0)]) is None
    assert slope([]) is None
