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
"""Seconds between two measurements of rates."""
SMOOTHING = 0.1
"""Weight of a new measurement of blocked sessions. A measurement shows one moment only."""


class FleetLedger(Workload, Protocol):
    """The parts of the ledger from which a fleet is sized."""

    def heartbeats(self) -> list[Heartbeat]: ...


@dataclass(frozen=True)
class Plan:
    """The size of the fleet at one moment. wanted, present: number of processes of all nodes. mine:
    how many this node should run. work: seconds of work that wait. nodes: number of nodes, this one
    included."""

    wanted: int
    present: int
    mine: int
    work: float
    nodes: int


def load_of(open_work: Sequence[OpenWork], rates: Rates, blocked: float) -> Load:
    """Returns the load of the fleet. Work that ends in a load is limited by the database: all of
    it, but for the stages `validate` and `transform` of large files."""
    waiting = loading = 0.0
    for part in open_work:
        seconds = work_of({part.source: (part.files, part.bytes)}, rates.cost)
        waiting += seconds
        if not part.large or part.stage is Stage.LOAD:
            loading += seconds
    return Load(waiting, loading, work_of(rates.arrived, rates.cost) / rates.seconds, blocked)


@dataclass(frozen=True)
class Waiting:
    """The work that waits at one moment, and the rates by which its seconds are estimated."""

    parts: Sequence[OpenWork]
    rates: Rates
    load: Load


@dataclass
class WorkMeter:
    """Measures the work that waits. large_bytes: see `FleetScaler`. Not thread-safe."""

    ledger: Workload
    large_bytes: int
    _rates: tuple[float, Rates] | None = None
    _blocked: float = 0.0

    def measure(self, now: float) -> Waiting:
        """Raises Transient if the ledger is unavailable."""
        if self._rates is None or now - self._rates[0] >= RATES_SECONDS:
            self._rates = now, self.ledger.rates()
        self._blocked += SMOOTHING * (self.ledger.blocked() - self._blocked)
        parts, rates = self.ledger.open_work(self.large_bytes), self._rates[1]
        return Waiting(parts, rates, load_of(parts, rates, self._blocked))


@dataclass
class FleetScaler:
    """Decides the number of processes of one worker. me: the id of its process, as in heartbeats.
    large_bytes: size from which a file takes the chain of stages. Not thread-safe."""

    ledger: FleetLedger
    me: str
    large_bytes: int
    scaler: Scaler = field(default_factory=Scaler)

    def __post_init__(self) -> None:
        self._meter = WorkMeter(self.ledger, self.large_bytes)

    def plan(self, node: Node) -> Plan:
        """Returns the plan of the fleet. node: the resources of this worker. If the ledger is
        unavailable, no work is known to wait."""
        now = time.monotonic()
        load, peers, present = self._measure(now)
        here = present + node.present
        fleet = self.scaler.fleet(now, load, here)
        mine = self.scaler.share(fleet, self.me, node, peers)
        return Plan(fleet, here, mine, load.waiting if load else 0.0, len(peers) + 1)

    def _measure(self, now: float) -> tuple[Load | None, dict[str, Share], int]:
        """Returns the load, the other workers, and the number of their processes."""
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
    """Returns the range of processes of another worker. A worker of an earlier version reports its
    maximum only."""
    state = beat.report.state
    most = int(state.get("most", 1))
    return Share(int(state.get("least", 1)), int(state.get("limit", most)))
