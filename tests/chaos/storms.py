"""The faults: kills of the fleet, a broker that forgets, a database that crashes, answers that are lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from chaos.account import manifests_without_bytes
from chaos.plan import WORKERS, Kill, Victim, strikes
from chaos.run import Run
from proxy import Proxy

AIM = 4.0
"""Seconds that an aimed strike waits for a victim with a claim."""
GIVE_UP = 60.0
STORE_CRASHES = 10
"""Kills between two crashes of the server with the zones."""
WHOLE_PROCESSES = (Victim.PARENT, Victim.WORKER)
MAX_WAIT_SECONDS = 0.05
"""A longer delay would let the claim of an aimed strike end before it."""


class Kills:
    """Kills as the plan has them; a frozen victim is looked at first, so that what it held is known."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stopped_pids: dict[int, float] = {}
        """Stopped on purpose: pid -> when it wakes."""
        self._frozen: dict[str, float] = {}
        """Workers that are stopped as a whole, and until when."""

    def run(self, say: Callable[[str], object]) -> None:
        planned = strikes(self._run.plan)
        for number, strike in enumerate(planned, 1):
            self._await(strike)
            self._run.drop(number / len(planned) * 0.999)
            self._do(strike)
            if (store := self._run.scene.store) and number % STORE_CRASHES == STORE_CRASHES // 2:
                store.crash()
            if number % 50 == 0:
                say(f"  {number} kills")
            self._run.findings.unexpected += manifests_without_bytes(self._run.fleet.data)
        self._run.drop()
        while self._stopped_pids:
            self._tick()
            time.sleep(0.05)
        run = self._run
        run.findings.unexpected += run.tally.judge(run.counts_unacked)

    def _await(self, strike: Kill) -> None:
        """Until there is somebody to hit, so that the files dropped for it are still in work then."""
        deadline = time.monotonic() + GIVE_UP
        while not self._possible(strike, self._pools()):
            self._tick()
            assert time.monotonic() < deadline, f"no {strike.victim} to hit"
            time.sleep(0.05)

    @staticmethod
    def _possible(strike: Kill, pools: dict[str, list[int]]) -> bool:
        """A worker is hit as a whole only while the other one goes on."""
        return len(pools) >= (2 if strike.victim in WHOLE_PROCESSES else 1)

    def _do(self, strike: Kill) -> None:
        self._tick()
        if strike.victim is Victim.DAEMON:
            time.sleep(strike.delay)
            self._run.fleet.kill("daemon")
            self._run.fleet.start("daemon")
            self._run.tally.kills[strike.victim] += 1
            return
        began = time.monotonic()
        while not self._try(strike, aimed=strike.aimed and time.monotonic() < began + AIM):
            self._tick()
            assert time.monotonic() < began + GIVE_UP, f"no {strike.victim} to hit"
            time.sleep(0.005)

    def _tick(self) -> None:
        """Wake those whose time has come, and start again what has ended by itself."""
        self._run.supervise()
        now = time.monotonic()
        self._run.wake([pid for pid, until in self._stopped_pids.items() if until <= now])
        self._stopped_pids = {
            pid: until for pid, until in self._stopped_pids.items() if until > now
        }
        self._frozen = {worker: until for worker, until in self._frozen.items() if until > now}

    def _try(self, strike: Kill, aimed: bool) -> bool:
        """Whether it was done. aimed: only to one that holds a claim."""
        pools = self._pools()
        if not self._possible(strike, pools):
            return False
        worker = strike.worker if strike.worker in pools else next(iter(pools))
        children = [(worker, pid) for pid in pools[worker]]
        if aimed:
            owners = {claim.pid for claim in self._run.claims() if not claim.is_spared}
            children = [(w, pid) for w, pids in pools.items() for pid in pids if pid in owners]
        if not children:
            return False
        worker, child = children[int(strike.choice * len(children))]
        if not aimed or strike.delay < MAX_WAIT_SECONDS:
            time.sleep(strike.delay)
        group = [child]
        if strike.victim in WHOLE_PROCESSES:
            group = [child, self._run.fleet.running[worker].pid]
            group += [pid for pid in pools[worker] if pid != child]
        return self._strike(strike, worker, group, aimed)

    def _pools(self) -> dict[str, list[int]]:
        """The children of each worker that are awake."""
        pools = {
            worker: [
                pid for pid in self._run.fleet.children(worker) if pid not in self._stopped_pids
            ]
            for worker in WORKERS
            if worker not in self._frozen
        }
        return {worker: pids for worker, pids in pools.items() if pids}

    def _strike(self, strike: Kill, worker: str, group: list[int], aimed: bool) -> bool:
        """group: whom to stop first, the child that was aimed at before all others."""
        self._run.freeze(group)
        claims = [claim for claim in self._run.claims() if claim.pid in group]
        if any(claim.is_spared for claim in claims) or (aimed and not claims):
            self._run.wake(group)
            return False
        count(self._run, strike.victim, {claim.file_id for claim in claims})
        if strike.victim is Victim.CHILD:
            with suppress(ProcessLookupError):
                os.kill(group[0], signal.SIGKILL)
        elif strike.victim is Victim.PARENT:
            self._run.fleet.kill(worker)
            self._run.wake(group)
            self._run.fleet.start(worker)
        else:
            until = time.monotonic() + self._run.plan.lease + strike.hold
            self._stopped_pids |= dict.fromkeys(group, until)
            if strike.victim is Victim.WORKER:
                self._frozen[worker] = until
        return True


def count(run: Run, victim: str, claimed_pids: Collection[int]) -> None:
    """Enter a kill; `claimed_pids` are the files that are claimed by what it hits."""
    tally, now = run.tally, time.time()
    tally.kills[victim] += 1
    if not claimed_pids:
        return
    tally.hits_with_lease[victim] += 1
    tally.killed_claims += [(file_id, now) for file_id in claimed_pids]
    if set(claimed_pids) & run.unacked():
        tally.unacked[victim] += 1


def wipe_broker(run: Run) -> None:
    """With messages waiting in it, as often as the plan says."""
    query = "SELECT id FROM files WHERE state = 'pending' AND published_at IS NOT NULL"
    _often(run, run.scene.wipe, lambda: [row[0] for row in run.observer.rows(query)], 0.5)


def crash_database(run: Run) -> None:
    """With files in work."""
    _often(run, run.scene.crash_database, lambda: [c.file_id for c in run.claims()], 4.0)


def crash_store(run: Run) -> None:
    """With files in work. No attempt of a file is counted."""
    store = run.scene.store
    assert store is not None, "--fault store needs --store s3"
    _often(run, store.crash, lambda: [c.file_id for c in run.claims()], 2.0)
    query = "SELECT count(*) FROM files WHERE source <> 'trap' AND attempts > 1"
    run.settle(GIVE_UP)
    if counted := run.observer.rows(query)[0][0]:
        run.findings.unexpected.append(f"{counted} files have more than one attempt")


def cut_commits(run: Run, proxy: Proxy) -> None:
    """With files in work."""

    def cut() -> None:
        done = proxy.cuts
        proxy.cut_commits(1)
        run.wait(lambda: proxy.cuts > done)

    _often(run, cut, lambda: [claim.file_id for claim in run.claims()], 0.2)
    if proxy.cuts < run.plan.kills:
        run.findings.unexpected.append(f"only {proxy.cuts} answers to COMMIT could be cut")


def _often(run: Run, fault: Callable[[], None], hit: Callable[[], list[int]], pause: float) -> None:
    """Do it as often as the plan says. hit: the files that it is going to hit now."""
    draw = random.Random(run.plan.seed)
    for number in range(run.plan.kills):
        run.supervise()
        run.drop((number + 1) / run.plan.kills * 0.999)
        time.sleep(draw.uniform(0, 0.3))
        run.wait(lambda: bool(hit()), AIM)
        time.sleep(draw.choice((0.0, draw.uniform(0, 0.03))))
        count(run, run.plan.fault, hit())
        fault()
        time.sleep(pause)
    run.drop()
    run.findings.unexpected += run.tally.judge(counts_unacked=False)


def proxy_of(database: str) -> Proxy:
    port = int(database.rsplit(":", 1)[1].partition("/")[0])
    return Proxy("127.0.0.1", port)
