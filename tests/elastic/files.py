"""Files whose work is chosen, and the account of what became of them.

A file states few readings many times: it is as much work to read as a file of that many rows, and it
costs the disk and the database little.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.scene import Observer
from fleet import HEAD
from isal import igzip

READINGS = 600
"""Readings of a file. Their text is shorter than gzip's window of 32 KiB, so their repetition takes no
room."""
SENSOR = "s0000000"
"""Stands for a file's own sensor in the text that all files share."""


WIDE = 4000
"""Readings of a file with many. A child hashes 3000 or more with DataFusion, which it then keeps."""


@dataclass(frozen=True)
class Made:
    """A file that was dropped. rows: of its text. readings: that differ. total: the sum of their values."""

    name: str
    sensor: str
    rows: int
    readings: int
    total: int


class _Block:
    """Readings, a second apart, and their lines."""

    def __init__(self, values: Sequence[int]) -> None:
        self.values = values
        self.text = "".join(
            f"2026-02-01T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z,{SENSOR},temperature,{v},degC\n"
            for s, v in enumerate(values)
        )


class Files:
    """Makes files, drops them, and remembers what is in them. times: how often each reading is
    stated in a file. Each file whose number is a multiple of `wide_every` has `WIDE` readings instead,
    each once."""

    def __init__(
        self, drop: Path, times: int, readings: int = READINGS, wide_every: int = 0, seed: int = 1
    ) -> None:
        self._drop, self._times, self._wide_every = drop, times, wide_every
        draw = random.Random(seed)
        self._usual = _Block([draw.randrange(10**6) for _ in range(readings)])
        self._wide = _Block([draw.randrange(10**6) for _ in range(WIDE)])
        self.made: list[Made] = []

    def make(self, folder: Path) -> Path:
        """Write the next file into a folder, under a name that no feed takes."""
        number = len(self.made) + 1
        is_wide = self._wide_every and number % self._wide_every == 0
        block, times = (self._wide, 1) if is_wide else (self._usual, self._times)
        sensor, readings = f"s{number:07}", len(block.values)
        made = Made(f"{number:07}.csv.gz", sensor, readings * times, readings, sum(block.values))
        text = HEAD + block.text.replace(SENSOR, sensor) * times
        path = folder / f"{made.name}.part"
        path.write_bytes(igzip.compress(text.encode(), 0))
        self.made.append(made)
        return path

    def drop(self, path: Path) -> None:
        path.rename(self._drop / path.name.removesuffix(".part"))

    def put(self, count: int = 1) -> None:
        """Make and drop files."""
        for path in [self.make(self._drop) for _ in range(count)]:
            self.drop(path)

    def scale(self, factor: float) -> None:
        """Files that are made from now on have so many times the rows."""
        self._times = max(1, round(self._times * factor))


@dataclass
class Account:
    """What is in ledger and database, against what was dropped. Each entry is a line for people.

    lost: files and readings that are not there. wrong: other differences.
    """

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.wrong)

    def details(self, most: int = 10) -> list[str]:
        return [f"  lost: {line}" for line in self.lost[:most]] + [
            f"  wrong: {line}" for line in self.wrong[:most]
        ]


FILES = """
SELECT key_text, state, rows_read, rows_loaded, rows_rejected, rows_duplicate FROM files
 WHERE source = 'plant'
"""
READ = """
SELECT sensor_id, count(*), count(DISTINCT ts), CAST(sum(value) AS bigint)
  FROM raw_readings GROUP BY sensor_id
"""


def account(observer: Observer, files: Files) -> Account:
    """Each file must be in the ledger once, with exact counts, and each reading once in the database."""
    found = Account()
    ledger = observer.rows(FILES)
    twice = [name for name, count in Counter(row[0] for row in ledger).items() if count > 1]
    found.wrong += [f"{name}: several rows in the ledger" for name in twice]
    known = {name: rest for name, *rest in ledger}
    read = {sensor: rest for sensor, *rest in observer.rows(READ)}
    for made in files.made:
        state, *counts = known.pop(made.name, ["missing"])
        if state != "loaded":
            found.lost.append(f"{made.name}: {state}")
        elif tuple(counts) != (right := counts_of(made)):
            found.wrong.append(f"{made.name}: counts {tuple(counts)}, not {right}")
        rows, distinct, total = read.pop(made.sensor, (0, 0, 0))
        if distinct < made.readings or total != made.total:
            found.lost.append(f"{made.name}: {distinct} readings, sum {total}, not {made.total}")
        if rows > distinct:
            found.wrong.append(f"{made.name}: {rows - distinct} readings twice")
    found.wrong += [f"{name}: nobody dropped it" for name in (*known, *read)]
    return found


def counts_of(made: Made) -> tuple[int, int, int, int]:
    """Rows that were read, loaded, rejected, and duplicates."""
    return made.rows, made.readings, 0, made.rows - made.readings


def wait_for(files: Files, observer: Observer, seconds: float) -> int:
    """Until all files are loaded, at most so long without progress. Returns how many are not."""
    query = "SELECT count(*) FROM files WHERE source = 'plant' AND state = 'loaded'"
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        loaded = int(observer.rows(query)[0][0])
        if loaded == len(files.made):
            return 0
        if loaded != seen:
            seen, since = loaded, time.monotonic()
        time.sleep(0.2)
    return len(files.made) - seen
