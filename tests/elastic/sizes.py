"""The sizes of the pools of a fleet, second by second, and what they say."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from chaos.scene import Observer
from fleet import Fleet

EVERY = 0.25
"""Seconds between two samples."""
HEARTBEATS = "SELECT pid, state FROM heartbeats WHERE role = 'worker'"
WAITING = "SELECT count(*) FROM files WHERE state IN ('pending', 'running')"


@dataclass(frozen=True)
class Sample:
    """at: seconds since 1970. present: node -> living children. children, limit: of the node's
    heartbeat. wanted: processes of the whole fleet, the largest of what the nodes report. waiting:
    unfinished files."""

    at: float
    present: dict[str, int]
    children: dict[str, int]
    limit: dict[str, int]
    wanted: int
    waiting: int

    @property
    def total(self) -> int:
        return sum(self.present.values())


@dataclass
class Watched:
    """samples: in order. owners: pid of a child -> its node."""

    samples: list[Sample] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)

    @property
    def last(self) -> Sample | None:
        return self.samples[-1] if self.samples else None

    def peak(self) -> int:
        return max((sample.total for sample in self.samples), default=0)

    def reached(self, since: float, most: int) -> float | None:
        """Seconds until all nodes had as many processes as their CPUs and memory allow. most: the
        sum of their maxima."""
        for sample in self.samples:
            allowed = min(most, sum(sample.limit.values()) or most)
            if sample.at >= since and sample.total >= allowed:
                return sample.at - since
        return None

    def returned(self, since: float, least: int) -> float | None:
        """Seconds until all nodes were at their minimum, and stayed there until now. least: the sum
        of their minima."""
        back = None
        for sample in self.samples:
            if sample.at < since or sample.total > least:
                back = None
            elif back is None:
                back = sample.at - since
        return back

    def turns(self) -> dict[str, int]:
        """Node -> how often its size changed its direction. Up and down is one."""
        nodes: dict[str, list[int]] = defaultdict(list)
        for sample in self.samples:
            for node, count in sample.children.items():
                nodes[node].append(count)
        return {node: turns(sizes) for node, sizes in nodes.items()}


def turns(sizes: Sequence[int]) -> int:
    """Number of changes of direction of a series."""
    steps = [b - a for a, b in itertools.pairwise(sizes) if a != b]
    return sum((a > 0) != (b > 0) for a, b in itertools.pairwise(steps))


class Watch:
    """A thread that samples the sizes of a fleet's workers."""

    def __init__(self, fleet: Fleet, nodes: Sequence[str], every: float = EVERY) -> None:
        self._fleet, self._nodes, self._every = fleet, nodes, every
        self._observer = Observer(fleet.database)
        self.watched = Watched()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sizes")

    def __enter__(self) -> Watched:
        self._thread.start()
        return self.watched

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._observer.close()

    def _run(self) -> None:
        while not self._end.wait(self._every):
            with suppress(Exception):  # a server or a worker may be away just now
                self.watched.samples.append(self._sample())

    def _sample(self) -> Sample:
        present, children, limit, wanted = {}, {}, {}, 0
        states = dict(self._observer.rows(HEARTBEATS))
        for node in self._nodes:
            pids = self._fleet.children(node)
            self.watched.owners |= dict.fromkeys(pids, node)
            present[node] = len(pids)
            process = self._fleet.running.get(node)
            if process is not None and (state := states.get(process.pid)):
                children[node] = int(state.get("children", 0))
                limit[node] = int(state.get("limit", 0))
                wanted = max(wanted, int(state.get("wanted", 0)))
        waiting = int(self._observer.rows(WAITING)[0][0])
        return Sample(time.time(), present, children, limit, wanted, waiting)


def longest_idle(commits: Sequence[tuple[float, str]], nodes: Sequence[str]) -> dict[str, float]:
    """Node -> seconds of its longest pause between two commits while files waited. commits:
    (second, node) in order, from the first to the last file of a burst, without the last ones that
    no longer fill all nodes."""
    if not commits:
        return dict.fromkeys(nodes, 0.0)
    first, last = commits[0][0], commits[-1][0]
    of: dict[str, list[float]] = {node: [first] for node in nodes}
    for at, node in commits:
        of.setdefault(node, [first]).append(at)
    return {
        node: max(b - a for a, b in itertools.pairwise([*times, last]))
        for node, times in of.items()
    }
