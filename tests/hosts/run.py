"""One run: files flow in, one host after the other is cut off and returned, or killed and started again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hosts.stand import RUNS, HostsFleet
from hosts.store import wait_for_upload

PACE = 0.7
"""Seconds between small files."""
SMALL, LARGE, MANY = 100, 40_000, 4
"""Rows of small and large files, and large files that are dropped at a time, to be in hand."""
UPLOADED = 400_000
"""Rows of a file that is uploaded in parts."""
MOST = 180.0
"""Seconds after which a file that is not loaded is given up."""
BEGIN = datetime(2026, 2, 1)  # noqa: DTZ001 - Z follows
HEAD = "time,sensor,type,value,unit\n"


@dataclass(frozen=True)
class HostCut:
    """hosts: "daemon" is the one that takes files in at the time, "standby" the other one. in_upload: in
    the middle of the upload of a large file into a bucket."""

    hosts: tuple[str, ...]
    kill: bool
    seconds: float
    in_upload: bool = False

    def __str__(self) -> str:
        names = " and ".join(self.hosts) + (" in mid-upload" if self.in_upload else "")
        return f"{names} {'killed' if self.kill else 'cut'} for {self.seconds:.0f} s"


@dataclass
class Found:
    """takeovers: seconds by strike."""

    takeovers: dict[HostCut, float] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0

    @property
    def p99(self) -> float:
        times = sorted(self.takeovers.values())
        return times[math.ceil(0.99 * len(times)) - 1] if times else 0.0

    @property
    def line(self) -> str:
        return (
            f"hosts: takeover_p99_s={math.ceil(self.p99)} lost={self.lost} "
            f"duplicated={self.duplicated}"
        )

    @property
    def clean(self) -> bool:
        return self.lost == self.duplicated == 0 and self.p99 <= 60


class Generator:
    """Drops files and knows what is in them: the truth that the database is held against."""

    def __init__(self, stand: HostsFleet, seed: int) -> None:
        self._stand, self._draw = stand, random.Random(seed)
        self.rows: dict[str, tuple[int, int]] = {}
        """Sensor -> how many readings, and the sum of their values."""
        self.dropped: dict[str, float] = {}
        """File -> when."""

    def drop(self, count: int = SMALL) -> str:
        number = len(self.dropped)
        sensor, name = f"s{number}", f"file-{number:05}.csv"
        values = [self._draw.randrange(10**6) for _ in range(count)]
        lines = (
            f"{(BEGIN + timedelta(seconds=s)).isoformat()}Z,{sensor},temperature,{v},degC\n"
            for s, v in enumerate(values)
        )
        part = self._stand.folder / f"{name}.part"
        part.write_text(HEAD + "".join(lines))
        self.rows[sensor] = (count, sum(values))
        self.dropped[name] = time.time()
        part.rename(self._stand.drop / name)
        return name

    def flow(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """A file now and then, until a time or until it is enough."""
        while time.time() < until and not done():
            self.drop()
            time.sleep(PACE)


def run(
    stand: HostsFleet,
    strikes: list[HostCut],
    seed: int,
    say: Callable[[str], None],
    before_return: Callable[[], None] = lambda: None,
) -> Found:
    """before_return: called when a host is still away, and about to be back."""
    found, files = Found(), Generator(stand, seed)
    files.flow(time.time() + 180, lambda: len(_loaded(stand)) > 3)
    assert _loaded(stand), f"no file is loaded\n{stand.logs()}"
    for strike in strikes:
        began = len(files.dropped)
        at, back = _strike(stand, files, strike, before_return)
        files.flow(time.time() + 3)
        late = _wait(stand, files)
        found.takeovers[strike] = _takeover(stand, files, strike, began, at, back)
        say(f"{strike}: takeover {found.takeovers[strike]:.1f} s, {late} files not loaded")
    for sensor, count, distinct, total in stand.ask(_ROWS):
        expected, value = files.rows.pop(sensor, (0, 0))
        wrong = distinct != expected or total != value
        found.lost += max(expected - distinct, int(wrong))
        found.duplicated += count - distinct
    found.lost += sum(count for count, _ in files.rows.values())
    return found


_ROWS = """
SELECT sensor_id, count(*), count(DISTINCT ts), CAST(sum(value) AS bigint)
  FROM raw_readings GROUP BY sensor_id
"""
_LOADED = "SELECT key_text, finished_at FROM files WHERE state = 'loaded'"
_IN_HAND = """
SELECT 1 FROM pg_stat_activity
 WHERE client_addr = CAST(%s AS inet) AND application_name LIKE 'sensorflow load %%'
"""


def _loaded(stand: HostsFleet) -> dict[str, float]:
    return {name: at.timestamp() for name, at in stand.ask(_LOADED)}


def _strike(
    stand: HostsFleet, files: Generator, strike: HostCut, before_return: Callable[[], None]
) -> tuple[float, float]:
    """When it struck, and when the hosts were back."""
    names = [_name(stand, name) for name in strike.hosts]
    worker = next((name for name in names if name.startswith("worker")), None)
    if strike.in_upload:
        assert stand.store is not None
        with stand.store.watched() as watching:
            files.drop(UPLOADED)
            at = wait_for_upload(watching)
    else:
        _large(stand, files, stand.hosts[worker].address if worker else None)
        at = time.time()
    for name in names:
        (stand.hosts[name].kill if strike.kill else stand.hosts[name].cut)()
    files.flow(at + strike.seconds)
    before_return()
    for name in names:
        stand.start_again(name) if strike.kill else stand.hosts[name].repair()
    return at, time.time()


def _name(stand: HostsFleet, name: str) -> str:
    if name not in ("daemon", "standby"):
        return name
    ((owner,),) = stand.ask("SELECT owner FROM intake_leases")
    active = str(owner).partition("@")[2].partition(":")[0]
    return active if name == "daemon" else ({"daemon", "standby"} - {active}).pop()


def _large(stand: HostsFleet, files: Generator, address: str | None) -> None:
    """Have large files in the middle of their load, on the host of this address."""
    deadline = time.time() + 60
    while time.time() < deadline:
        for _ in range(MANY):
            files.drop(LARGE)
        looked = time.time()
        while time.time() < looked + 8:
            if address is None and time.time() > looked + 1.5:
                return
            if address is not None and stand.ask(_IN_HAND, address):
                return
            time.sleep(0.02)
    raise AssertionError(f"no worker at {address} loads anything\n{stand.logs()}")


def _wait(stand: HostsFleet, files: Generator) -> int:
    """Until all files are loaded; returns how many are not, after all."""
    deadline = time.time() + MOST
    while (left := len(files.dropped.keys() - _loaded(stand).keys())) and time.time() < deadline:
        time.sleep(0.5)
    return left


def _takeover(
    stand: HostsFleet, files: Generator, strike: HostCut, began: int, at: float, back: float
) -> float:
    """Of a daemon's or worker's host: until each file was loaded that was in hand or came meanwhile. Of a
    server's: from its return until a file was loaded that came after it."""
    loaded, serves = _loaded(stand), strike.hosts[0] not in RUNS
    late = 0.0
    for name, dropped in list(files.dropped.items())[began:]:
        if serves and dropped < back:
            continue
        since = max(dropped, at)
        late = max(late, loaded.get(name, math.inf) - since)
        if serves:
            return loaded.get(name, math.inf) - back
    return late
