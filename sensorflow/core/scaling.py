"""Computes how many worker processes the fleet needs, and how many of them each node runs. The fleet is all
workers; a node is one worker with its processes.

Each node computes the size of the whole fleet from the same ledger and heartbeats, and runs its own share
of the processes. No node is a leader, and nodes exchange no messages.

The size of the fleet depends on the waiting work, measured in seconds of one process. It does not depend on
the number of messages, because a node sees only the messages that it has already received (as Celery's own
autoscaler does).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

DRAIN_SECONDS = 3.0
"""Target time, in seconds, within which the fleet finishes the waiting work."""
SHRINK_AFTER_SECONDS = 15.0
"""A node ends processes only after fewer processes have been sufficient for this number of seconds.
Therefore a node does not end processes in a pause between two bursts."""
FILE_SECONDS, BYTE_SECONDS = 0.02, 1.5e-7
"""Assumed seconds of work per file and per byte, for a source of which no file was finished recently."""
FIXED_FILE_SECONDS = 0.005
"""The part of the work of a file, in seconds, that does not depend on the size of the file: claim, commit
and history."""
BLOCKED_SHARE, FREE_SHARE = 0.6, 0.3
"""The database is overloaded if more than the share `BLOCKED_SHARE` of the sessions that load files wait
for a lock or a disk. It can serve more sessions if less than the share `FREE_SHARE` of them wait."""
SETTLE_SECONDS = 4.0
"""Seconds after which the effect of a reduced number of processes on the database can be measured."""
PROBE_SECONDS = 15.0
"""After an overload of the database, the number of processes that may use it grows by one each time this
number of seconds has passed."""
PROCESSES_PER_CPU = 2
"""Maximum number of processes per CPU while a node's CPUs are busy. It is more than one, because a process
leaves its CPU idle while it waits for the database."""
BUSY_CPU = 0.95
"""The CPUs of a node count as busy if at least this share (0 to 1) of their time is used."""
RESERVED_BYTES = 256 * 1024**2
"""Memory in bytes that stays free on a node."""


@dataclass(frozen=True)
class Rate:
    """The work of recently finished files of a source. files: number of these files. bytes: their total
    size. seconds: the total time of processing them."""

    files: int
    bytes: int
    seconds: float

    def work(self, files: int, size: int) -> float:
        """Return the estimated seconds of work for other files of this source. files: number of these
        files. size: their total size in bytes."""
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
    """The work of the fleet at one moment, in seconds of one process.

    waiting: the work for all files that are not finished. loading: the part of `waiting` that loads
    readings, so that its speed depends on the database. arriving: the work that arrives per second.
    blocked: of the database sessions that load files, the share (0 to 1) that waits for a lock or a disk;
    0.0 if no session loads files.
    """

    waiting: float = 0.0
    loading: float = 0.0
    arriving: float = 0.0
    blocked: float = 0.0


@dataclass(frozen=True)
class Node:
    """A node and its resources. least, most: the configured range of the number of its processes. present:
    the number of processes that it runs now.

    cpus: number of CPUs that it may use. busy: the share (0 to 1) of the time of these CPUs that is used.
    free_bytes: available memory. process_bytes: memory of one process.
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
        """The number of processes that this node can run now. It is never less than `least`."""
        limit = self.most
        if self.busy >= BUSY_CPU:
            limit = min(limit, max(self.present, math.ceil(self.cpus * PROCESSES_PER_CPU)))
        if not math.isinf(self.free_bytes):
            room = (self.free_bytes - RESERVED_BYTES) / max(1.0, self.process_bytes)
            limit = min(limit, self.present + math.floor(room))
        return max(self.least, limit)


@dataclass(frozen=True)
class ProcessRange:
    """The range of the number of processes of one node. limit: see `Node.limit`."""

    least: int
    limit: int


def work_of(waiting: Mapping[str, tuple[int, int]], rates: Mapping[str, Rate]) -> float:
    """Return the estimated seconds of work for the waiting files. waiting: source -> (number of files,
    their total size in bytes). rates: source -> its `Rate`."""
    return sum(
        rates.get(source, UNKNOWN).work(files, size) for source, (files, size) in waiting.items()
    )


@dataclass(frozen=True)
class Need:
    """The number of processes that the fleet needs; it may be fractional. loaders: processes for the work
    `Load.loading`. others: processes for the remaining work."""

    loaders: float = 0.0
    others: float = 0.0

    def processes(self, most_loaders: float = math.inf) -> int:
        """Return the total as a whole number. most_loaders: the number of processes that the database can
        serve."""
        return math.ceil(self.others + min(self.loaders, most_loaders) - 1e-9)


def need(load: Load) -> Need:
    """Return the number of processes that can do the arriving work as fast as it arrives, and in addition
    finish the waiting work in `DRAIN_SECONDS`."""
    share = load.loading / load.waiting if load.waiting else 1.0
    processes = load.arriving + load.waiting / DRAIN_SECONDS
    return Need(processes * share, processes * (1 - share))


def distribute(total: int, nodes: Mapping[str, ProcessRange]) -> dict[str, int]:
    """Distribute `total` processes among the nodes. Returns name of the node -> number of processes.

    Each node gets its minimum. The other processes are assigned one by one, each to the node that uses the
    smallest part of its limit. If this applies to several nodes, the first by name is chosen. The result
    depends only on the arguments, so all nodes compute the same result.
    """
    given = {name: node.least for name, node in sorted(nodes.items())}
    for _ in range(total - sum(given.values())):
        free = [name for name in given if given[name] < nodes[name].limit]
        if not free:
            break
        given[min(free, key=lambda name: given[name] / nodes[name].limit)] += 1
    return given


class LoaderLimit:
    """Limits the number of processes that may use the database. While the database is overloaded, the limit
    falls by a quarter every `SETTLE_SECONDS`. While the database can serve more sessions, it grows by one
    every `PROBE_SECONDS`."""

    def __init__(self) -> None:
        self._limit, self._changed = math.inf, -math.inf

    def update(self, now: float, blocked: float, present: int) -> float:
        """Return the limit after a new measurement; infinity if there is no limit. now: seconds of a
        monotonic clock. blocked: see `Load`. present: number of processes of the fleet."""
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
    """The maximum of a value within the last `seconds` seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float) -> float:
        """Add a value, and return the maximum. now: seconds of a monotonic clock."""
        while self._seen and self._seen[-1][1] <= value:
            self._seen.pop()
        self._seen.append((now, value))
        while now - self._seen[0][0] > self._seconds:
            self._seen.popleft()
        return self._seen[0][1]


class Scaler:
    """Decides how many processes a node runs. The number grows at once if more processes are needed. It
    falls if fewer processes have been sufficient for `shrink_after` seconds, and at once if the database is
    overloaded."""

    def __init__(self, shrink_after: float = SHRINK_AFTER_SECONDS) -> None:
        self._loaders, self._others = Maximum(shrink_after), Maximum(shrink_after)
        self._limit = LoaderLimit()

    def fleet(self, now: float, load: Load | None, present: int) -> int:
        """Return the number of processes that the whole fleet needs.

        now: seconds of a monotonic clock. load: the work of the fleet; None if the ledger is unavailable,
        because then no process can finish a file. present: number of processes of all nodes.
        """
        now_ = Need() if load is None else need(load)
        recent = Need(self._loaders.add(now, now_.loaders), self._others.add(now, now_.others))
        blocked = 0.0 if load is None else load.blocked
        return recent.processes(self._limit.update(now, blocked, present))

    @staticmethod
    def share(fleet: int, me: str, node: Node, peers: Mapping[str, ProcessRange]) -> int:
        """Return the number of processes that the node `me` runs. fleet: the number that the whole fleet
        needs. peers: the other nodes, by name."""
        return distribute(fleet, {**peers, me: ProcessRange(node.least, node.limit)})[me]
