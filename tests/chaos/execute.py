"""A whole run by its plan: start, storm, settle, judge, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from chaos.findings import Findings
from chaos.plan import WORKERS, Fault, Plan
from chaos.run import Run, running
from chaos.scene import ChaosFleet
from chaos.storms import Kills, crash_database, crash_store, cut_commits, proxy_of, wipe_broker
from proxy import Proxy

Say = Callable[[str], object]
PATIENCE = 60.0
"""Seconds without any progress after which a file that is not terminal is lost; beyond the lease."""
SLOW = 30.0
"""Seconds of recovery after which the history of the slowest file is shown."""


def execute(scene: ChaosFleet, plan: Plan, folder: Path, say: Say) -> Findings:
    """Say the figures, and as last line the one that is to be read."""
    with ExitStack() as stack:
        proxy = None
        through = ""
        if plan.fault is Fault.COMMIT:
            proxy = stack.enter_context(proxy_of(scene.database))
            through = proxy.url(scene.database)
        run = stack.enter_context(running(scene, plan, folder, through=through))
        way = ", deferred index" if plan.deferred else ""
        way += ", zones in a bucket" if scene.store else ""
        say(f"chaos: {plan.fault} on {plan.broker}, seed {plan.seed}{way}")
        run.fleet.start("daemon", *WORKERS, "beat")
        run.wait(lambda: all(run.fleet.children(worker) for worker in WORKERS))
        _run_kills(run, proxy, say)
        kills_end = time.time()
        run.settle(PATIENCE + 2 * plan.lease)
        settled = time.time()
        findings = run.judge()
        _report(run, kills_end, settled, say)
        return findings


def _run_kills(run: Run, proxy: Proxy | None, say: Say) -> None:
    if run.plan.fault is Fault.KILLS:
        Kills(run).run(say)
    elif run.plan.fault is Fault.BROKER:
        wipe_broker(run)
    elif run.plan.fault is Fault.DATABASE:
        crash_database(run)
    elif run.plan.fault is Fault.STORE:
        crash_store(run)
    else:
        assert proxy is not None
        cut_commits(run, proxy)


def _report(run: Run, kills_end: float, settled: float, say: Say) -> None:
    counted = run.counts_unacked and run.plan.fault is Fault.KILLS
    for line in run.tally.lines(counted):
        say(line)
    manifest = run.manifest
    say(
        f"  {len(manifest.files)} files, {manifest.rows:,} rows; {kills_end - run.began:.0f} s of storm, "
        f"all terminal {settled - kills_end:.1f} s after it"
    )
    if times := recoveries(run):
        p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
        say(
            f"  recovery, from a hit to the end of the file that was hit, of {len(times)}: "
            f"median {times[len(times) // 2]:.1f} s, p99 {p99:.1f} s, max {times[-1]:.1f} s"
        )
        if times[-1] > SLOW:
            say("\n".join(slowest(run)))
    for line in run.findings.details():
        say(line)
    if not run.findings.clean:
        say(run.fleet.logs())
    say(run.findings.line(run.plan))


def slowest(run: Run) -> list[str]:
    """The history of the file that took longest, for people."""
    ends = _ends(run)
    file_id, at = max(
        ((i, at) for i, at in run.tally.killed_claims if i in ends),
        key=lambda hit: ends[hit[0]] - hit[1],
    )
    query = (
        "SELECT extract(epoch FROM at)::float8, what, stage, attempt, who, coalesce(why, '')"
        " FROM file_events WHERE file_id = %s ORDER BY id"
    )
    return [
        f"    {when - at:+7.1f} s  {what}, {stage}, attempt {attempt}, {actor} {reason[:80]}"
        for when, what, stage, attempt, actor, reason in run.observer.rows(query, file_id)
    ]


def recoveries(run: Run) -> list[float]:
    """Seconds from each hit to the end of its file, sorted."""
    ends = _ends(run)
    return sorted(max(0.0, ends[i] - at) for i, at in run.tally.killed_claims if i in ends)


def _ends(run: Run) -> dict[int, float]:
    """When each file ended; without files that kill their workers themselves, three times each."""
    query = (
        "SELECT id, extract(epoch FROM finished_at)::float8 FROM files"
        " WHERE finished_at IS NOT NULL AND source <> 'trap'"
    )
    return dict(run.observer.rows(query))
