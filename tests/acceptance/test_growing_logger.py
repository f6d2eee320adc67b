"""A logger that never stops, with real processes killed in the middle: every complete line once.

SENSORFLOW_GROWING="1000 120 10" has it write 1,000 lines a second for two minutes and kills ten times;
`make growing` does that.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from fleet import HEAD, Fleet, fleet

from sensorflow.core.states import State

RATE, SECONDS, KILLS = map(int, os.environ.get("SENSORFLOW_GROWING", "200 15 4").split())
SOURCE = {"after": "keep", "on_change": "merge", "growing": True, "grow_every": 1}
SEED = 20260301


def line(number: int) -> str:
    minute, second = divmod(number // 1000, 60)
    hour, minute = divmod(minute, 60)
    at = f"2026-02-01T{hour:02}:{minute:02}:{second:02}.{number % 1000:03}Z"
    return f"{at},s{number % 7},temperature,{number},degC\n"


class Logger:
    """Appends lines in bits of any size to a file that it keeps open, and rotates it when told."""

    def __init__(self, path: Path, rate: int, ends: str = "\n") -> None:
        self.path, self.rate, self.ends = path, rate, ends
        self.written = 0
        self.rotate: Callable[[Path], None] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._draw = random.Random(SEED)

    def __enter__(self) -> Logger:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        began, text = time.monotonic(), HEAD
        stream = self.path.open("ab", buffering=0)
        while not (self._stop.is_set() and not text):
            pending = int((time.monotonic() - began) * self.rate)
            if not self._stop.is_set():
                text += "".join(line(n) for n in range(self.written, pending))
                self.written = max(self.written, pending)
            data = text.replace("\n", self.ends).encode()
            cut = len(data) if self._stop.is_set() else self._draw.randrange(len(data) + 1)
            stream.write(data[:cut])  # in the middle of a line, mostly
            text = data[cut:].decode().replace(self.ends, "\n")
            if self.rotate is not None and not self._stop.is_set():
                stream.write(text.replace("\n", self.ends).encode())
                stream.close()
                self.rotate(self.path)
                self.rotate, text = None, HEAD
                stream = self.path.open("ab", buffering=0)
            time.sleep(0.05)
        stream.close()


def found(f: Fleet) -> list[int]:
    with psycopg.connect(f.database) as connection:
        rows = connection.execute("SELECT value FROM raw_readings ORDER BY value").fetchall()
    return [int(value) for (value,) in rows]


def seen(f: Fleet, path: Path, rotating: Callable[[], bool]) -> bool:
    """Whether something of the very file was taken."""
    if rotating():
        return False
    ingested = f.ledger.find_ingested("plant", [os.fsencode(path.name)], [])
    return any(t.inode.endswith(f":{path.stat().st_ino}") for t in ingested)


def settled(f: Fleet, count: int) -> Callable[[], bool]:
    """Whether so many readings are there and nothing is on its way."""

    def done() -> bool:
        counts = f.counts()
        return not counts["pending"] + counts["running"] and len(found(f)) >= count

    return done


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_every_complete_line_of_a_logger_that_never_stops_is_loaded_once(
    project: Path, database: str, valkey_url: str, ends: str
) -> None:
    draw = random.Random(SEED)
    with fleet(project, database, valkey_url, source=SOURCE) as f:
        f.start("daemon", "worker", "beat")
        with Logger(f.drop / "logger.csv", RATE, ends) as logger:
            for number in range(KILLS):
                time.sleep(SECONDS / (KILLS + 1) * draw.uniform(0.8, 1.2))
                name = ("daemon", "worker")[number % 2]
                f.kill(name)
                f.start(name)
            time.sleep(SECONDS / (KILLS + 1))
        f.wait(settled(f, logger.written))
        assert found(f) == list(range(logger.written))
        views = f.ledger.files(limit=100_000)
        assert {view.state for view in views} == {State.LOADED}
        chain = f.ledger.chains([views[0].file_id])[views[0].file_id]
        assert chain.counts.read == chain.counts.loaded == logger.written
        assert chain.size == (f.drop / "logger.csv").stat().st_size
        assert chain.lines == logger.written + 1
        landed = sum(view.size for view in views)
        assert landed == chain.size  # nothing was read twice
        if KILLS <= 4:
            with psycopg.connect(f.database) as c:
                wrong = c.execute(
                    "SELECT count(*) FROM raw_readings WHERE line_no <> value + 2"
                ).fetchone()
            assert wrong == (0,)


def test_a_logger_that_is_rotated_loses_and_doubles_no_line(
    project: Path, database: str, valkey_url: str
) -> None:
    """To a name that the source takes, and to one that it does not."""
    names = iter(("logger.1.csv", "logger.old", "logger.3.csv"))

    def rename(path: Path) -> None:
        os.rename(path, path.with_name(next(names)))

    with fleet(project, database, valkey_url, source=SOURCE) as f:
        f.start("daemon", "worker", "beat")
        with Logger(f.drop / "logger.csv", RATE) as logger:
            for _ in range(3):
                f.wait(lambda: seen(f, logger.path, lambda: logger.rotate is not None))
                time.sleep(SECONDS / 8)
                logger.rotate = rename
            f.wait(lambda: seen(f, logger.path, lambda: logger.rotate is not None))
            time.sleep(SECONDS / 5)
            f.kill("daemon")
            f.start("daemon")
            time.sleep(SECONDS / 5)
        f.wait(settled(f, logger.written))
        assert found(f) == list(range(logger.written))
        views = f.ledger.files(limit=100_000)
        assert {view.state for view in views} == {State.LOADED}
        assert sum(view.counts.duplicate for view in views) == 0
