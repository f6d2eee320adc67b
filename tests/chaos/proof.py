"""Does the harness find what it is for? Each planted bug, in a scenario that the true code survives."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos import bugs
from chaos.account import manifests_without_bytes
from chaos.bugs import tree_with
from chaos.findings import Findings
from chaos.generator import Kind
from chaos.plan import Plan, Victim
from chaos.run import ROOT, Claimed, Run, running, stopped
from chaos.scene import ChaosFleet, scene, servers
from chaos.storms import count
from patches import Patch

PATIENCE = 25.0
"""Seconds without any progress after which a scenario is judged."""
GOOD = Kind.GOOD


def ack_before_work(run: Run) -> None:
    """A child is killed that holds a claim: the broker must still have its message."""
    run.fleet.start("daemon", "beat")
    run.fleet.start("worker1", crash=f"stop@claimed:1:{run.folder / 'stopped'}")
    run.drop()
    child = _caught(run, "worker1")
    # a parent that acknowledges too early may do so a moment after the child has begun
    run.wait(lambda: child.file_id not in run.unacked(), 5)
    count(run, Victim.CHILD, [child.file_id])
    os.kill(child.pid, signal.SIGKILL)
    run.settle(PATIENCE)
    run.findings.unexpected += run.tally.judge(run.counts_unacked)


def no_sweeper(run: Run) -> None:
    """The broker forgets what was published."""
    run.fleet.start("daemon")
    run.drop()
    query = "SELECT count(*) FROM files WHERE published_at IS NOT NULL"
    assert run.wait(lambda: run.observer.rows(query)[0][0] == len(run.manifest.files))
    run.scene.wipe()
    run.fleet.start("worker1", "beat")
    run.wait(lambda: bool(run.fleet.children("worker1")), 60)
    run.settle(PATIENCE)


def no_on_conflict(run: Run) -> None:
    """Two files of one source overlap in time."""
    run.fleet.start("daemon", "worker1", "beat")
    run.wait(lambda: bool(run.fleet.children("worker1")), 60)
    run.drop()
    run.settle(PATIENCE)


def deleted_by_absence(run: Run) -> None:
    """A name is used again, for chunks, corrections and windows."""
    no_on_conflict(run)


def two_transactions(run: Run) -> None:
    """A child dies when all rows of its file are sent, and nothing is committed."""
    run.fleet.start("daemon", "beat")
    run.fleet.start("worker1", crash=f"load.copied:1:{run.folder / 'killed'}")
    run.drop()
    run.settle(PATIENCE)


def no_fencing(run: Run) -> None:
    """A worker is stopped past its lease, and goes on while another one has its file."""
    run.fleet.start("daemon")
    run.fleet.start("worker1", crash=f"stop@validate.done:1:{run.folder / 'stopped'}")
    run.drop()
    zombie = _caught(run, "worker1")
    rest = [run.fleet.running["worker1"].pid, *run.fleet.children("worker1")]
    run.freeze(rest)
    run.fleet.start("beat")
    run.fleet.start("worker2", crash=f"stop@validate.done:1:{run.folder / 'stopped too'}")
    winner = _caught(run, "worker2")
    run.wake([zombie.pid])
    outcome = "SELECT count(*) FROM file_events WHERE what = 'loaded'"
    run.wait(lambda: bool(run.observer.rows(outcome)[0][0]), 1.5)
    run.wake([winner.pid, *rest])
    run.settle(PATIENCE)


def manifest_before_copy(run: Run) -> None:
    """A child dies between the two things that quarantine writes."""
    run.fleet.start("daemon", "beat")
    run.fleet.start("worker1", crash=f"stop@quarantine.copied:1:{run.folder / 'stopped'}")
    run.drop()
    child = _caught(run, "worker1")
    run.findings.unexpected += manifests_without_bytes(run.fleet.data)
    os.kill(child.pid, signal.SIGKILL)
    run.settle(PATIENCE)


def _caught(run: Run, worker: str) -> Claimed:
    """The claim of the child that a crash point has stopped."""

    def claims() -> list[Claimed]:
        pool = {pid for pid in run.fleet.children(worker) if stopped(pid)}
        return [claim for claim in run.claims() if claim.pid in pool]

    assert run.wait(lambda: bool(claims()), 60), f"no child was stopped:\n{run.fleet.logs()}"
    return claims()[0]


@dataclass(frozen=True)
class Proof:
    name: str
    patches: tuple[Patch, ...]
    scenario: Callable[[Run], None]
    files: list[Kind]


PROOFS = (
    Proof("ack before work", bugs.ACK_BEFORE_WORK, ack_before_work, [GOOD]),
    Proof("no sweeper", bugs.NO_SWEEPER, no_sweeper, [GOOD] * 5),
    Proof("no ON CONFLICT", bugs.NO_ON_CONFLICT, no_on_conflict, [Kind.FEED, Kind.FEED, GOOD]),
    Proof(
        "a merge that deletes by absence",
        bugs.DELETE_BY_ABSENCE,
        deleted_by_absence,
        [Kind.REUSED] * 2,
    ),
    Proof("rows and ledger in two transactions", bugs.TWO_TRANSACTIONS, two_transactions, [GOOD]),
    Proof("no fencing", bugs.NO_FENCING, no_fencing, [GOOD]),
    Proof("manifest before copy", bugs.MANIFEST_BEFORE_COPY, manifest_before_copy, [Kind.CORRUPT]),
)


def prove() -> int:
    """Prints a line a bug; 0 when all are found and the true code is clean in every scenario."""
    found, began = 0, time.monotonic()
    clean = True
    with servers("valkey") as (postgres, _, url):
        for proof in PROOFS:
            true = _play(scene(postgres, url), proof, ())
            planted = _play(scene(postgres, url), proof, proof.patches)
            clean &= true.clean
            found += not planted.clean
            print(f"{proof.name}: {'found' if not planted.clean else 'NOT FOUND'}")
            print("\n".join(planted.details()[:3]))
            print("  the true code: " + ("clean" if true.clean else "NOT CLEAN"))
            print("\n".join(true.details()), end="" if true.clean else "\n")
    print(f"{time.monotonic() - began:.0f} s")
    print(f"planted bugs found: {found} of {len(PROOFS)}")
    return 0 if clean and found == len(PROOFS) else 1


def _play(place: ChaosFleet, proof: Proof, patches: tuple[Patch, ...]) -> Findings:
    plan = Plan("valkey", seed=1, kills=1, rows=50)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        tree = tree_with(patches, ROOT, folder / "tree")
        with running(place, plan, folder / "project", tree, proof.files) as run:
            proof.scenario(run)
            return run.judge()


if __name__ == "__main__":
    sys.exit(prove())
