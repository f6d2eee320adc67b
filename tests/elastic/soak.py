"""A load of 80 % of what the fleet can do, for half an hour: what grows. Then an idle fleet: what
it costs.

See `make soak`. The capacity is measured first, with the same files. What a process needs for a
file must be given back; see `elastic.slopes` for when growth is certain, and `elastic.recorder` for
when it matters.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from chaos.scene import Observer
from elastic import heaps
from elastic.files import Account, Files, account, wait_for
from elastic.processes import spent
from elastic.recorder import Recorder, table
from elastic.slopes import Series
from elastic.stand import Say, Stand, parser, runs, stand

SHARE = 0.8
"""Of the capacity."""
READINGS, TIMES = 100, 100
"""Of a file, which then has 10,000 rows."""
WIDE_EVERY = 20
"""One file in so many has many readings, so that each child has soon met one; see `elastic.files.WIDE`."""
MOST_WAITING = 200
"""Files that may wait; beyond, the load pauses. It is a load below the capacity, and no flood."""
EVERY = 5.0
"""Seconds between two samples, on average. They are taken at random moments: at the pace of a sweep, which
comes every 15 seconds, samples would miss it for half an hour and then see it each time."""
TICK = 0.25
"""Seconds between two drops."""
QUIET = 30.0
"""Seconds that pools have to become small before the idle fleet is measured."""
IDLE_CPU = 2.0
"""Per cent of one core that an idle fleet may need."""
PATIENCE = 120.0
METRICS = importlib.util.find_spec("sensorflow.cli.metrics") is not None
WAITING = "SELECT count(*) FROM files WHERE state IN ('pending', 'running')"
LOADED = "SELECT count(*) FROM files WHERE state = 'loaded'"


@dataclass(frozen=True)
class Lengths:
    """Seconds of each part of a run. most_rate: files per second that are never exceeded. most_waiting:
    see `MOST_WAITING`. fewest_samples: number of samples of a run, if the machine is fast enough."""

    soak: float
    capacity: float = 30.0
    idle: float = 60.0
    most_rate: float = 1000.0
    most_waiting: int = MOST_WAITING
    fewest_samples: int = 20

    @property
    def every(self) -> float:
        return min(EVERY, self.soak / self.fewest_samples)


@dataclass
class Soaked:
    """capacity: files per second. rate: files per second that were loaded meanwhile. paused:
    seconds in which too many files waited. leaks: names of series, and messages that were left. idle: name
    -> per cent of one core."""

    minutes: float
    account: Account
    files: int
    capacity: float
    rate: float
    paused: float
    series: dict[str, Series]
    leaks: list[str]
    idle: dict[str, float]
    errors: list[str] = field(default_factory=list)

    @property
    def idle_cpu(self) -> float:
        return sum(self.idle.values())

    @property
    def line(self) -> str:
        return (
            f"soak: minutes={self.minutes:g} files={self.files} lost={len(self.account.lost)} "
            f"leaks={len(self.leaks)} idle_cpu={self.idle_cpu:.1f}%"
        )

    @property
    def clean(self) -> bool:
        return self.account.clean and not self.leaks and self.idle_cpu < IDLE_CPU

    def details(self) -> list[str]:
        rates = f"capacity {self.capacity:.1f} files/s, loaded at {self.rate:.1f}"
        return [
            f"  {rates}; the load paused for {self.paused:.0f} s",
            *table(self.series, self.leaks),
            *(f"  LEAK {name}" for name in self.leaks if name not in self.series),
            *(f"  idle: {name:28} {share:6.2f} %" for name, share in sorted(self.idle.items())),
            *self.account.details(),
            *(f"  a sample is missing: {error}" for error in self.errors[:5]),
        ]


def run(made: Stand, lengths: Lengths, say: Say) -> Soaked:
    """Start the fleet, measure its capacity, load it, and leave it alone."""
    fleet = made.fleet
    observer = Observer(fleet.database)
    recorder = Recorder(made, observer, lengths.soak)
    files = Files(fleet.drop, TIMES, READINGS, WIDE_EVERY)
    names = ("daemon", *made.nodes, "beat", "flower", *(["metrics"] if METRICS else []))
    fleet.start(*names, env=heaps.environment(fleet.project) if fleet.cold else None)
    fleet.wait(lambda: all(fleet.children(node) for node in made.nodes))
    try:
        capacity = _capacity(files, observer, lengths)
        target = min(SHARE * capacity, lengths.most_rate)
        say(f"  capacity {capacity:.1f} files/s, the load is {target:.1f} files/s")
        began, before = time.monotonic(), len(files.made)
        paused = _load(files, observer, recorder, target, lengths)
        left = wait_for(files, observer, PATIENCE)
        rate = (len(files.made) - before) / (time.monotonic() - began)
        held = account(observer, files)
        held.lost += [f"{left} files are not loaded"] * bool(left)
        idle = _idle(made, lengths)
        return Soaked(
            round(lengths.soak / 60, 2),
            held,
            len(files.made),
            capacity,
            rate,
            paused,
            recorder.series,
            recorder.leaks() + recorder.left(PATIENCE),
            idle,
            recorder.errors,
        )
    finally:
        recorder.close()
        observer.close()


def _count(observer: Observer, query: str) -> int:
    return int(observer.rows(query)[0][0])


def _capacity(files: Files, observer: Observer, lengths: Lengths) -> float:
    """Files per second while there are always some that wait; the first ones do not count."""
    files.put(10)
    wait_for(files, observer, PATIENCE)
    started: tuple[float, int] | None = None
    begun = time.monotonic()
    while started is None or time.monotonic() - started[0] < lengths.capacity:
        if _count(observer, WAITING) < lengths.most_waiting / 2:
            files.put(lengths.most_waiting // 10)
        if started is None and time.monotonic() - begun > lengths.capacity / 3:
            started = time.monotonic(), _count(observer, LOADED)
        time.sleep(TICK / 5)
    loaded = _count(observer, LOADED) - started[1]
    spent_seconds = time.monotonic() - started[0]
    wait_for(files, observer, PATIENCE)
    return loaded / spent_seconds


def _load(
    files: Files, observer: Observer, recorder: Recorder, target: float, lengths: Lengths
) -> float:
    """Drop files evenly, and take samples. Returns the seconds in which too many waited."""
    began = before = time.monotonic()
    due, owed, paused, moments = began, 0.0, 0.0, random.Random(1)
    while (now := time.monotonic()) - began < lengths.soak or (
        not recorder.enough and now - began < lengths.soak + PATIENCE
    ):
        if _count(observer, WAITING) < lengths.most_waiting:
            owed += target * (now - before)
            files.put(int(owed))
            owed -= int(owed)
        else:
            paused += now - before
        before = now
        if now >= due:
            due = now + lengths.every * moments.uniform(0.5, 1.5)
            recorder.sample(target, _count(observer, LOADED))
        time.sleep(max(0.0, TICK - (time.monotonic() - now)))
    return paused


def _idle(made: Stand, lengths: Lengths) -> dict[str, float]:
    """Per cent of one core of each process of ours, without a file."""
    fleet = made.fleet
    heaps.stop(fleet.project)
    deadline = time.monotonic() + PATIENCE
    small = 0.0
    while time.monotonic() < deadline and small < min(QUIET, lengths.idle):
        time.sleep(1.0)
        small = small + 1.0 if all(len(fleet.children(n)) == 1 for n in made.nodes) else 0.0
    before, began = spent(fleet), time.monotonic()
    time.sleep(lengths.idle)
    length = time.monotonic() - began
    return {
        name: 100 * (seconds - before.get(name, 0.0)) / length
        for name, seconds in spent(fleet).items()
    }


def main() -> int:
    options = parser("soak", __doc__)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--nodes", type=int, default=1)
    options.add_argument("--workers", type=int, default=4, help="the most processes of a node")
    options.add_argument("--json", type=Path, help="where to write all series; the broker is added")
    given = options.parse_args()

    def once(broker: str, folder: Path) -> Soaked:
        with stand(broker, folder, given.nodes, given.workers) as made:
            found = run(made, Lengths(given.minutes * 60), print)
        for line in found.details():
            print(line)
        if given.json is not None:
            points = {name: series.points for name, series in found.series.items()}
            given.json.with_suffix(f".{broker}.json").write_text(json.dumps(points))
        return found

    return runs("soak", given, once)


if __name__ == "__main__":
    sys.exit(main())
