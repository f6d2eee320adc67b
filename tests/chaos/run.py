"""One run: a fleet of two workers, the files that are dropped on it, and what becomes of them."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis
from chaos.account import Account, audited
from chaos.findings import Findings, Tally
from chaos.generator import Drop, Kind, Manifest, generate, kinds
from chaos.plan import WORKERS, Fault, Plan
from chaos.scene import ChaosFleet, Observer
from fleet import Fleet, state_of

from sensorflow.adapters.postgres import index_mode
from sensorflow.adapters.queues.celery import normal
from sensorflow.testing.project import Table, settings_text

ROOT = Path(__file__).resolve().parents[2]
POISON = Path(__file__).resolve().parent / "poison"
SETTLE = {"stability_window": 0.2}
POISONED = {"poison": {"format": "poison"}}
WHERE = {
    Fault.KILLS: "between claim and ack",
    Fault.BROKER: "with messages waiting",
    Fault.DATABASE: "with files claimed",
    Fault.COMMIT: "with files claimed",
    Fault.STORE: "with files claimed",
}
CLOSERS = 3
"""How often months are closed while files come in."""
LARGE = 95
"""Bytes a row between a file that goes as one task and one that goes as three."""


@dataclass(frozen=True)
class Claimed:
    """A file that somebody works on, by the ledger."""

    file_id: int
    pid: int
    attempt: int
    stage: str

    @property
    def is_spared(self) -> bool:
        """One more kill would rightly quarantine a good file: three attempts are all it has."""
        return self.attempt >= 3 and self.stage != "quarantine"


class Run:
    """tree: where the fleet's code lies. through: the database's URL as the fleet is told it. more: further
    sources and their profiles."""

    def __init__(
        self,
        scene: ChaosFleet,
        plan: Plan,
        folder: Path,
        tree: Path = ROOT,
        wanted: list[Kind] | None = None,
        through: str = "",
        more: tuple[Mapping[str, Table], Mapping[str, Table]] = ({}, {}),
    ) -> None:
        self.scene, self.plan, self.folder = scene, plan, folder
        scope = "file" if plan.deferred else "source"
        sources = {
            "plant": SETTLE,
            "feed": {**SETTLE, "dedupe_scope": scope, "on_change": "keep"},
            "trap": {**SETTLE, "profile": "poison"},
            **more[0],
        }
        self.folders = tuple(sources)
        for name in self.folders:
            (folder / name).mkdir(parents=True)
        settings = settings_text(
            sources,
            {**POISONED, **more[1]},
            rescan=30 if plan.defaults else 2,
            reconcile=plan.sweep,
            lease=plan.lease,
            inline_below=plan.rows * LARGE,
            dedupe_index=plan.index,
            storage=scene.store.table if scene.store else None,
        )
        index_mode.set_index_mode(scene.database, plan.deferred)
        paths = {"PYTHONPATH": f"{tree}{os.pathsep}{POISON}"}
        database = through or scene.database
        self.fleet = Fleet(folder, database, scene.broker, paths, plan.cold, settings=settings)
        self.observer = Observer(scene.database)
        self.manifest = Manifest()
        self.tally = Tally(WHERE[plan.fault])
        self.findings = Findings()
        self.began = time.time()
        chosen = kinds(plan.files, random.Random(plan.seed)) if wanted is None else wanted
        if plan.deferred:  # files may not share readings
            chosen = [Kind.GOOD if kind is Kind.FEED else kind for kind in chosen]
        self._files = len(chosen)
        self._drops = generate(plan.seed, chosen, plan.rows, self.manifest)
        self._held_back: list[Drop] = []
        self._closers: list[subprocess.Popen[str]] = []
        self._redis = None
        if not scene.broker.startswith("amqp"):
            self._redis = redis.Redis.from_url(normal(scene.broker))

    # --- files ---

    def drop(self, share: float = 1.0) -> None:
        """Drop files until this share of all has been."""
        while len(self.manifest.files) < round(self._files * share) or share >= 1:
            batch = next(self._drops, None)
            if batch is None:
                return
            for generated in batch:
                self.put(generated)
            self._put_held()

    def _close_months(self) -> subprocess.Popen[str]:
        """All of them are over; files of them may still come."""
        command = [sys.executable, "-m", "sensorflow", "db", "seal"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=self.fleet.env, cwd=self.folder, stdout=pipe, stderr=pipe, text=True
        )

    def _hold_months(self) -> None:
        """Every month's unique index can be built: the database's own proof."""
        for closer in (*self._closers, last := self._close_months()):
            output, failed = closer.communicate(timeout=120)
            if "more than once" in output:
                self.findings.duplicated.append(output)
            if closer is last and closer.returncode:
                self.findings.unexpected.append(f"months are not closed: {output} {failed}")

    def put(self, drop: Drop) -> None:
        """A name that is still in its folder is not used again: nobody has seen what is in it."""
        place = (drop.source, drop.name)
        before = {(held_back.source, held_back.name) for held_back in self._held_back}
        if place in before or (self.folder / drop.source / drop.name).exists():
            self._held_back.append(drop)
        else:
            self.fleet.put(drop.name, drop.content, self.folder / drop.source)

    def _put_held(self) -> None:
        held_back, self._held_back = self._held_back, []
        for drop in held_back:
            self.put(drop)

    # --- what the fleet is doing ---

    def claims(self) -> list[Claimed]:
        query = "SELECT id, lease_owner, attempts, stage FROM files WHERE state = 'running'"
        found = self.observer.rows(query)
        return [Claimed(i, int(o.rsplit(":", 1)[1]), a, stage) for i, o, a, stage in found]

    def unacked(self) -> set[int]:
        """The files whose messages a worker of Valkey has and has not acknowledged."""
        found: set[int] = set()
        if self._redis is None:
            return found
        for text in self._redis.hvals("unacked"):  # type: ignore[union-attr]
            body = json.loads(base64.b64decode(json.loads(text)[0]["body"]))
            with suppress(LookupError, TypeError):  # the sweeper's own has no file
                found.add(body[0][0]["data"]["file_id"])
        return found

    @property
    def counts_unacked(self) -> bool:
        return self._redis is not None

    # --- processes ---

    def freeze(self, pids: Sequence[int]) -> None:
        """Stop processes, so that what they hold can be looked at before they are killed."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and not all(map(stopped, pids)):
            time.sleep(0.001)
        time.sleep(0.01)  # what the database was told just before is committed by then

    def wake(self, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def supervise(self) -> None:
        """Nothing ends by itself; what did is started again, as `sensorflow up`, systemd and Compose do."""
        if self.plan.deferred and len(self._closers) < CLOSERS:
            loaded = self.observer.rows("SELECT count(*) FROM files WHERE state = 'loaded'")[0][0]
            if loaded > self._files * (len(self._closers) + 1) / (CLOSERS + 2):
                self._closers.append(self._close_months())
        for name, process in list(self.fleet.running.items()):
            if process.poll() is None:
                continue
            self.findings.unexpected.append(f"{name} ended by itself: {process.returncode}")
            self.fleet.start(name)

    def pools_are_whole(self) -> bool:
        pools = [self.fleet.children(worker) for worker in WORKERS if worker in self.fleet.running]
        alive = [[pid for pid in pool if not stopped(pid)] for pool in pools]
        return all(1 <= len(pool) <= 2 for pool in alive)

    # --- the end ---

    def settle(self, patience: float) -> None:
        """Until every file is terminal and taken; or nothing has changed for `patience` seconds."""
        seen, since = None, time.monotonic()
        while time.monotonic() - since < patience:
            self.supervise()
            self._put_held()
            now = self._progress()
            if (
                now is not None
                and now[0] == 0
                and now[1] >= self._expected()
                and not (self._held_back or self._left())
            ):
                return
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.2)

    def _expected(self) -> int:
        return len(self.manifest.files)

    def _progress(self) -> tuple[int, ...] | None:
        query = (
            "SELECT count(*) FILTER (WHERE state IN ('pending', 'running')), count(*),"
            " (SELECT count(*) FROM file_events WHERE what IN ('stage done', 'condemned')) FROM files"
        )
        return tuple(self.observer.rows(query)[0])

    def _left(self) -> list[str]:
        folders = [self.folder / name for name in self.folders]
        return [p.name for f in folders for p in f.iterdir() if p.is_file()]

    def wait(self, done: Callable[[], bool], seconds: float = 30) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def judge(self) -> Findings:
        """Stop the fleet and hold what is there against the manifest."""
        if not self.wait(self.pools_are_whole, 60):
            sizes = {w: len(self.fleet.children(w)) for w in WORKERS}
            self.findings.unexpected.append(f"a pool is not back to its size: {sizes}")
        self.findings.lost += [f"never taken from its folder: {name}" for name in self._left()]
        self.stop()
        if self.scene.store is not None:
            self.scene.store.calm()
        account = Account(self.observer, self.fleet.data, self.manifest, self.findings)
        account.hold()
        if self.plan.deferred:
            self._hold_months()
        self.findings.unexpected += audited(self.fleet.env, self.folder, self.plan.cold)
        return self.findings

    def stop(self) -> None:
        for worker in WORKERS:
            process = self.fleet.running.get(worker)
            if process is not None:
                self.wake([process.pid, *self.fleet.children(worker)])
        self.fleet.stop()
        self.fleet.running.clear()

    def close(self) -> None:
        self.stop()
        self.observer.close()
        if self._redis is not None:
            self._redis.close()


def stopped(pid: int) -> bool:
    """Whether a process is stopped, or gone."""
    return state_of(pid) in ("T", "Z", "")


@contextmanager
def running(
    scene: ChaosFleet,
    plan: Plan,
    folder: Path,
    tree: Path = ROOT,
    wanted: list[Kind] | None = None,
    through: str = "",
    more: tuple[Mapping[str, Table], Mapping[str, Table]] = ({}, {}),
) -> Iterator[Run]:
    new_run = Run(scene, plan, folder, tree, wanted, through, more)
    try:
        yield new_run
    finally:
        new_run.close()
