"""Many files at once: how soon the pools grow, and how soon they are small again. See `make burst`.

The work of a file is measured before, one file after the other, and the files are made accordingly.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from chaos.scene import Observer
from elastic.files import Account, Files, account, wait_for
from elastic.plot import steps
from elastic.processes import spent
from elastic.sizes import Watch, Watched, longest_idle
from elastic.stand import Say, Stand, parser, runs, stand
from fleet import Fleet

AIM = 0.12
"""CPU seconds of a worker for a file."""
LEAST = 0.1
"""Seconds of work that the files of a burst must have on average: of CPU, which other programs on the
machine do not change, and by the ledger."""
TIMES = 150
"""How often the readings are stated in the files with which work is measured."""
ALONE = 8
"""Files with which it is measured."""
UP, DOWN = 30.0, 120.0
"""Seconds within which the pools must grow and shrink."""
TURNS = 3
"""Changes of direction of a node's size that are no oscillation."""
IDLE = 10.0
"""Seconds without a commit of a node while files wait that count as idle."""
PATIENCE = 120.0
"""Seconds without progress after which files are lost."""

WORK = """
SELECT coalesce(avg(seconds), 0) FROM (
    SELECT sum(seconds) AS seconds FROM file_events
     WHERE file_id > %s AND seconds IS NOT NULL GROUP BY file_id) files
"""
FIRST = "SELECT extract(epoch FROM min(registered_at))::float8 FROM files WHERE id > %s"
LAST = "SELECT extract(epoch FROM max(finished_at))::float8 FROM files"
NEWEST = "SELECT coalesce(max(id), 0) FROM files"
COMMITS = """
SELECT extract(epoch FROM at)::float8, who FROM file_events
 WHERE what = 'loaded' AND file_id > %s ORDER BY id
"""


@dataclass
class Burst:
    """What a burst was like. up, down: seconds, None if it never came to that. work: mean seconds of a file
    by its history.
    alone: CPU seconds of a worker for one. turns, idle: by node. shares: files by node."""

    files: int
    account: Account
    peak: int
    most: int
    up: float | None
    down: float | None
    work: float
    alone: float
    seconds: float
    turns: dict[str, int] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    shares: dict[str, int] = field(default_factory=dict)
    timed: bool = True

    @property
    def line(self) -> str:
        return (
            f"burst: files={self.files} lost={len(self.account.lost)} peak_workers={self.peak} "
            f"up_s={_said(self.up)} down_s={_said(self.down)}"
        )

    def problems(self) -> list[str]:
        found = self.account.details()
        if self.up is None or (self.timed and self.up > UP):
            found.append(f"  up: the pools did not reach their maximum within {UP:.0f} s")
        if self.down is None or (self.timed and self.down > DOWN):
            found.append(f"  down: the pools did not return to their minimum within {DOWN:.0f} s")
        if self.timed and min(self.alone, self.work) < LEAST:
            found.append(f"  work: a file has less than {LEAST * 1000:.0f} ms of it")
        found += [
            f"  oscillation: {node} changed its direction {count} times"
            for node, count in self.turns.items()
            if count > TURNS
        ]
        found += [
            f"  idle: {node} committed nothing for {seconds:.1f} s while files waited"
            for node, seconds in self.idle.items()
            if self.timed and seconds > IDLE
        ]
        return found

    @property
    def clean(self) -> bool:
        return not self.problems()


def _said(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f}"


def run(
    made: Stand, count: int, workers: int, say: Say, plot: Path | None = None, timed: bool = True
) -> Burst:
    """Start the fleet, drop the files at once, and watch until all pools are small again. timed: whether
    the seconds count; otherwise the files are as `TIMES` says."""
    fleet, nodes = made.fleet, made.nodes
    observer = Observer(fleet.database)
    files = Files(fleet.drop, TIMES)
    fleet.start("daemon", *nodes, "beat")
    fleet.wait(lambda: all(fleet.children(node) for node in nodes))
    try:
        alone = _alone(fleet, files, observer, say, timed)
        ready = [files.make(_beside(fleet.project)) for _ in range(count)]
        before = int(observer.rows(NEWEST)[0][0])
        with Watch(fleet, nodes) as watched:
            _until_small(watched, len(nodes))
            for path in ready:
                files.drop(path)
            left = wait_for(files, observer, PATIENCE)
            last = float(observer.rows(LAST)[0][0])
            _until_small(watched, len(nodes))
        first = float(observer.rows(FIRST, before)[0][0])
        commits = [
            (float(at), watched.owners.get(int(who.rpartition(":")[2]), "?"))
            for at, who in observer.rows(COMMITS, before)
        ]
        if plot is not None:
            plot.write_text(_picture(watched, first, last, count))
        crowd = commits[: -workers * len(nodes) or None]
        return Burst(
            count,
            account(observer, files) if not left else Account([f"{left} files are not loaded"]),
            watched.peak(),
            workers * len(nodes),
            watched.reached(first, workers * len(nodes)),
            watched.returned(last, len(nodes)),
            float(observer.rows(WORK, before)[0][0]),
            alone,
            last - first,
            watched.turns(),
            longest_idle(crowd, nodes),
            {node: sum(owner == node for _, owner in commits) for node in nodes},
            timed,
        )
    finally:
        observer.close()


def _beside(project: Path) -> Path:
    ready = project / "ready"
    ready.mkdir(exist_ok=True)
    return ready


def _alone(fleet: Fleet, files: Files, observer: Observer, say: Say, timed: bool) -> float:
    """Measure the work of a file, and make the next ones such that it is enough. Returns the CPU
    seconds of a worker for one."""
    _each(files, observer, 2)  # the first file of a process imports what it needs
    for _ in range(4 if timed else 1):
        before = _cpu(fleet)
        count = ALONE if timed else 2
        _each(files, observer, count)
        each = (_cpu(fleet) - before) / count
        rows = files.made[-1].rows
        say(f"  CPU of a worker for a file of {rows:,} rows: {each * 1000:.0f} ms")
        if each >= LEAST * 1.05 or not timed:
            break
        files.scale(AIM / each)
    return each


def _each(files: Files, observer: Observer, count: int) -> None:
    for _ in range(count):
        files.put()
        wait_for(files, observer, PATIENCE)


def _cpu(fleet: Fleet) -> float:
    """CPU seconds of all pools."""
    return sum(seconds for name, seconds in spent(fleet).items() if name.endswith("child"))


def _until_small(watched: Watched, least: int, seconds: float = DOWN + 30, stay: float = 8) -> None:
    """Until all nodes have been at their minimum for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        recent = [s for s in watched.samples if s.at > time.time() - stay]
        if len(watched.samples) > len(recent) and recent and all(s.total <= least for s in recent):
            return
        time.sleep(0.2)


def _picture(watched: Watched, first: float, last: float, count: int) -> str:
    begin = first - 5
    shown = [s for s in watched.samples if s.at >= begin]

    def series(value: str) -> list[tuple[float, float]]:
        return [(s.at - begin, float(getattr(s, value))) for s in shown]

    nodes = len(shown[0].present) if shown else 1
    most = sum(shown[-1].limit.values()) if shown else 1
    wanted = [(at, min(value, most)) for at, value in series("wanted")]
    many = f"{count:,} files at once, {nodes} node{'s' if nodes > 1 else ''}"
    return steps(
        many,
        {"wanted": wanted, "present": series("total")},
        series("waiting"),
        {"first file": first - begin, "last commit": last - begin},
    )


def main() -> int:
    options = parser("burst", __doc__)
    options.add_argument("--files", type=int, default=2000)
    options.add_argument("--nodes", type=int, default=1)
    options.add_argument("--workers", type=int, default=4, help="the most processes of a node")
    options.add_argument("--plot", type=Path, help="where to write wanted and present as SVG")
    given = options.parse_args()

    def once(broker: str, folder: Path) -> Burst:
        with stand(broker, folder, given.nodes, given.workers) as made:
            found = run(made, given.files, given.workers, print, given.plot)
        each = found.seconds / found.files * 1000 if found.files else 0.0
        print(
            f"  work of a file: {found.alone * 1000:.0f} ms of CPU, {found.work * 1000:.0f} ms by its "
            f"history; the fleet finished one each {each:.0f} ms, all in {found.seconds:.0f} s"
        )
        print(f"  turns {found.turns}, longest idle {_rounded(found.idle)}, files {found.shares}")
        for line in found.problems():
            print(line)
        return found

    return runs("burst", given, once)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {node: round(value, 1) for node, value in seconds.items()}


if __name__ == "__main__":
    sys.exit(main())
