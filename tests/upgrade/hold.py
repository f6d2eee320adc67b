"""What a rolling upgrade left, held against the manifest; and what each version must have done for it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import redis
from chaos.account import Account, audited
from chaos.findings import Findings
from chaos.scene import Observer
from servers import RabbitMQ
from upgrade.drops import GrowingManifest
from upgrade.sides import Host

from sensorflow.adapters.queues.celery import QUEUES, normal, task_name
from sensorflow.core.events import FileEvent

TROUBLE = (
    "PRECONDITION",  # a queue that is declared with other arguments
    "CheckViolation",
    "UndefinedColumn",
    "UndefinedTable",
    "UndefinedFunction",
    "message.refused",
    "a sensorflow event",  # in a message that a worker does not understand
    "broker.refused",
    '"defect"',
    "Received unregistered task",
    "schema-outdated",
)
AFTER = {"registered", "published", "claimed", "stage done", "loaded", "condemned", "quarantined"}
"""Events that the old version must have written after the schema was upgraded, of all that it knows."""


@dataclass
class RunFacts:
    """What a run was like. events_between: events written while the schema was upgraded. upgraded: the last
    event before the new schema was there."""

    kills: Counter[str] = field(default_factory=Counter)
    queues: dict[str, Any] = field(default_factory=dict)
    queues_after: dict[str, Any] = field(default_factory=dict)
    waiting: int = 0
    half_way: int = 0
    leases_of_killed: int = 0
    output: str = ""
    events_between: int = 0
    upgraded: int = 0


def queues_of(broker: str, rabbit: RabbitMQ | None) -> dict[str, Any]:
    """Name -> how it was declared; on Valkey, whereto it is bound."""
    if rabbit is not None:
        return dict(rabbit.declared(broker.rsplit("/", 1)[1]))
    with redis.Redis.from_url(normal(broker)) as client:
        keys: Any = client.keys("_kombu.binding.sensorflow*")
        return {key.decode(): sorted(client.smembers(key)) for key in keys}  # type: ignore[union-attr, type-var]


class AccountWithoutParts(Account):
    """The growing file is held by its readings alone: where its parts end is chance."""

    def _hold_files(self) -> None:
        every = self._files
        self._files = [file for file in every if file["source"] != "grow"]
        super()._hold_files()
        self._files = every


class UpgradeChecker:
    def __init__(
        self, observer: Observer, old: Host, new: Host, manifest: GrowingManifest, facts: RunFacts
    ) -> None:
        self._observer, self._facts, self._manifest = observer, facts, manifest
        self._hosts = {host.name: host for host in (old, new)}
        self._new = new
        self.found = Findings()
        query = "SELECT id, file_id, what, stage, attempt, who, why FROM file_events ORDER BY id"
        self._events = observer.rows(query)

    def hold(self) -> Findings:
        data = self._new.project.parent / "data"
        AccountWithoutParts(self._observer, data, self._manifest, self.found).hold()
        self.found.unexpected += [
            *self._attempts(),
            *self._words(),
            *self._crossings(),
            *self._queues(),
            *self._logs(),
            *self._migration(),
            *audited(self._new.env, self._new.project),
        ]
        return self.found

    def side(self, actor: str) -> str:
        """Which version it was; "" where it was not seen."""
        pid = actor.rpartition(":")[2]
        owners = [n for n, host in self._hosts.items() if pid.isdecimal() and int(pid) in host.pids]
        return owners[0] if len(owners) == 1 else ""

    def _attempts(self) -> list[str]:
        """An attempt is burned by a kill alone."""
        ended = Counter(e[1] for e in self._events if e[2] == EXPIRED)
        found = []
        for file_id, leases in ended.items():
            kills = sum(host.hits.get(file_id, 0) for host in self._hosts.values())
            if leases > kills:
                found.append(f"file id {file_id}: {leases} leases ended, by {kills} kills")
        tried = [
            f"file id {i}: {w}: {reason}"
            for _, i, w, _, _, _, reason in self._events
            if w == RETRIED
        ]
        return found + tried

    def _words(self) -> list[str]:
        """The old version goes on writing its histories, and all words are of the closed list."""
        after = {
            e[2] for e in self._events if e[0] > self._facts.upgraded and self.side(e[5]) == "old"
        }
        found = [f"the old version never wrote {word!r} after it" for word in sorted(AFTER - after)]
        unknown = {e[2] for e in self._events} - set(FileEvent)
        return [*found, *(f"a history has the word {word!r}" for word in sorted(unknown))]

    def _crossings(self) -> list[str]:
        """Each version has worked on what the other one published, and went on with its chains."""
        seen: Counter[tuple[str, str, str]] = Counter()
        last: dict[int, tuple[str, str]] = {}
        for _, file_id, what, _, _, actor, _ in self._events:
            side = self.side(actor)
            if what in ("published", "stage done"):
                last[file_id] = (what, side)
            if what == "claimed" and file_id in last:
                seen[(*last[file_id], side)] += 1
        self.crossed = {f"{w}, {a} to {b}": n for (w, a, b), n in sorted(seen.items()) if a and b}
        return [
            f"nothing {what} by the {a} version was worked on by the {b} one"
            for what in ("published", "stage done")
            for a in self._hosts
            for b in self._hosts
            if a != b and not seen[what, a, b]
        ]

    def _queues(self) -> list[str]:
        before, after = self._facts.queues, self._facts.queues_after
        missing = [q for q in map(task_name, QUEUES) if q not in str(before)]
        changed = [
            f"{n}: {before.get(n)}, then {after.get(n)}"
            for n in before | after
            if before.get(n) != after.get(n)
        ]
        return [f"queue {line}" for line in (*missing, *changed)]

    def _logs(self) -> list[str]:
        return [
            f"{host.name}/{path.name}: {line[:300]}"
            for host in self._hosts.values()
            for path in sorted(host.project.glob("*.log"))
            for line in path.read_text(errors="replace").splitlines()
            if any(word in line for word in TROUBLE)
        ]

    def _migration(self) -> list[str]:
        facts, found = self._facts, []
        if not (
            facts.waiting and facts.half_way and facts.leases_of_killed and facts.events_between
        ):
            flight = (facts.waiting, facts.half_way, facts.leases_of_killed, facts.events_between)
            found.append(f"too little was in flight: {flight}")
        if " -> " not in facts.output:
            found.append(f"db upgrade: {facts.output}")
        valid = self._observer.rows(
            "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_events_what'"
        )
        return found if valid == [(True,)] else [*found, f"ck_events_what is not valid: {valid}"]

    def counts(self) -> str:
        return json.dumps(self.crossed)


EXPIRED = str(FileEvent.LEASE_EXPIRED)
RETRIED = str(FileEvent.RETRIED)
