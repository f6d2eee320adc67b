"""An upgrade host by host, as docs/how-to/upgrade.md has it: files in every state, kills on both sides."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from chaos.scene import Observer
from servers import RabbitMQ
from upgrade.drops import DroppedFiles
from upgrade.hold import RunFacts, queues_of
from upgrade.sides import LEASE, ROOT, SOURCES, Host, ProcessTracker, until

PHASES = 6
BYTES = 95
"""Of a row: between a file that goes as one task and one that goes as a chain of three."""
EARLY = LEASE + 5.0
"""Seconds that new processes wait for their schema: until the leases of who was killed have ended."""
AIM = 20.0
"""Seconds that a kill waits for a victim with a file in hand."""
Say = Callable[[str], object]


class Rolling:
    def __init__(
        self,
        folder: Path,
        old_tree: Path,
        urls: tuple[str, str],
        rabbit: RabbitMQ | None,
        seed: int,
        files: int,
        rows: int,
        say: Say,
    ) -> None:
        for name in (*SOURCES, "data"):
            (folder / name).mkdir()
        self._draw, self._early = random.Random(seed), seed % 2 == 1
        self._say, self._rabbit, self._broker = say, rabbit, urls[1]
        self.drops = DroppedFiles(folder, seed, files, PHASES, rows)
        self.old = Host("old", old_tree, folder, urls, rows * BYTES)
        self.new = Host("new", ROOT, folder, urls, rows * BYTES)
        self.hosts = (self.old, self.new)
        self.observer = Observer(urls[0])
        self.facts = RunFacts()
        self._lookout = ProcessTracker(self.hosts)

    def close(self) -> None:
        self._lookout.stop()
        for host in self.hosts:
            host.stop()
        self.observer.close()

    def run(self) -> None:
        for step in (
            self.before,
            self.half_way,
            self.too_early,
            self.upgrade,
            self.side_by_side,
            self.new_sends_old_works,
            self.old_sends_new_works,
            self.last_of_the_old,
        ):
            began = time.monotonic()
            step()
            self._say(
                f"  {step.__name__.replace('_', ' '):22} {self._count('true'):4} files, "
                f"{self._count(_DONE):4} done, {time.monotonic() - began:4.0f} s"
            )

    # --- the steps ---

    def before(self) -> None:
        """The old version alone: some kills, replays, an undo."""
        self.old.command("db", "upgrade")
        self.old.start("daemon", "beat")
        self.old.worker("worker1")
        self.old.worker("worker2")
        self.drops.phase()
        self._strike(self.old)
        self._settled()
        self._replay(self.old)
        self.facts.queues = queues_of(self._broker, self._rabbit)

    def half_way(self) -> None:
        """Messages that wait, chains that are half done, and a lease in the hand of a killed worker."""
        self.old.end("worker1")
        self.drops.phase()
        self._strike(self.old, whole_host=True, again=False)
        assert not self.old.workers
        self.facts.leases_of_killed = self._count("state = 'running'")
        self._wait_until_taken()
        self.old.worker("worker1", "sensorflow.validate")
        self._until(lambda: self._count("state = 'pending' AND stage = 'transform'") >= 2, "half")
        self.old.end("worker1")
        self.facts.waiting = self._count("state = 'pending' AND published_at IS NOT NULL")
        self.facts.half_way = self._count("state = 'pending' AND stage = 'transform'")

    def too_early(self) -> None:
        """New processes that somebody starts before the schema is upgraded do nothing and spoil nothing.

        Of odd seeds: what waits at the broker is sent again after it.
        """
        if not self._early:
            return
        self.new.start("daemon")
        self.new.worker("worker1")
        self.old.kill("daemon")  # and the new one tries to take over
        self.drops.phase(0.1)
        time.sleep(EARLY)
        self.new.end("worker1", "daemon")
        self.old.start("daemon")
        early = 0
        for log in self.new.project.glob("*.log"):
            early += log.read_text(errors="replace").count("schema-outdated")
            log.unlink()
        assert early, "the new version did not report that the schema is too old"

    def upgrade(self) -> None:
        """With the new version's command, while old workers are at work. They write histories after it."""
        self.old.worker("worker1")
        self.old.worker("worker2")
        before, tenths = self._last_event(), 0
        with ThreadPoolExecutor() as pool:
            command = pool.submit(self.new.command, "db", "upgrade")
            while not command.done():
                if tenths < 6:
                    self.drops.phase(0.1)
                    tenths += 1
                time.sleep(0.5)
            self.facts.output = command.result().strip()
        self.facts.upgraded = self._last_event()
        self.facts.events_between = self.facts.upgraded - before
        self.drops.phase(0.9 - tenths / 10)
        self._strike(self.old)
        self._replay(self.old)
        self._wait_until_taken()

    def side_by_side(self) -> None:
        self.new.start("daemon", "beat")
        self.new.worker("worker1")
        for share in (0.4, 0.3, 0.3):
            self.drops.phase(share)
            sides = list(self.hosts)
            self._draw.shuffle(sides)
            for host in sides:
                self._strike(host, whole_host=self._draw.random() < 0.3)
            daemon = self._draw.choice(self.hosts)
            daemon.kill("daemon")
            daemon.start("daemon")
        self._settled()

    def new_sends_old_works(self) -> None:
        self._crossed(self.new, self.old)

    def old_sends_new_works(self) -> None:
        self._crossed(self.old, self.new)

    def last_of_the_old(self) -> None:
        self.new.worker("worker1")
        self.new.worker("worker2")
        if "daemon" not in self.new.running:
            self.new.start("daemon")
        self.drops.drop_all()
        self.drops.grow()
        self.old.end(*self.old.running)
        self._settled()
        self._replay(self.new)
        self._settled()
        self.facts.queues_after = queues_of(self._broker, self._rabbit)
        self.new.end(*self.new.running)

    # --- what they are made of ---

    def _crossed(self, sender: Host, worker: Host) -> None:
        """One version takes the files in and publishes them; the other one validates, the first transforms
        what that handed on, and the other one loads it."""
        for host in self.hosts:
            host.end(*host.workers)
        worker.end("daemon")
        if "daemon" not in sender.running:
            sender.start("daemon")
        self.drops.phase()
        self._wait_until_taken()
        for host, queue, after in (
            (worker, "validate", "transform"),
            (sender, "transform", "load"),
        ):
            host.worker("worker9", f"sensorflow.{queue}")
            self._until(partial(self._none_is_at, queue), queue)
            assert self._count(f"state = 'pending' AND stage = '{after}'") >= 2
            host.end("worker9")
        worker.worker("worker1")
        self._settled()
        worker.end("worker1")

    def _none_is_at(self, stage: str) -> bool:
        return not self._count(f"stage = '{stage}' AND {_CHAINED}")

    def _strike(self, host: Host, whole_host: bool = False, again: bool = True) -> None:
        """Kill a worker, or a child of it, with a file in hand, where there is one within a while."""
        name, deadline = self._draw.choice(host.workers), time.monotonic() + AIM
        while not self._at_work(host, name):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        if host.strike(self.observer, name, whole_host):
            self.facts.kills[host.name] += 1
        if whole_host and again:
            host.worker(name)

    def _at_work(self, host: Host, name: str) -> bool:
        pids, query = host.children(name), "SELECT lease_owner FROM files WHERE state = 'running'"
        return any(int(str(owner).rsplit(":", 1)[1]) in pids for (owner,) in self._rows(query))

    def _replay(self, host: Host) -> None:
        """A loaded file and one in quarantine; another one is undone first."""
        loaded = [str(row[0]) for row in self._rows(_PLAIN)]
        refused = [str(row[0]) for row in self._rows(_REFUSED)]
        first, second = self._draw.sample(loaded, 2)
        host.command("undo", first)
        host.command("replay", first, second, self._draw.choice(refused))

    def _settled(self) -> None:
        self._until(self._all_done, "all are loaded")

    def _all_done(self) -> bool:
        return self._all_taken() and not self._count(f"NOT {_DONE}") and self._grown()

    def _wait_until_taken(self) -> None:
        """All files are in the ledger, and their messages at the broker."""
        self._until(self._all_taken, "all are taken")
        self._until(
            lambda: not self._count("state = 'pending' AND published_at IS NULL"), "published"
        )

    def _all_taken(self) -> bool:
        self.drops.put_held()
        known = self._rows("SELECT count(DISTINCT sha256) FROM files WHERE source <> 'grow'")[0][0]
        generated = len({generated.sha256 for generated in self.drops.manifest.files})
        return not self.drops.left and known >= generated

    def _grown(self) -> bool:
        query = "SELECT count(*) FROM raw_readings WHERE sensor_id = 'grown'"
        return bool(self._rows(query)[0][0] >= len(self.drops.manifest.lines))

    def _last_event(self) -> int:
        return int(self._rows("SELECT max(id) FROM file_events")[0][0])

    def _until(self, done: Callable[[], object], what: str) -> None:
        until(done, what, self.hosts)

    def _count(self, condition: str) -> int:
        return int(self._rows(f"SELECT count(*) FROM files WHERE {condition}")[0][0])

    def _rows(self, query: str) -> list[tuple[int | str, ...]]:
        return self.observer.rows(query)


_DONE = "state IN ('loaded', 'quarantined', 'superseded')"
_CHAINED = "state IN ('pending', 'running') AND strpos(key_text, 'large') > 0"
_GOOD = "source = 'plant' AND strpos(key_text, 'good') > 0"
_PLAIN = f"SELECT id FROM files WHERE state = 'loaded' AND {_GOOD} ORDER BY id"
_REFUSED = "SELECT id FROM files WHERE state = 'quarantined' ORDER BY id"
