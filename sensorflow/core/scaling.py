"""How many worker processes a fleet needs, and which share of them each node runs.

Every node computes the size of the whole fleet from the same ledger and heartbeats, and takes its
own share. No node leads, and no message is exchanged.

The size of the fleet follows the work that waits, in seconds of one process, not the number of
messages: Celery's own autoscaler sees only the messages that its node has already received.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

DRAIN_SECONDS = 3.0
"""Seconds within which the fleet should finish the work that waits."""
SHRINK_AFTER_SECONDS = 15.0
"""Seconds for which fewer processes must suffice before a node ends some. A pause between two
bursts then does not end processes that the next burst needs."""
FILE_SECONDS, BYTE_SECONDS = 0.02, 1.5e-7
"""Assumed seconds of work per file and per byte of a source of which no file has been processed
recently."""
FIXED_FILE_SECONDS = 0.005
"""Seconds of each file's work that do not depend on its size: claim, commit, history."""
BLOCKED_SHARE, FREE_SHARE = 0.6, 0.3
"""The database is overloaded if more than the first share of its loading sessions waits for a lock
or a disk. It can serve more sessions if less than the second share waits."""
SETTLE_SECONDS = 4.0
"""Seconds until the effect of fewer processes on the database can be measured."""
PROBE_SECONDS = 15.0
"""Seconds after which one more process may use a database that was overloaded."""
PROCESSES_PER_CPU = 2
"""Processes per CPU that a node may run while its CPUs are busy. A process also waits for the
database, so one per CPU would leave the CPU idle."""
BUSY_CPU = 0.95
"""Share of a node's CPU time in use from which its CPUs count as busy."""
RESERVED_BYTES = 256 * 1024**2
"""Memory that a node keeps free."""


@dataclass(frozen=True)
class Rate:
    """What recently finished files of a source have cost. seconds: of work, in total. bytes: total
    size."""

    files: int
    bytes: int
    seconds: float

    def work(self, files: int, size: int) -> float:
        """Returns the estimated seconds of work of other files of this source. size: their total
        bytes."""
        if not self.files:
            return files * FILE_SECONDS + size * BYTE_SECONDS
        each = min(FIXED_FILE_SECONDS, self.seconds / self.files)
        rest = max(0.0, self.seconds - each * self.files)
        if not self.bytes:
            return files * self.seconds / self.files
        return files * each + size * rest / self.bytes


UNKNOWN = Rate(0, 0, 0.0)


@dataclass(frozen=True)
class Load:
    """Work of the fleet at one moment.

    waiting: seconds of work of all files that are not finished. loading: how much of it is for the
    stage `load`, which only the database limits. arriving: seconds of work that arrive per second.
    blocked: share of the sessions that load files, and wait for a lock or a disk of the database;
    0.0 without such sessions.
    """

    waiting: float = 0.0
    loading: float = 0.0
    arriving: float = 0.0
    blocked: float = 0.0


@dataclass(frozen=True)
class Node:
    """The resources of a worker. least, most: the range of its number of processes. present: how
    many it runs.

    cpus: number of CPUs that it may use. busy: share of their time in use, 0.0 to 1.0. free_bytes:
    available memory. process_bytes: memory of one process.
    """

    least: int
    most: int
    present: int
    cpus: float = math.inf
    busy: float = 0.0
    free_bytes: float = math.inf
    process_bytes: float = 1.0

    @property
    def limit(self) -> int:
        """Returns how many processes this node can run now. Never below `least`."""
        limit = self.most
        if self.busy >= BUSY_CPU:
            limit = min(limit, max(self.present, math.ceil(self.cpus * PROCESSES_PER_CPU)))
        if not math.isinf(self.free_bytes):
            room = (self.free_bytes - RESERVED_BYTES) / max(1.0, self.process_bytes)
            limit = min(limit, self.present + math.floor(room))
        return max(self.least, limit)


@dataclass(frozen=True)
class Share:
    """The range of processes of one node of the fleet. limit: see `Node.limit`."""

    least: int
    limit: int


def work_of(waiting: Mapping[str, tuple[int, int]], rates: Mapping[str, Rate]) -> float:
    """Returns the estimated seconds of work. waiting: source -> number and total bytes of files."""
    return sum(
        rates.get(source, UNKNOWN).work(files, size) for source, (files, size) in waiting.items()
    )


@dataclass(frozen=True)
class Need:
    """How many processes the fleet needs, as fractions. loaders: for work that loads readings,
    which the database limits. others: for other work."""

    loaders: float = 0.0
    others: float = 0.0

    def processes(self, most_loaders: float = math.inf) -> int:
        """Returns the whole number of processes. most_loaders: how many the database can serve."""
        return math.ceil(self.others + min(self.loaders, most_loaders) - 1e-9)


def need(load: Load) -> Need:
    """Returns the processes that keep up with the work that arrives, and finish what waits in
    `DRAIN_SECONDS`."""
    share = load.loading / load.waiting if load.waiting else 1.0
    processes = load.arriving + load.waiting / DRAIN_SECONDS
    return Need(processes * share, processes * (1 - share))


def shares(total: int, nodes: Mapping[str, Share]) -> dict[str, int]:
    """Divide the processes of the fleet among its nodes. Returns the number of each node.

    Every node gets its minimum. The others go one by one to the node that uses the smallest part of
    its limit, the first by name if several do. The result depends on the arguments alone, so all
    nodes agree.
    """
    given = {name: share.least for name, share in sorted(nodes.items())}
    for _ in range(total - sum(given.values())):
        free = [name for name in given if given[name] < nodes[name].limit]
        if not free:
            break
        given[min(free, key=lambda name: given[name] / nodes[name].limit)] += 1
    return given


class LoaderLimit:
    """How many processes may use the database. It falls by a quarter while the database is
    overloaded, and grows by one every `PROBE_SECONDS` while it is not."""

    def __init__(self) -> None:
        self._limit, self._changed = math.inf, -math.inf

    def update(self, now: float, blocked: float, present: int) -> float:
        """Returns the limit after a new measurement. blocked: see `Load`. present: processes of the
        fleet."""
        if blocked > BLOCKED_SHARE and present > 1:
            if now - self._changed >= SETTLE_SECONDS:
                self._limit, self._changed = max(1.0, min(self._limit, present) * 0.75), now
        elif math.isinf(self._limit):
            pass
        elif blocked < FREE_SHARE and now - self._changed >= PROBE_SECONDS:
            self._limit, self._changed = self._limit + 1.0, now
            if self._limit > 2 * present + 1:
                self._limit = math.inf
        return self._limit


class Maximum:
    """The maximum of a value within the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float) -> float:
        """Add the value at a time, and return the maximum."""
        while self._seen and self._seen[-1][1] <= value:
            self._seen.pop()
        self._seen.append((now, value))
        while now - self._seen[0][0] > self._seconds:
            self._seen.popleft()
        return self._seen[0][1]


class Scaler:
    """Decides the number of processes of one node. It adds processes at once, and ends some after
    fewer have sufficed for `shrink_after` seconds. If the database is overloaded, it ends some at
    once."""

    def __init__(self, shrink_after: float = SHRINK_AFTER_SECONDS) -> None:
        self._loaders, self._others = Maximum(shrink_after), Maximum(shrink_after)
        self._limit = LoaderLimit()

    def fleet(self, now: float, load: Load | None, present: int) -> int:
        """Returns the number of processes that the whole fleet needs.

        now: seconds of a monotonic clock. load: None if the ledger is unavailable, so that no
        process can finish a file. present: number of processes of all nodes.
        """
        now_ = Need() if load is None else need(load)
        recent = Need(self._loaders.add(now, now_.loaders), self._others.add(now, now_.others))
        blocked = 0.0 if load is None else load.blocked
        return recent.processes(self._limit.update(now, blocked, present))

    @staticmethod
    def share(fleet: int, me: str, node: Node, peers: Mapping[str, Share]) -> int:
        """Returns the number of processes that a node should run. me: its name. peers: the other
        nodes."""
        return shares(fleet, {**peers, me: Share(node.least, node.limit)})[me]
