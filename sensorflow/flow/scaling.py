"""Measure the work of the fleet and the peers of a worker, and decide its number of processes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sensorflow.core.heartbeat import Heartbeat, Role
from sensorflow.core.scaling import DRAIN_SECONDS, Load, Node, ProcessRange, Scaler, work_of
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


def load_of(
    open_work: Sequence[OpenWork],
    rates: Rates,
    blocked: float,
    quotas: Mapping[str, int] | None = None,
) -> Load:
    """Returns the load of the fleet. open_work: the unfinished files. blocked: see `Load`. All work counts
    as `loading`, except the stages `validate` and `transform` of large files, because any other task ends
    with a load.

    quotas: source -> maximum number of its files in flight. The work of a source counts only as far as this
    number of processes can do it in `DRAIN_SECONDS`, because the source cannot use more processes.
    """
    quotas = quotas or {}
    found: dict[str, list[float]] = {}
    for part in open_work:
        seconds = work_of({part.source: (part.files, part.bytes)}, rates.cost)
        of_source = found.setdefault(part.source, [0.0, 0.0])
        of_source[0] += seconds
        if not part.large or part.stage is Stage.LOAD:
            of_source[1] += seconds
    waiting = loading = arriving = 0.0
    for source, (total, for_load) in found.items():
        useful = min(1.0, quotas.get(source, math.inf) * DRAIN_SECONDS / total) if total else 1.0
        waiting += total * useful
        loading += for_load * useful
    for source, some in rates.arrived.items():
        seconds = work_of({source: some}, rates.cost) / rates.seconds
        arriving += min(seconds, quotas.get(source, math.inf))
    return Load(waiting, loading, arriving, blocked)


@dataclass(frozen=True)
class Waiting:
    """The waiting work of the fleet at one moment. parts: the unfinished files, in groups. rates: the rates
    from which the seconds of work are estimated. load: the resulting load."""

    parts: Sequence[OpenWork]
    rates: Rates
    load: Load


@dataclass
class WorkMeter:
    """Measures the waiting work of the fleet. large_bytes: see `FleetScaler`. quotas: see `load_of`.
    rates_seconds: seconds between two queries of the rates. Not thread-safe."""

    ledger: Workload
    large_bytes: int
    quotas: Mapping[str, int]
    rates_seconds: float = RATES_SECONDS
    _rates: tuple[float, Rates] | None = None
    _blocked: float = 0.0

    def measure(self, now: float) -> Waiting:
        """Returns the waiting work. now: monotonic seconds. Raises Transient if the ledger is
        unavailable."""
        if self._rates is None or now - self._rates[0] >= self.rates_seconds:
            self._rates = now, self.ledger.rates()
        self._blocked += SMOOTHING * (self.ledger.blocked() - self._blocked)
        parts, rates = self.ledger.open_work(self.large_bytes), self._rates[1]
        return Waiting(parts, rates, load_of(parts, rates, self._blocked, self.quotas))


@dataclass
class FleetScaler:
    """Decides the number of processes of one worker. me: the id of the worker's process, as in its
    heartbeats. large_bytes: a file of at least this size is processed in separate tasks for its stages.
    quotas: see `load_of`. Not thread-safe."""

    ledger: FleetLedger
    me: str
    large_bytes: int
    quotas: Mapping[str, int] = field(default_factory=dict)
    scaler: Scaler = field(default_factory=Scaler)

    def __post_init__(self) -> None:
        self._meter = WorkMeter(self.ledger, self.large_bytes, self.quotas)

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

    def _measure(self, now: float) -> tuple[Load | None, dict[str, ProcessRange], int]:
        """Returns (load of the fleet, process id of each other worker -> its range, number of processes of
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
        ranges = {b.report.process: range_of(b) for b in peers}
        return load, ranges, sum(int(b.report.state.get("children", 0)) for b in peers)


def range_of(beat: Heartbeat) -> ProcessRange:
    """Returns the range of the number of processes of another worker. A worker of an earlier version
    reports only the maximum."""
    state = beat.report.state
    most = int(state.get("most", 1))
    return ProcessRange(int(state.get("least", 1)), int(state.get("limit", most)))
