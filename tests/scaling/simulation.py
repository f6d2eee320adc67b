"""A simulated fleet: nodes with CPUs, a database that serves so many loads at once, and files that
arrive.

Time advances in steps. The policy of each node decides its number of processes, from what such a
node could measure. `Celery` is the rule of Celery's own autoscaler.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sensorflow.core.scaling import Load, Node, ProcessRange, Scaler

STEP = 0.5
"""Seconds of a step."""
BUSY_LOOK, IDLE_LOOK = 1.0, 5.0
"""Seconds between two decisions of our policy while its node has messages, and while it has none. A
message that arrives causes a decision too."""
START = 1.0
"""Seconds until a new process works."""
CPU_SHARE = 0.6
"""Share of a process's time in which it needs a CPU of its node. In the rest it waits for the
database."""
SEEN = 10.0
"""Seconds over which the rate of arrivals is measured."""


@dataclass(frozen=True)
class World:
    """The surroundings. arrivals: (second, number of files, seconds of work of each), in order.
    loads: how many files the database loads at once at full speed, by time; more slow each other
    down. 0.0: an outage. length: seconds of the day. nodes, most, cpus: number of nodes; the
    maximum of processes and the CPUs of each."""

    arrivals: Sequence[tuple[float, int, float]]
    length: float
    loads: Callable[[float], float] = lambda _: math.inf
    nodes: int = 1
    most: int = 4
    cpus: int = 2


@dataclass
class Member:
    """A node of the simulated fleet. ready: when each of its processes is able to work."""

    ready: list[float] = field(default_factory=lambda: [0.0])
    running: float = 0.0

    @property
    def present(self) -> int:
        return len(self.ready)

    def resize(self, now: float, count: int) -> None:
        self.ready += [now + START] * (count - self.present)
        del self.ready[count:]

    def able(self, now: float) -> int:
        return sum(at <= now for at in self.ready)


@dataclass
class Outcome:
    """backlog: integral of the number of unfinished files, file-seconds. workers: integral of the
    number of processes, seconds. changes: number of changes of a node's size. idle: process-seconds
    of nodes without work while another node had more files than processes. sizes: (time, wanted,
    present) at changes. left: unfinished files at the end."""

    backlog: float = 0.0
    workers: float = 0.0
    changes: int = 0
    peak: int = 0
    left: int = 0
    sizes: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)


class Ours:
    """The policy of `core.scaling`, with one scaler per node."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scalers = [Scaler() for _ in range(world.nodes)]
        self._last = [-IDLE_LOOK * n / world.nodes for n in range(world.nodes)]
        self._limits = [world.most] * world.nodes

    def size(self, number: int, now: float, fleet: Fleet) -> int:
        member = fleet.members[number]
        is_busy = fleet.received[number] or fleet.reserved(number)
        if now - self._last[number] < (BUSY_LOOK if is_busy else IDLE_LOOK):
            return member.present
        self._last[number] = now
        node = Node(1, self._world.most, member.present, self._world.cpus, fleet.cpu_share(number))
        peers = {
            str(n): ProcessRange(1, self._limits[n])
            for n in range(self._world.nodes)
            if n != number
        }
        self._limits[number] = node.limit
        load = (
            None
            if fleet.is_out
            else Load(fleet.waiting, fleet.waiting, fleet.arriving(), fleet.blocked)
        )
        present = sum(m.present for m in fleet.members)
        scaler = self._scalers[number]
        return scaler.share(scaler.fleet(now, load, present), str(number), node, peers)


class Celery:
    """The rule of Celery 5.7: as many processes as messages that the node has received, at most its
    maximum, and fewer once no process was added and no message has arrived for `KEEP` seconds."""

    KEEP = 30.0

    def __init__(self, world: World) -> None:
        self._world = world
        self._active = [0.0] * world.nodes

    def size(self, number: int, now: float, fleet: Fleet) -> int:
        member, held = fleet.members[number], fleet.reserved(number)
        if fleet.received[number]:
            self._active[number] = now
        if (up := min(held, self._world.most)) > member.present:
            self._active[number] = now
            return up
        down = max(held, 1)
        if down < member.present and now - self._active[number] > self.KEEP:
            return down
        return member.present


class Fleet:
    """The state of the simulation. A node receives at most `most` messages ahead, those it works on
    included."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.members = [Member() for _ in range(world.nodes)]
        self.queue: deque[float] = deque()  # seconds of work left of each file that no node has
        self.held: list[deque[float]] = [deque() for _ in range(world.nodes)]
        self.received = [False] * world.nodes
        self.is_out = False
        self.blocked = 0.0
        self.waiting = 0.0
        self._recent: deque[tuple[float, float]] = deque()
        self._arrived = 0.0
        self._turn = 0

    def arrive(self, now: float, files: int, each: float) -> None:
        self.queue.extend([each] * files)
        self._recent.append((now, files * each))
        self._arrived += files * each
        self.waiting += files * each

    def arriving(self) -> float:
        return self._arrived / SEEN

    def reserved(self, number: int) -> int:
        return len(self.held[number])

    def cpu_share(self, number: int) -> float:
        return min(1.0, self.members[number].running / self.world.cpus)

    def unfinished(self) -> int:
        return len(self.queue) + sum(map(len, self.held))

    def step(self, now: float) -> None:
        """Let all processes work for a step."""
        while self._recent and now - self._recent[0][0] > SEEN:
            self._arrived -= self._recent.popleft()[1]
        self.received = [False] * self.world.nodes
        self._turn += 1  # the broker serves the nodes in turn
        for _ in range(self.world.most):
            for nth in range(self.world.nodes):
                number = (nth + self._turn) % self.world.nodes
                held = self.held[number]
                if self.queue and len(held) < self.world.most:
                    held.append(self.queue.popleft())
                    self.received[number] = True
        capacity = self.world.loads(now)
        self.is_out = capacity == 0.0
        able = [min(m.able(now), len(h)) for m, h in zip(self.members, self.held, strict=True)]
        total = sum(able)
        crowd = max(0.0, total - capacity)
        self.blocked = crowd / total if total else 0.0
        # sessions that wait for each other cost the database something
        database = min(1.0, capacity / total) / (1 + 0.05 * crowd) if total else 1.0
        for number, (member, held, count) in enumerate(
            zip(self.members, self.held, able, strict=True)
        ):
            speed = min(1.0, self.world.cpus / (count * CPU_SHARE)) * database if count else 0.0
            member.running = count * CPU_SHARE * database
            self.received[number] |= self._work(held, count, speed)

    def _work(self, held: deque[float], count: int, speed: float) -> bool:
        """Returns whether the node received another file."""
        received = False
        left = [STEP * speed] * count
        for lane in range(count):
            while left[lane] > 0 and len(held) > lane:
                done = min(left[lane], held[lane])
                held[lane] -= done
                left[lane] -= done
                self.waiting -= done
                if held[lane] > 1e-12:
                    break
                del held[lane]
                if self.queue:
                    held.append(self.queue.popleft())
                    received = True
        return received


def run(world: World, policy: Ours | Celery) -> Outcome:
    fleet, made, arrivals = Fleet(world), Outcome(), deque(world.arrivals)
    for tick in range(round(world.length / STEP)):
        now = tick * STEP
        while arrivals and arrivals[0][0] <= now:
            fleet.arrive(now, *arrivals.popleft()[1:])
        fleet.step(now)
        sizes = tuple(policy.size(number, now, fleet) for number in range(world.nodes))
        for member, size in zip(fleet.members, sizes, strict=True):
            if size != member.present:
                made.changes += 1
                member.resize(now, size)
        if not made.sizes or made.sizes[-1][1] != sizes:
            made.sizes.append((now, sizes))
        made.backlog += fleet.unfinished() * STEP
        made.workers += sum(sizes) * STEP
        made.peak = max(made.peak, sum(sizes))
    made.left = fleet.unfinished()
    return made
