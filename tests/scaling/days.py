"""Five days of a plant, an hour and a half of each: `DAYS`."""

from __future__ import annotations

import math
import random

from scaling.simulation import World


def burst() -> World:
    """Nothing, then 2,000 files at once, twice."""
    return World([(60.0, 2000, 0.1), (2400.0, 2000, 0.1)], 5400)


def drip() -> World:
    """Twelve loggers that write once a minute, and a larger file now and then."""
    clock = random.Random(1)
    files = [(60.0 * minute + clock.random(), 12, 0.08) for minute in range(90)]
    files += [(600.0 * n + 11, 1, 6.0) for n in range(9)]
    return World(sorted(files), 5400)


def flood() -> World:
    """Two nodes get more than they can process, for an hour."""
    return World([(float(second), 8, 1.0) for second in range(60, 3000)], 5400, nodes=2)


def outage() -> World:
    """The database is away for twenty minutes; files go on arriving."""
    files = [(10.0 * n, 5, 0.3) for n in range(540)]
    return World(files, 5400, loads=lambda at: 0.0 if 1200 <= at < 2400 else math.inf)


def slow_database() -> World:
    """The database serves two loads at once for most of the time, to two nodes of eight processes."""
    files = [(4.0 * n, 6, 0.3) for n in range(1350)]
    files += [(900.0 * n + 5, 300, 0.3) for n in range(6)]
    loads = lambda at: 2.0 if 600 <= at < 4800 else math.inf  # noqa: E731
    return World(sorted(files), 5400, loads=loads, nodes=2, most=8, cpus=4)


DAYS = {day.__name__: day for day in (burst, drip, flood, outage, slow_database)}
