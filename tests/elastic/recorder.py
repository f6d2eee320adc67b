"""Samples of everything that could grow in a fleet."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chaos.scene import Observer
from elastic.brokers import BrokerSeen, database
from elastic.heaps import heap
from elastic.processes import connections, ours, usage
from elastic.slopes import Series
from elastic.stand import Stand
from servers import RabbitMQ

SMALLEST = 36
"""Bytes of the smallest object that Python can keep for a file: an integer, and its place in a
container."""
YOUNG = 60.0
"""Seconds for which a process has still to import and to allocate what it needs."""
LIFE = 0.5
"""Share of a run that a process must have lived to be judged. A child's heap settles in its first ten
minutes, by two megabytes, and a pool that shrinks and grows has new children again and again."""
OBJECTS = "Python objects"
OBJECTS_PER_FILE = 0.1
"""Growth of the number of Python objects of a process. A child of a pool gets a part of the files."""
SLOWLY, LONG = 6, 300.0
"""Samples of processes for each one of servers, in a run of more than so many seconds; else two."""
FLOWERS = 11_000
"""Files after which Flower has as many tasks as it keeps."""
PROPORTIONAL = "memory, shared pages by parts"
"""Of a process's memory: it changes with the number of children that share pages, and is no leak."""
PRIVATE = "private memory"
"""Of a pool's parent, it changes in the same way: its resident memory is judged."""
LOG_BYTES = 512 * 1024**2
"""Bytes of the log of quorum queues, the entries of which RabbitMQ has in memory until it begins a new
one."""
FEWEST = 3
"""Samples that are taken however slow the machine is."""
PER_FILE = "log bytes of a file"
PAGES = 8 * 8192
"""Bytes by which a table that stays small may grow."""
IN_WORK = ("broker messages", "broker unacked")
"""None of these is left when no file waits."""


@dataclass
class Recorder:
    """series: by name. files: (second, finished files). length: seconds that are to be recorded."""

    stand: Stand
    observer: Observer
    length: float
    series: dict[str, Series] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._broker = BrokerSeen(self.stand)
        self._port = urlsplit(self.stand.fleet.env["SENSORFLOW_BROKER_URL"]).port or 0
        self._born: dict[int, float] = {}
        self.samples = 0
        self._log = (0.0, 0.0, 0)

    def close(self) -> None:
        self._broker.close()

    def sample(self, files_per_second: float, finished: int) -> None:
        """Take a sample. files_per_second: of the load, which says what a byte per file is in an hour.
        finished: number of files."""
        now = time.monotonic()
        for name, unit, value in self._processes(now, finished):
            most = self._most_of_process(name, unit, files_per_second)
            self._add(name, unit, most, now, value)
        if self.samples % (SLOWLY if self.length > LONG else 2) == 0:
            for name, unit, value in self._servers():
                self._add(name, unit, self._most(name, unit, files_per_second), now, value)
            self._logs(now, finished)
        self.samples += 1

    def left(self, timeout: float) -> list[str]:
        """The messages that an idle fleet's broker still has after so many seconds, or why it does not
        tell."""
        deadline = time.monotonic() + timeout
        while (left := self._messages()) and time.monotonic() < deadline:
            time.sleep(1.0)
        return left

    def _messages(self) -> list[str]:
        try:
            facts = list(self._broker.facts())
        except Exception as error:  # noqa: BLE001 - half an hour's measurements are not lost for it
            return [f"broker: {type(error).__name__}: {error}"]
        return [f"{name}: {value:g} left" for name, _, value in facts if name in IN_WORK and value]

    @property
    def enough(self) -> bool:
        """Whether everything has been measured. What a file costs is measured when one is finished
        between two samples of servers."""
        return self.samples >= FEWEST and PER_FILE in self.series

    def leaks(self) -> list[str]:
        """The series that grow, of those that are long enough."""
        least = LIFE * self.length
        return sorted(
            n for n, found in self.series.items() if found.is_leak and found.spans > least
        )

    def _shares(self, name: str) -> bool:
        """Whether the value changes with the number of processes that share pages."""
        process, _, what = name.rpartition(": ")
        return what == PROPORTIONAL or (what == PRIVATE and process in self.stand.nodes)

    def _most_of_process(self, name: str, unit: str, files_per_second: float) -> float:
        """What is a leak of a process's series."""
        if self._shares(name):
            return math.inf
        if name.endswith(OBJECTS):
            return OBJECTS_PER_FILE * files_per_second * 3600
        return SMALLEST * files_per_second * 3600 if unit == "B" else self._one()

    def _one(self) -> float:
        """Growth per hour of less than one within the run: nothing is counted up."""
        return 3600 / self.length

    def _most(self, name: str, unit: str, files_per_second: float) -> float:
        """What is a leak of a server's series. Dead tuples and bytes of tables come and go with
        vacuum: so many pages within the run. The broker's memory: as of a process, but for the log
        of RabbitMQ."""
        if name == "broker memory":
            quorum = isinstance(self.stand.broker, RabbitMQ)
            return LOG_BYTES * self._one() if quorum else SMALLEST * files_per_second * 3600
        if name.endswith("dead tuples"):
            return 1000 * self._one()
        if name.endswith("of a row"):
            return 16 * self._one()
        return (PAGES if unit == "B" else 1) * self._one()

    def _add(self, name: str, unit: str, most: float, at: float, value: float) -> None:
        self.series.setdefault(name, Series(unit, most)).add(at, value)

    def _processes(self, now: float, finished: int) -> Iterator[tuple[str, str, float]]:
        """Of each process; those of a pool, which come and go, each by its pid."""
        for name, pids in ours(self.stand.fleet).items():
            if name == "flower" and finished < FLOWERS:
                continue
            for pid in pids:
                found = usage(pid)
                if (
                    now - self._born.setdefault(pid, now) < min(YOUNG, self.length / 10)
                    or not found
                ):
                    continue
                shown = f"{name} {pid}" if name.endswith("child") else name
                yield f"{shown}: {PRIVATE}", "B", float(found.private)
                yield f"{shown}: {PROPORTIONAL}", "B", float(found.proportional)
                yield f"{shown}: resident memory", "B", float(found.resident)
                if (inside := heap(self.stand.fleet.project, pid)) is not None:
                    yield f"{shown}: allocated memory", "B", float(inside.allocated)
                    yield f"{shown}: {OBJECTS}", "", float(inside.blocks)
                yield f"{shown}: files", "", float(found.files)
                yield f"{shown}: threads", "", float(found.threads)
                yield f"{shown}: broker connections", "", float(connections(pid, self._port))

    def _servers(self) -> Iterator[tuple[str, str, float]]:
        for ask in (lambda: database(self.observer), self._broker.facts, self._broker.consumers):
            try:
                yield from ask()
            except Exception as error:  # noqa: BLE001 - a sample is missing, and the run says so
                self.errors.append(f"{type(error).__name__}: {error}")

    def _logs(self, now: float, finished: int) -> None:
        """Bytes that the fleet has written to its logs for each file since the sample before."""
        size = sum(path.stat().st_size for path in self.stand.fleet.project.glob("*.log"))
        before, _, files = self._log
        if self.samples and finished > files:
            self._add(
                PER_FILE,
                "B",
                50 * self._one(),
                now,
                (size - before) / (finished - files),
            )
        self._log = (float(size), now, finished)


def table(series: dict[str, Series], leaks: Collection[str]) -> list[str]:
    """A line for each series that is long enough: mean, growth per hour, whether it is a leak."""
    lines = [f"  {'':52} {'mean':>12} {'an hour':>12} {'error':>10} {'limit':>10} {'minutes':>8}"]
    for name, found in sorted(series.items()):
        if (line := found.slope()) is None:
            continue
        scale = 1e6 if found.unit == "B" and abs(line.mean) >= 1e5 else 1.0
        unit = "MB" if scale > 1 else found.unit
        numbers = (line.mean, line.per_hour, line.error, found.most)
        cells = [f"{value / scale:,.2f}" for value in numbers]
        lines.append(
            f"  {name:52} {cells[0]:>9} {unit:2} {cells[1]:>12} {cells[2]:>10} {cells[3]:>10}"
            f" {found.spans / 60:8.1f}" + ("  LEAK" if name in leaks else "")
        )
    return lines
