"""Measure the work of the fleet and the peers of a worker, and decide its number of processes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sensorflow.core.heartbeat import Heartbeat, Role
from sensorflow.core.scaling import DRAIN_SECONDS, Load, Node, Scaler, Share, work_of
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


def load_of(
    open_work: Sequence[OpenWork],
    rates: Rates,
    blocked: float,
    quotas: Mapping[str, int] | None = None,
) -> Load:
    """Returns the load of the fleet. Work that ends in a load is limited by the database: all of
    it, but for the stages `validate` and `transform` of large files.

    quotas: source -> maximum number of its files in flight. Work of a source that more processes than its
    quota would have to do at once does not count.
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
    """The work that waits at one moment, and the rates by which its seconds are estimated."""

    parts: Sequence[OpenWork]
    rates: Rates
    load: Load


@dataclass
class WorkMeter:
    """Measures the work that waits. large_bytes: see `FleetScaler`. quotas: see `load_of`.
    rates_seconds: seconds between two measurements of rates. Not thread-safe."""

    ledger: Workload
    large_bytes: int
    quotas: Mapping[str, int]
    rates_seconds: float = RATES_SECONDS
    _rates: tuple[float, Rates] | None = None
    _blocked: float = 0.0

    def measure(self, now: float) -> Waiting:
        """Raises Transient if the ledger is unavailable."""
        if self._rates is None or now - self._rates[0] >= self.rates_seconds:
            self._rates = now, self.ledger.rates()
        self._blocked += SMOOTHING * (self.ledger.blocked() - self._blocked)
        parts, rates = self.ledger.open_work(self.large_bytes), self._rates[1]
        return Waiting(parts, rates, load_of(parts, rates, self._blocked, self.quotas))


@dataclass
class FleetScaler:
    """Decides the number of processes of one worker. me: the id of its process, as in heartbeats.
    large_bytes: size from which a file takes the chain of stages. quotas: see `load_of`. Not
    thread-safe."""

    ledger: FleetLedger
    me: str
    large_bytes: int
    quotas: Mapping[str, int] = field(default_factory=dict)
    scaler: Scaler = field(default_factory=Scaler)

    def __post_init__(self) -> None:
        self._meter = WorkMeter(self.ledger, self.large_bytes, self.quotas)

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
