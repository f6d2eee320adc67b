"""What a run does, and in which order: all of it follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

WORKERS = ("worker1", "worker2")
LEASE, SWEEP = 3.0, 2.0
DEFAULT_LEASE, DEFAULT_SWEEP = 30.0, 15.0


class Fault(StrEnum):
    KILLS = "kills"
    BROKER = "broker"  # it loses all it holds
    DATABASE = "database"  # it crashes and comes back
    COMMIT = "commit"  # the answer to COMMIT is lost
    STORE = "store"  # the server of the buckets crashes and comes back


class Victim(StrEnum):
    DAEMON = "daemon"
    PARENT = "parent"  # of a worker's pool
    CHILD = "child"  # of a worker's pool
    STOPPED = "stopped"  # a child past its lease, and awake again
    WORKER = "worker stopped"  # parent and children past their lease, and awake again


ODDS = {
    Victim.CHILD: 45,
    Victim.STOPPED: 15,
    Victim.PARENT: 18,
    Victim.DAEMON: 17,
    Victim.WORKER: 5,
}


@dataclass(frozen=True)
class Plan:
    """kills: how often the fault strikes. defaults: with the lease and sweep that users have. index: the
    fleet's dedupe_index; where it is deferred, months are closed in the middle of the run and after it.
    cold: each process starts Python anew."""

    broker: str
    seed: int
    kills: int = 200
    files: int = 500
    rows: int = 2000
    fault: Fault = Fault.KILLS
    defaults: bool = False
    index: str = "unique"
    cold: bool = True

    @property
    def deferred(self) -> bool:
        return self.index == "deferred"

    @property
    def lease(self) -> float:
        return DEFAULT_LEASE if self.defaults else LEASE

    @property
    def sweep(self) -> float:
        return DEFAULT_SWEEP if self.defaults else SWEEP


@dataclass(frozen=True)
class Kill:
    """One kill. aimed: it waits for a victim that holds a claim. delay: seconds after that, or after
    the files of this strike were dropped. hold: how long a stopped one stays so, beyond its lease."""

    victim: Victim
    worker: str
    aimed: bool
    delay: float
    hold: float
    choice: float


def strikes(plan: Plan) -> list[Kill]:
    draw = random.Random(plan.seed)
    victims = draw.choices(list(ODDS), list(ODDS.values()), k=plan.kills)
    return [
        Kill(
            victim,
            draw.choice(WORKERS),
            draw.random() < 0.7,
            draw.choice((0.0, draw.uniform(0, 0.03), draw.uniform(0, 0.3))),
            draw.uniform(1, 3),
            draw.random(),
        )
        for victim in victims
    ]
