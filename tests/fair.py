"""A flood of one source, and what another one waits meanwhile: `make fair`.

All files of the flood are renamed into its folder at once, and one file every five seconds into the other
source's until the flood is through. A file's time is from its rename to the commit of its rows, by the
database's clock on this host. The truth is what was written into the files.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from chaos.scene import ChaosFleet, scene, servers
from fleet import Fleet, Manifest, rows, text

from sensorflow.testing.project import settings_text

SETTINGS = settings_text({"flood": {}, "quiet": {}})
EVERY = 5.0
"""Seconds between two files of the quiet source."""
READINGS = 5
"""Of each file."""
MOST = 10.0
"""Seconds that a file of the quiet source may wait."""
LOADED = """
SELECT f.key_text, e.at FROM files f JOIN file_events e ON e.file_id = f.id
 WHERE f.source = 'quiet' AND e.what = 'loaded'
"""
STEPS = ("discovered", "landed", "registered", "published", "claimed", "loaded")
TIMES = """
SELECT f.key_text, f.discovered_at, f.landed_at, f.registered_at,
       max(e.at) FILTER (WHERE e.what = 'published'), max(e.at) FILTER (WHERE e.what = 'claimed'),
       max(e.at) FILTER (WHERE e.what = 'loaded')
  FROM files f JOIN file_events e ON e.file_id = f.id
 WHERE f.source = 'quiet' AND f.state = 'loaded' GROUP BY f.id ORDER BY f.id
"""
LEFT = "SELECT count(*) FROM files WHERE source = 'flood' AND state = 'loaded'"


@dataclass
class FileFlood:
    """Files that lie ready beside the drop folders, and what they hold."""

    fleet: Fleet
    files: int
    truth: Manifest = field(default_factory=Manifest)
    dropped: dict[str, datetime] = field(default_factory=dict)
    _draw: random.Random = field(default_factory=lambda: random.Random(1))
    _written: int = 0

    def prepare(self) -> Path:
        ready = self.fleet.project / "ready"
        ready.mkdir()
        for number in range(self.files):
            (ready / f"{number}.csv").write_bytes(self._content())
        return ready

    def _content(self) -> bytes:
        readings = rows(self._written, READINGS, self._draw)
        self._written += 1
        self.truth.readings |= set(readings)
        return text(readings)

    def drop(self, ready: Path) -> None:
        for path in ready.iterdir():
            path.rename(self.fleet.project / "flood" / path.name)

    def drop_quiet(self) -> None:
        name = f"{len(self.dropped)}.csv"
        content = self._content()
        path = self.fleet.project / "quiet" / name
        path.with_suffix(".part").write_bytes(content)
        self.dropped[name] = datetime.now(UTC)
        path.with_suffix(".part").rename(path)


def run(
    where: ChaosFleet, folder: Path, files: int, say: Callable[[str], object] = print
) -> tuple[list[float], int]:
    """Seconds of each file of the quiet source, and how many readings are not in the database."""
    for name in ("flood", "quiet"):
        (folder / name).mkdir()
    fleet = Fleet(folder, where.database, where.broker, settings=SETTINGS, level="WARNING")
    flood = FileFlood(fleet, files)
    try:
        ready = flood.prepare()
        fleet.start("daemon", "worker", "beat")
        flood.drop_quiet()
        fleet.wait(lambda: len(_loaded(where)) == 1)  # all are up
        flood.drop(ready)
        began = time.monotonic()
        through = 0
        while through < files:
            flood.drop_quiet()
            time.sleep(EVERY)
            through = _through(where)
            say(f"{time.monotonic() - began:.0f} s: {through} of {files} loaded")
        fleet.wait(lambda: len(_loaded(where)) >= len(flood.dropped), 300)
        for line in _steps(where, flood):
            say(line)
        found = flood.truth.of_database(where.database)
        loaded = _loaded(where)
        waits = [(loaded[name] - at).total_seconds() for name, at in flood.dropped.items()]
        return waits[1:], len(flood.truth.readings - found)
    finally:
        fleet.stop()


def _loaded(where: ChaosFleet) -> dict[str, datetime]:
    with psycopg.connect(where.database, options="-c timezone=UTC") as connection:
        return dict(connection.execute(LOADED).fetchall())


def _through(where: ChaosFleet) -> int:
    with psycopg.connect(where.database) as connection:
        row = connection.execute(LEFT).fetchone()
        return int(row[0]) if row else 0


def _steps(where: ChaosFleet, flood: FileFlood) -> list[str]:
    """Of each file of the quiet source the seconds that each step took."""
    with psycopg.connect(where.database) as connection:
        files = connection.execute(TIMES).fetchall()
    lines = []
    for name, *at in files[1:]:
        before = (flood.dropped[name], *at[:-1])
        durations = [(b - a).total_seconds() for a, b in zip(before, at, strict=True)]
        steps = (f"{step} {seconds:.2f}" for step, seconds in zip(STEPS, durations, strict=True))
        lines.append(f"  {name}: " + ", ".join(steps))
    return lines


def percentile(durations: list[float], share: float) -> float:
    return sorted(durations)[math.ceil(share * len(durations)) - 1]


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the fleet and the servers end with us
    parser = argparse.ArgumentParser(prog="fair", description=__doc__)
    parser.add_argument("--broker", choices=["valkey", "rabbitmq"])
    parser.add_argument("--files", type=int, default=20_000)
    options = parser.parse_args()
    worst, lost = 0.0, 0
    for broker in [options.broker] if options.broker else ["valkey", "rabbitmq"]:
        folder = Path(tempfile.mkdtemp(prefix="fair-"))
        with servers(broker) as (postgres, _, url):
            waits, missing = run(scene(postgres, url), folder, options.files)
        p99 = percentile(waits, 0.99)
        middle = percentile(waits, 0.5)
        print(
            f"fair: broker={broker} files={options.files} quiet_files={len(waits)} "
            f"quiet_median_s={middle:.1f} quiet_p99_s={p99:.1f} lost={missing}"
        )
        worst, lost = max(worst, p99), lost + missing
        if p99 < MOST and not missing:
            shutil.rmtree(folder)
        else:
            print(f"logs and files are kept in {folder}", file=sys.stderr)
    print(f"fair: quiet_p99_s={worst:.1f} lost={lost}")
    return 0 if worst < MOST and not lost else 1


if __name__ == "__main__":
    os.environ.pop("SENSORFLOW_CONFIG", None)
    sys.exit(main())
