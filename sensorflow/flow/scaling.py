"""Measure the work of the fleet and the peers of a worker, and decide its number of processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sensorflow.core.heartbeat import Heartbeat, Role
from sensorflow.core.scaling import Load, Node, Scaler, Share, work_of
from sensorflow.core.states import Stage
from sensorflow.errors import Transient
from sensorflow.ports.workload import OpenWork, Rates, Workload

RATES_SECONDS = 5.0
"""Seconds between two queries of the rates."""
SMOOTHING = 0.1
"""Weight of a new measurement in the moving average of the share of blocked sessions. The average is
needed, because a measurement shows only one moment."""


class FleetLedger(Workload, Protocol):
    """The operations of a ledger that the scaling of a fleet needs."""

    def heartbeats(self) -> list[Heartbeat]: ...


@dataclass(frozen=True)
class Plan:
    """The number of processes that the fleet and this node should run. wanted: number of processes that the
    whole fleet should run. present: number of processes that all nodes run now. mine: number of processes
    that this node should run. work: the waiting work, in seconds of one process. nodes: number of nodes,
    including this one."""

    wanted: int
    present: int
    mine: int
    work: float
    nodes: int


def load_of(open_work: Sequence[OpenWork], rates: Rates, blocked: float) -> Load:
    """Returns the load of the fleet. open_work: the unfinished files. blocked: see `Load`. All work counts
    as `loading`, except the stages `validate` and `transform` of large files, because any other task ends
    with a load."""
    waiting = loading = 0.0
    for part in open_work:
        seconds = work_of({part.source: (part.files, part.bytes)}, rates.cost)
        waiting += seconds
        if not part.large or part.stage is Stage.LOAD:
            loading += seconds
    return Load(waiting, loading, work_of(rates.arrived, rates.cost) / rates.seconds, blocked)


@dataclass(frozen=True)
class Waiting:
    """The waiting work of the fleet at one moment. parts: the unfinished files, in groups. rates: the rates
    from which the seconds of work are estimated. load: the resulting load."""

    parts: Sequence[OpenWork]
    rates: Rates
    load: Load


@dataclass
class WorkMeter:
    """Measures the waiting work of the fleet. large_bytes: see `FleetScaler`. Not thread-safe."""

    ledger: Workload
    large_bytes: int
    _rates: tuple[float, Rates] | None = None
    _blocked: float = 0.0

    def measure(self, now: float) -> Waiting:
        """Returns the waiting work. now: monotonic seconds. Raises Transient if the ledger is
        unavailable."""
        if self._rates is None or now - self._rates[0] >= RATES_SECONDS:
            self._rates = now, self.ledger.rates()
        self._blocked += SMOOTHING * (self.ledger.blocked() - self._blocked)
        parts, rates = self.ledger.open_work(self.large_bytes), self._rates[1]
        return Waiting(parts, rates, load_of(parts, rates, self._blocked))


@dataclass
class FleetScaler:
    """Decides the number of processes of one worker. me: the id of the worker's process, as in its
    heartbeats. large_bytes: a file of at least this size is processed in separate tasks for its stages. Not
    thread-safe."""

    ledger: FleetLedger
    me: str
    large_bytes: int
    scaler: Scaler = field(default_factory=Scaler)

    def __post_init__(self) -> None:
        self._meter = WorkMeter(self.ledger, self.large_bytes)

    def plan(self, node: Node) -> Plan:
        """Returns the plan for the fleet and this worker. node: this worker and its resources. If the
        ledger is unavailable, the plan is made for a fleet without waiting work and without other
        workers."""
        now = time.monotonic()
        load, peers, present = self._measure(now)
        here = present + node.present
        fleet = self.scaler.fleet(now, load, here)
        mine = self.scaler.share(fleet, self.me, node, peers)
        return Plan(fleet, here, mine, load.waiting if load else 0.0, len(peers) + 1)

    def _measure(self, now: float) -> tuple[Load | None, dict[str, Share], int]:
        """Returns (load of the fleet, process id of each other worker -> its share, number of processes of
        all other workers). The load is None, and no other workers are known, if the ledger is
        unavailable."""
        try:
            load = self._meter.measure(now).load
            beats = self.ledger.heartbeats()
        except Transient:
            return None, {}, 0
        peers = [b for b in beats if b.is_alive and b.report.role is Role.WORKER]
        peers = [
            b for b in peers if b.report.process != self.me and not b.report.state.get("ending")
        ]
        shares = {b.report.process: share_of(b) for b in peers}
        return load, shares, sum(int(b.report.state.get("children", 0)) for b in peers)


def share_of(beat: Heartbeat) -> Share:
    """Returns the range of the number of processes of another worker. A worker of an earlier version
    reports only the maximum."""
    state = beat.report.state
    most = int(state.get("most", 1))
    return Share(int(state.get("least", 1)), int(state.get("limit", most)))
