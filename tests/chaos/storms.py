"""The faults: kills of the fleet, a broker that forgets, a database that crashes, answers that are lost."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

from chaos.account import manifests_without_bytes
from chaos.plan import WORKERS, Strike, Victim, strikes
from chaos.run import Claimed, Run
from proxy import Proxy

AIM = 4.0
"""Seconds that an aimed strike waits for a victim with a claim."""


class Kills:
    """Kills as the plan has them; a frozen victim is looked at first, so that what it held is known."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._asleep: dict[int, float] = {}
        """Stopped on purpose: pid -> when it wakes."""
        self._frozen: set[str] = set()
        """Workers that are stopped as a whole."""

    def storm(self) -> None:
        planned = strikes(self._run.plan)
        for number, strike in enumerate(planned, 1):
            self._run.drop(number / len(planned) * 0.999)
            self._do(strike)
            self._run.findings.unexpected += manifests_without_bytes(self._run.folder / "data")
        self._run.drop()
        while self._asleep:
            self._tick()
            time.sleep(0.05)
        run = self._run
        run.findings.unexpected += run.tally.judge(run.counts_unacked)

    def _do(self, strike: Strike) -> None:
        self._tick()
        if strike.victim is Victim.DAEMON:
            time.sleep(strike.delay)
            self._run.fleet.kill("daemon")
            self._run.fleet.start("daemon")
            self._run.tally.kills[strike.victim] += 1
            return
        aim = time.monotonic() + (AIM if strike.aimed else 0.0)
        while not self._try(strike, aimed=time.monotonic() < aim):
            self._tick()
            time.sleep(0.005)

    def _tick(self) -> None:
        """Wake those whose time has come."""
        now = time.monotonic()
        for pid in [pid for pid, until in self._asleep.items() if until <= now]:
            self._run.wake([pid])
            del self._asleep[pid]
        if not self._asleep:
            self._frozen.clear()

    def _try(self, strike: Strike, aimed: bool) -> bool:
        """Whether it was done. aimed: only to one that holds a claim."""
        pools = self._pools()
        worker = strike.worker if strike.worker in pools else next(iter(pools), None)
        if worker is None or (strike.victim in (Victim.PARENT, Victim.WORKER) and len(pools) < 2):
            return False
        pool = pools[worker]
        child = pool[int(strike.choice * len(pool))]
        if aimed:
            owners = {claim.pid: claim for claim in self._run.claims() if not claim.spared}
            holding = [(w, pid) for w, pids in pools.items() for pid in pids if pid in owners]
            if not holding:
                return False
            worker, child = holding[int(strike.choice * len(holding))]
        time.sleep(strike.delay if strike.delay < 0.05 or not aimed else 0)
        return self._strike(strike, worker, child, aimed)

    def _pools(self) -> dict[str, list[int]]:
        """The children of each worker that are awake."""
        fleet = self._run.fleet
        pools = {
            worker: [c.pid for c in fleet.children(worker) if c.pid not in self._asleep]
            for worker in WORKERS
            if worker not in self._frozen
        }
        return {worker: pids for worker, pids in pools.items() if pids}

    def _strike(self, strike: Strike, worker: str, child: int, aimed: bool) -> bool:
        parent = self._run.fleet.running[worker].pid
        group = [child]
        if strike.victim in (Victim.PARENT, Victim.WORKER):
            group = [parent, *self._pools().get(worker, [])]
        self._run.freeze(group)
        held = [claim for claim in self._run.claims() if claim.pid in group]
        if any(claim.spared for claim in held) or (aimed and not held):
            self._run.wake(group)
            return False
        count(self._run, strike.victim, held)
        if strike.victim is Victim.CHILD:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            self._run.wake([child])
        elif strike.victim is Victim.PARENT:
            self._run.fleet.kill(worker)
            self._run.wake(group[1:])
            self._run.fleet.start(worker)
        else:
            until = time.monotonic() + self._run.plan.lease + strike.hold
            self._asleep |= dict.fromkeys(group, until)
            self._frozen |= {worker} if strike.victim is Victim.WORKER else set()
        return True


def count(run: Run, victim: Victim, held: list[Claimed]) -> None:
    """Enter a kill; `held` are the claims of what is about to be killed, or stopped for long."""
    tally, now = run.tally, time.time()
    tally.kills[victim] += 1
    if not held:
        return
    tally.held[victim] += 1
    tally.struck += [(claim.file_id, now) for claim in held]
    if {claim.file_id for claim in held} & run.unacked():
        tally.unacked[victim] += 1


def wipe_broker(run: Run) -> None:
    """With messages waiting in it, as often as the plan says."""
    _often(run, run.scene.wipe, 0.5)


def crash_database(run: Run) -> None:
    _often(run, run.scene.crash_database, 4.0)


def cut_commits(run: Run, proxy: Proxy) -> None:
    def cut() -> None:
        done = proxy.cuts
        proxy.cut_commits(1)
        run.wait(lambda: proxy.cuts > done)

    _often(run, cut, 0.2)
    if proxy.cuts < run.plan.kills:
        run.findings.unexpected.append(f"only {proxy.cuts} answers to COMMIT could be cut")


def _often(run: Run, fault: object, pause: float) -> None:
    assert callable(fault)
    draw = random.Random(run.plan.seed)
    for number in range(run.plan.kills):
        run.drop((number + 1) / run.plan.kills * 0.999)
        time.sleep(draw.uniform(0, 0.5))
        fault()
        time.sleep(pause)
    run.drop()


def proxy_of(database: str) -> Proxy:
    port = int(database.rsplit(":", 1)[1].partition("/")[0])
    return Proxy("127.0.0.1", port)
