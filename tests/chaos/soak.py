"""Every fault of a fleet's surroundings once a minute, for minutes: what ends a process by itself is found.

The harness kills, cuts, fills and replaces; it starts nothing again but what it killed itself.
"""

from __future__ import annotations

import heapq
import os
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import redis
from chaos.findings import Findings
from chaos.generator import Drop, Kind, trap
from chaos.network import INNER_ADDRESS, Network, network
from chaos.plan import WORKERS, Plan
from chaos.run import Run, running, stopped
from chaos.scene import scene, servers
from fuzz.strangers import MessageSpoiler, OnRabbitMQ, OnRedis
from servers import RabbitMQ

from sensorflow.adapters.queues.celery import normal
from sensorflow.embedded.valkey import Valkey

Steps = Iterator[float]
"""A fault as it goes on: each value is the seconds until its next step."""
SECONDS_BETWEEN_FILES = 5.0
"""Seconds at the end of a minute that are left free of new faults."""
PATIENCE = 120.0
"""Seconds without any progress after which a file that is not terminal is lost."""
FILES = 60
"""Files a minute."""
NONSENSE = 20
"""Broken messages at a time."""
LOG_LIMIT = 1 << 20
"""Bytes; a log is longer than that from the start, and no other file of a run is."""
SOURCES = {name: {"profile": name, "stability_window": 0.2} for name in ("tangle", "stuck")}
PROFILES = {
    "tangle": {"extends": "long", "drop": "^(x|xx)+[yz]"},
    "stuck": {"format": "stuck", "max_seconds": 3},
}


@dataclass
class Soak:
    """Faults on a run whose fleet has begun; `minutes` of them."""

    run: Run
    network: Network
    server: Valkey | RabbitMQ
    minutes: int
    counted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.run.plan.seed)
        self._numbers = count()

    # --- the schedule ---

    def play(self) -> None:
        """All faults of every minute, at times drawn anew; files come in evenly all the while."""
        steps: list[tuple[float, int, str, Steps]] = []
        began = time.monotonic()
        for minute in range(self.minutes):
            for name, fault in self._faults().items():
                at = began + 60 * minute + self._draw.uniform(0, 60 - SECONDS_BETWEEN_FILES)
                heapq.heappush(steps, (at, next(self._numbers), name, fault()))
        end = began + 60 * self.minutes
        while steps or time.monotonic() < end:
            self.run.supervise()
            self.run.drop(min(0.999, (time.monotonic() - began) / (60 * self.minutes)))
            while steps and steps[0][0] <= time.monotonic():
                _, number, name, fault = heapq.heappop(steps)
                self.counted.setdefault(name, 0)
                try:
                    pause = next(fault)
                except StopIteration:
                    self.counted[name] += 1
                else:
                    heapq.heappush(steps, (time.monotonic() + pause, number, name, fault))
            time.sleep(0.05)
        self.run.drop()

    def _faults(self) -> dict[str, Callable[[], Steps]]:
        mine = {
            "worker's host cut": self.cut,
            "broker restarted": self.restart_broker,
            "broker full": self.fill_broker,
            "worker killed, and a child of the new one": self.kill_young_child,
            "no memory in a child": self.starve,
            "log full": self.fill_log,
            "pattern that backtracks": self.cut_connections,
            "child stuck": self.stop_process,
            "drop folder replaced": self.replace_folder,
            "table away": self.hide_table,
            "broken messages": self.send_nonsense,
        }
        if isinstance(self.server, RabbitMQ):
            del mine["broker full"]
        return mine

    # --- the faults ---

    def cut(self) -> Steps:
        """No FIN, no RST: packets are dropped in both directions."""
        self.network.cut()
        yield self._draw.uniform(20, 25)
        self.network.repair()

    def restart_broker(self) -> Steps:
        """Killed, and away for up to five seconds; of RabbitMQ the connections."""
        if isinstance(self.server, RabbitMQ):
            self.server.close_connections(self.run.scene.broker.rpartition("/")[2])
            return
        process = self.server.process
        assert process.pid is not None
        os.kill(process.pid, self._draw.choice((9, 15)))
        while process.is_alive:
            yield 0.05
        yield self._draw.choice((0.0, self._draw.uniform(0, 5)))
        self.server.start()

    def fill_broker(self) -> Steps:
        with self._valkey() as client:
            client.config_set("maxmemory", "100kb")
        yield 3.0
        while not self._freed():
            yield 0.2

    def _freed(self) -> bool:
        """Whether the broker, which may be down just now, has its memory again."""
        try:
            with self._valkey() as client:
                client.config_set("maxmemory", "0")
        except redis.RedisError:
            return False
        return True

    @contextmanager
    def _valkey(self) -> Iterator[redis.Redis]:
        with suppress(redis.RedisError), redis.Redis.from_url(normal(self.run.scene.broker)) as c:
            yield c

    def kill_young_child(self) -> Steps:
        """A worker, and the first child of the one that takes its place as soon as it is there."""
        fleet, worker = self.run.fleet, WORKERS[0]
        fleet.kill(worker)
        fleet.start(worker)
        while not (children := fleet.children(worker)):
            yield 0.005
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, 9)

    def starve(self) -> Steps:
        """A child gets no memory any more: neither for data nor for a new thread."""
        while not (children := self.run.fleet.children(WORKERS[0])):
            yield 0.1
        yield from self._limit([self._draw.choice(children)], resource.RLIMIT_AS, 1 << 20, 5.0)

    def fill_log(self) -> Steps:
        """Nobody can write to the end of a log."""
        fleet = self.run.fleet
        pids = [p.pid for p in fleet.running.values()]
        pids += [pid for worker in WORKERS for pid in fleet.children(worker)]
        yield from self._limit(pids, resource.RLIMIT_FSIZE, LOG_LIMIT, 4.0)

    def _limit(self, pids: list[int], what: int, limit: int, seconds: float) -> Steps:
        before = {}
        for pid in pids:
            with suppress(ProcessLookupError):
                before[pid] = resource.prlimit(pid, what)
                resource.prlimit(pid, what, (limit, before[pid][1]))
        yield seconds
        for pid, limits in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, what, limits)

    def cut_connections(self) -> Steps:
        yield from self._put(Kind.TANGLED)

    def stop_process(self) -> Steps:
        yield from self._put(Kind.STUCK)

    def _put(self, kind: Kind) -> Steps:
        generated, content = trap(next(self._numbers), kind)
        self.run.manifest.files.append(generated)
        self.run.put(Drop(generated.source, generated.names[0], content))
        yield 0.0

    def replace_folder(self) -> Steps:
        """Another folder under its name, as by a mount or a clean-up; what was in it is put back."""
        folder = self.run.folder / "plant"
        old = folder.with_name(f"plant-{next(self._numbers)}")
        folder.rename(old)
        folder.mkdir()
        for path in filter(Path.is_file, old.iterdir()):
            path.rename(folder / path.name)
        yield 0.0

    def hide_table(self) -> Steps:
        """As by an operator who is at the schema."""
        with psycopg.connect(self.run.scene.database, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '5s'")
            with suppress(psycopg.errors.LockNotAvailable):
                connection.execute("ALTER TABLE raw_readings RENAME TO raw_readings_away")
                try:
                    yield 2.0
                finally:
                    connection.execute("SET lock_timeout = 0")
                    connection.execute("ALTER TABLE raw_readings_away RENAME TO raw_readings")

    def send_nonsense(self) -> Steps:
        """Messages that no client of Celery would send."""
        stranger = MessageSpoiler(self._draw, max(1, len(self.run.manifest.files)))
        url = self.run.scene.broker
        rabbit = isinstance(self.server, RabbitMQ)
        sender = OnRabbitMQ(url, stranger) if rabbit else OnRedis(normal(url), stranger)
        for _ in range(NONSENSE):
            while not self._sent(sender):
                yield 0.2
        sender.close()

    def _sent(self, sender: OnRedis | OnRabbitMQ) -> bool:
        try:
            sender.send()
        except redis.RedisError:  # down, or full
            return False
        return True


def pools_shrink(run: Run, seconds: float) -> None:
    """When all is done a worker has one child again, housekeeping or not."""
    if not run.wait(lambda: all(len(run.fleet.children(w)) == 1 for w in WORKERS), seconds):
        sizes = {w: len(run.fleet.children(w)) for w in WORKERS}
        run.findings.unexpected.append(f"a pool did not shrink: {sizes}")
    for worker in WORKERS:
        asleep = [pid for pid in run.fleet.children(worker) if stopped(pid)]
        if asleep:
            run.findings.unexpected.append(f"{worker}: children that do nothing: {asleep}")


def soak(
    broker: str, seed: int, minutes: int, folder: Path, say: Callable[[str], object]
) -> Findings:
    """A run of so many minutes, within the namespace that `network.alone` has made."""
    plan = Plan(broker, seed, files=FILES * minutes, rows=500)
    with network() as net, servers(broker, INNER_ADDRESS) as (postgres, server, url):
        place = scene(postgres, url)
        with running(place, plan, folder, more=(SOURCES, PROFILES)) as run:
            names = ("daemon", *WORKERS, "beat")
            for name in names:
                (folder / f"{name}.log").write_bytes(b"\n" * LOG_LIMIT)
            run.fleet.elsewhere[WORKERS[1]] = (
                net.entering,
                {
                    "SENSORFLOW_DATABASE_URL": place.database.replace("127.0.0.1", INNER_ADDRESS),
                    "SENSORFLOW_BROKER_URL": url.replace("127.0.0.1", INNER_ADDRESS),
                },
            )
            run.fleet.start(*names)
            run.wait(lambda: all(run.fleet.children(worker) for worker in WORKERS))
            new_soak = Soak(run, net, server, minutes)
            new_soak.play()
            run.settle(PATIENCE)
            pools_shrink(run, 120)
            findings = run.judge()
            for name, times in sorted(new_soak.counted.items()):
                say(f"  {name:45} {times:3}")
            say(f"  {len(run.manifest.files)} files, {run.manifest.rows:,} rows")
            for line in findings.details():
                say(line)
            if not findings.clean:
                say(run.fleet.logs())
            return findings


def line(broker: str, seed: int, minutes: int, found: Findings) -> str:
    return (
        f"soak: broker={broker} seed={seed} minutes={minutes} lost={len(found.lost)} "
        f"duplicated={len(found.duplicated)} unexpected={len(found.unexpected)}"
    )
