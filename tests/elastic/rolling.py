"""A fleet of two autoscaled nodes under load whose processes end one after the other. See `make
rolling`.

The daemon and each worker are restarted by SIGTERM, a worker is killed with all its children, and
another one is cut off from the network. At the end each file must have its rows, once, and an
attempt may have been spent in vain only on files that a killed or cut worker had in hand.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chaos.network import INNER_ADDRESS, Network, alone, network
from chaos.run import stopped
from chaos.scene import Observer
from elastic.files import Account, Files, account, wait_for
from elastic.stand import Say, parser, runs, stand
from fleet import Fleet
from patience import PATIENCE

from sensorflow.core.events import FileEvent

READINGS, TIMES = 100, 300
"""Of a file: 30,000 rows, which are some 30 ms of work."""
WAITING = 40
"""Files that always wait, so that each process has work."""
AWAY = 10.0
"""Seconds for which a killed worker is away."""
CUT = 45.0
"""Seconds for which a worker has no network: longer than its lease."""
BETWEEN = 5.0
"""Seconds between two steps."""
AIM = 20.0
"""Seconds that a kill waits for a victim with a file in hand."""
HELD = "SELECT id, lease_owner FROM files WHERE state = 'running'"
EVENTS = "SELECT file_id, what, coalesce(why, '') FROM file_events WHERE what = ANY(%s)"
ATTEMPTS = "SELECT id, attempts FROM files WHERE attempts > 1"


class Load:
    """A thread that drops files as long as few of them wait."""

    def __init__(self, fleet: Fleet, files: Files, waiting: int = WAITING) -> None:
        self._files, self._waiting = files, waiting
        self._observer = Observer(fleet.database)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._observer.close()

    def _run(self) -> None:
        while not self._end.wait(0.2):
            left = len(self._files.made) - self._done()
            self._files.put(max(0, self._waiting - left))

    def _done(self) -> int:
        return int(self._observer.rows("SELECT count(*) FROM files WHERE state = 'loaded'")[0][0])


@dataclass
class Rolled:
    """steps: what was done, and the seconds that it took. hits: file id -> how often it was in the
    hand of a worker that was killed or cut. vain: file id -> attempts that ended without an
    outcome."""

    broker: str
    files: int = 0
    account: Account = field(default_factory=Account)
    steps: list[tuple[str, float]] = field(default_factory=list)
    hits: Counter[int] = field(default_factory=Counter)
    vain: Counter[int] = field(default_factory=Counter)

    @property
    def unexplained(self) -> Counter[int]:
        """Attempts in vain that no kill and no cut explains."""
        return self.vain - self.hits

    @property
    def clean(self) -> bool:
        return self.account.clean and not self.unexplained

    @property
    def line(self) -> str:
        return (
            f"rolling: broker={self.broker} steps={len(self.steps)} files={self.files} "
            f"lost={len(self.account.lost)} wrong={len(self.account.wrong)} "
            f"attempts_in_vain={self.vain.total()} unexplained={self.unexplained.total()}"
        )

    def details(self) -> list[str]:
        return [
            *(f"  {step}: {seconds:.1f} s" for step, seconds in self.steps),
            f"  files in the hand of who was killed or cut: {self.hits.total()}",
            *self.account.details(),
            *(f"  unexplained: file id {file_id}" for file_id in self.unexplained),
        ]


class Rolling:
    """The steps, each of which ends when what was taken away is back. say: a line for each."""

    def __init__(self, fleet: Fleet, nodes: tuple[str, ...], files: Files, say: Say) -> None:
        self.fleet, self.nodes, self.files, self._say = fleet, nodes, files, say
        self.found = Rolled("")
        self._observer = Observer(fleet.database)

    def close(self) -> None:
        self._observer.close()

    def step(self, name: str, act: Callable[[], object]) -> None:
        """Do something to the fleet while it works; it must go on meanwhile."""
        before, began = self._loaded(), time.monotonic()
        act()
        seconds = time.monotonic() - began
        self.fleet.wait(lambda: self._loaded() > before)
        self.found.steps.append((name, seconds))
        self._say(f"  {name}: {seconds:.1f} s, {self._loaded() - before} files meanwhile")

    def restart(self, name: str) -> None:
        """As systemd does it: SIGTERM, wait until it has ended, start. A worker finishes its files."""
        process = self.fleet.running.pop(name)
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE)
        if code != 0:
            self.found.account.wrong.append(f"{name} ended with {code} at SIGTERM")
        self.start(name)

    def start(self, name: str) -> None:
        self.fleet.start(name)
        if name in self.nodes:
            self.fleet.wait(lambda: self.fleet.is_ready(name))

    def kill(self, name: str, away: float = AWAY) -> None:
        """A worker and all its children, while they have files in hand."""
        deadline = time.monotonic() + AIM
        while not (held := self._freeze(name)) and time.monotonic() < deadline:
            _send(self._group(name), signal.SIGCONT)
        self.found.hits.update(held)
        _send(self.fleet.children(name), signal.SIGKILL)
        self.fleet.kill(name)
        time.sleep(away)
        self.start(name)

    def _freeze(self, name: str) -> list[int]:
        """Stop a worker and its children while they hold files; returns the files that they hold then."""
        deadline = time.monotonic() + AIM
        while not self._held(self.fleet.children(name)) and time.monotonic() < deadline:
            time.sleep(0.02)
        group = self._group(name)
        _send(group, signal.SIGSTOP)
        self.fleet.wait(lambda: all(map(stopped, group)))
        time.sleep(0.05)  # what the database was given just before is committed by then
        return self._held(self._group(name))

    def _group(self, name: str) -> list[int]:
        """Pids of a worker and its children."""
        return [self.fleet.running[name].pid, *self.fleet.children(name)]

    def cut(self, name: str, net: Network, seconds: float = CUT) -> None:
        """A worker loses its network, and gets it back."""
        net.cut()
        time.sleep(1.0)  # what is on its way arrives, or never does
        self.found.hits.update(self._held(self.fleet.children(name)))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.5)
        net.repair()

    def judge(self) -> Rolled:
        """Wait for the last file, and hold everything against what was dropped."""
        found = self.found
        left = wait_for(self.files, self._observer, PATIENCE)
        found.files = len(self.files.made)
        held = account(self._observer, self.files)
        found.account.lost += held.lost + [f"{left} files are not loaded"] * bool(left)
        found.account.wrong += held.wrong
        expired = Counter(
            i for i, *_ in self._observer.rows(EVENTS, [str(FileEvent.LEASE_EXPIRED)])
        )
        found.vain.update(expired)
        for file_id, attempts in self._observer.rows(ATTEMPTS):
            found.vain[file_id] = max(found.vain[file_id], attempts - 1)
        return found

    def _held(self, pids: list[int]) -> list[int]:
        """The files that some processes work on."""
        held = self._observer.rows(HELD)
        return [i for i, owner in held if int(str(owner).rpartition(":")[2]) in pids]

    def _loaded(self) -> int:
        return int(self._observer.rows("SELECT count(*) FROM files WHERE state = 'loaded'")[0][0])


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def run(broker: str, folder: Path, workers: int, say: Say) -> Rolled:
    """All steps, within the namespace that `chaos.network.alone` has made."""
    with network() as net, stand(broker, folder, 2, workers, also=INNER_ADDRESS) as made:
        fleet, (first, second) = made.fleet, made.nodes
        urls = {
            name: fleet.env[name].replace("127.0.0.1", INNER_ADDRESS)
            for name in ("SENSORFLOW_DATABASE_URL", "SENSORFLOW_BROKER_URL")
        }
        fleet.elsewhere[second] = net.entering, urls
        fleet.start("daemon", first, second, "beat")
        fleet.wait(lambda: all(fleet.is_ready(node) for node in made.nodes))
        files = Files(fleet.drop, TIMES, READINGS)
        rolling = Rolling(fleet, made.nodes, files, say)
        rolling.found.broker = broker
        try:
            with Load(fleet, files):
                fleet.wait(lambda: sum(len(fleet.children(n)) for n in made.nodes) >= workers)
                for name in ("daemon", first, second, "beat"):
                    rolling.step(f"{name} restarted", partial(rolling.restart, name))
                    time.sleep(BETWEEN)
                rolling.step(f"{first} killed", lambda: rolling.kill(first))
                time.sleep(BETWEEN)
                rolling.step(f"{second} cut off", lambda: rolling.cut(second, net))
                time.sleep(BETWEEN)
                rolling.step(f"{second} killed", lambda: rolling.kill(second))
            return rolling.judge()
        finally:
            rolling.close()


def main() -> int:
    options = parser("rolling", __doc__)
    options.add_argument("--workers", type=int, default=2, help="the most processes of a node")
    options.add_argument("--inside", action="store_true", help="within a network of its own")
    given = options.parse_args()
    if not given.inside:
        return alone(*sys.argv[1:], "--inside", module="elastic.rolling")

    def once(broker: str, folder: Path) -> Rolled:
        found = run(broker, folder, given.workers, print)
        for line in found.details()[len(found.steps) :]:
            print(line)
        return found

    return runs("rolling", given, once)


if __name__ == "__main__":
    sys.exit(main())
