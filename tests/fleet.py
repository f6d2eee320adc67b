"""A project with a real daemon and real workers as processes, and files with their own account."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
import warm
import zones
from patience import PATIENCE

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.account import Totals
from sensorflow.core.states import State
from sensorflow.embedded.process import free_port
from sensorflow.testing.project import Table, write_settings

LONG_LEASE = {"SENSORFLOW_LEASE": "60"}
"""For tests in which no lease may end, as one of three seconds does if a machine stalls."""
HEAD = "time,sensor,type,value,unit\n"


def rows(number: int, count: int, draw: random.Random) -> list[tuple[str, str, float]]:
    """(time, sensor, value) of one file: times and sensors that no other file has."""
    return [
        (
            f"2026-02-01T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z",
            f"s{number}",
            draw.uniform(-50, 50),
        )
        for s in range(count)
    ]


def text(readings: list[tuple[str, str, float]]) -> bytes:
    lines = [f"{t},{s},temperature,{v!r},degC\n" for t, s, v in readings]
    return (HEAD + "".join(lines)).encode()


@dataclass
class Manifest:
    """What the generator made: the truth that the database is held against."""

    readings: set[tuple[str, str, float]] = field(default_factory=set)
    corrupt: set[str] = field(default_factory=set)
    files: int = 0

    def of_database(self, url: str) -> set[tuple[str, str, float]]:
        query = (
            'SELECT to_char(ts, \'YYYY-MM-DD"T"HH24:MI:SS"Z"\'), sensor_id, value FROM raw_readings'
        )
        with psycopg.connect(url, options="-c timezone=UTC") as connection:
            found = connection.execute(query).fetchall()
        assert len(found) == len(set(found)), "a reading is there twice"
        return set(found)  # type: ignore[arg-type]


class Fleet:
    """Daemon, workers and beat of one project, each killable; nothing of it outlives the test.

    source: keys of the source `plant`; sources, profiles: further ones; keys: those above all tables.
    settings: a text in place of these. environment: for all processes, over our own. cold: each process
    starts Python anew, instead of by `tests/warm.py`. autoscale: of a worker.
    """

    def __init__(
        self,
        project: Path,
        database: str,
        broker: str,
        environment: Mapping[str, str] | None = None,
        cold: bool = False,
        level: str = "INFO",
        autoscale: str = "2,1",
        settings: str = "",
        source: Table | None = None,
        sources: Mapping[str, Table] | None = None,
        profiles: Mapping[str, Table] | None = None,
        **keys: Any,
    ) -> None:
        self.project = project
        self.cold = cold
        self.database = database
        self.drop = project / "drop"
        self.drop.mkdir(exist_ok=True)
        plant = {"path": "drop", "stability_window": 0.2, **(source or {})}
        keys = {"rescan": 2, "reconcile": 2, "lease": 3, **keys}
        if settings:
            (project / "sensorflow.toml").write_text(settings)
        else:
            write_settings(project, {"plant": plant, **(sources or {})}, profiles, **keys)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")},
            "SENSORFLOW_DATABASE_URL": database,
            "SENSORFLOW_BROKER_URL": broker,
            "SENSORFLOW_CONFIG": str(project / "sensorflow.toml"),
            **(environment or {}),
        }
        self.flower_port, self.metrics_port = free_port(), free_port()
        self.level, self.autoscale = level, autoscale
        self.running: dict[str, subprocess.Popen[bytes] | warm.Process] = {}
        self._log_starts: dict[str, int] = {}
        self.elsewhere: dict[str, tuple[list[str], dict[str, str]]] = {}
        """Of a process on another host: what its command begins with, and its environment."""
        self.ledger = PostgresLedger(database, "test")

    def start(self, *names: str, env: dict[str, str] | None = None, crash: str = "") -> None:
        """Names are daemon, daemon-…, loop, loop-… (a worker without Celery), flower, metrics, beat, and
        any that begin with worker. env, crash (see `sensorflow.failpoints`): for these alone."""
        celery = ["celery", "-A", "workers"]
        quick = [f"--loglevel={self.level}", "--without-mingle", "--without-gossip"]
        commands = {
            "daemon": ["sensorflow", "watch"],
            "loop": ["sensorflow", "worker", "-c", "2"],
            "flower": [*celery, "flower", f"--port={self.flower_port}"],
            "metrics": ["sensorflow", "metrics", f"--port={self.metrics_port}"],
            "beat": [
                *celery,
                "beat",
                f"--loglevel={self.level}",
                f"--pidfile={self.project / 'beat.pid'}",
            ],
        }
        crashing = {"SENSORFLOW_TESTING": "1", "SENSORFLOW_CRASH": crash} if crash else {}
        for name in names:
            worker = [*celery, "worker", f"--autoscale={self.autoscale}", *quick]
            worker += [f"--hostname={name}@%h"]
            words = commands.get(name.partition("-")[0], worker)
            entering, extra_env = self.elsewhere.get(name, ([], {}))
            given = {**self.env, **extra_env, **(env or {}), **crashing}
            with (self.project / f"{name}.log").open("ab") as log:
                self._log_starts[name] = log.tell()
                if self.cold or entering or any(n.startswith(warm.AT_START) for n in env or ()):
                    self.running[name] = self._spawn(
                        [*entering, sys.executable, "-m"], words, given, log
                    )
                else:
                    number = log.fileno()
                    self.running[name] = warm.Process(words, given, self.project, number, number)

    def _spawn(
        self, begin: list[str], words: list[str], env: dict[str, str], log: BinaryIO
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*begin, *words],
            env=env,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def is_ready(self, name: str) -> bool:
        """Whether a worker consumes. A child may be there before: it checks the stores, and ends."""
        with (self.project / f"{name}.log").open("rb") as log:
            log.seek(self._log_starts[name])
            return b" ready." in log.read() and bool(self.children(name))

    def children(self, name: str) -> list[int]:
        """The pool of a worker: its living children, stopped ones too. Cheap, to be asked often."""
        process = self.running.get(name)
        found: list[int] = []
        for path in Path(f"/proc/{process.pid}/task").glob("*/children") if process else ():
            with suppress(OSError):
                found += map(int, path.read_text().split())
        return [pid for pid in found if state_of(pid) not in ("Z", "")]

    def stop(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.ledger.close()

    def put(self, name: str | bytes, content: bytes, folder: Path | None = None) -> None:
        target = os.path.join(os.fsencode(folder or self.drop), os.fsencode(name))
        with open(target + b".part", "wb") as stream:
            stream.write(content)
        os.rename(target + b".part", target)

    @property
    def data(self) -> Any:
        """The data folder, with the zones wherever they are."""
        return zones.data_in(self.project)

    def sql(self, statement: str) -> None:
        with psycopg.connect(self.database) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def counts(self) -> dict[str, int]:
        totals = self.ledger.totals().get("plant", Totals())
        return {state: getattr(totals, state) for state in ("files", *State)}

    def finished(self) -> int:
        c = self.counts()
        return c["files"] - c["pending"] - c["running"]

    def wait(self, done: Callable[[], bool], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError(f"not done after {seconds} s: {self.counts()}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(
            f"--- {p.name}\n" + "\n".join(p.read_text(errors="replace").splitlines()[-15:])
            for p in sorted(self.project.glob("*.log"))
        )


def ports_in_a_row(count: int) -> int:
    """The first of so many free ports."""
    while True:
        first = free_port()
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            continue
        return first


def state_of(pid: int) -> str:
    """The kernel's letter for what a process is doing, T where it is stopped; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


@contextmanager
def fleet(project: Path, database: str, broker: str, **options: Any) -> Iterator[Fleet]:
    new_fleet = Fleet(project, database, broker, **options)
    try:
        yield new_fleet
    finally:
        new_fleet.stop()


def generate(
    count: int, size: int, seed: int
) -> Iterator[tuple[Manifest, list[tuple[str, bytes]]]]:
    """Batches of files to drop: one in twenty corrupt, one in ten dropped twice."""
    draw = random.Random(seed)
    manifest = Manifest()
    for number in range(count):
        readings = rows(number, size, draw)
        content, name = text(readings), f"file-{number:04}.csv"
        manifest.files += 1
        if number % 20 == 7:
            name += ".gz"
            packed = gzip.compress(content)
            manifest.corrupt.add(name)
            yield manifest, [(name, packed[: draw.randrange(20, len(packed) - 20)])]
            continue
        manifest.readings.update(readings)
        drops = [(name, content)]
        if number % 10 == 3:
            drops.append((f"again-{number:04}.csv", content))
        yield manifest, drops


def assert_all_accounted_for(f: Fleet, manifest: Manifest) -> None:
    """Of the files that `generate` made: all readings once, the corrupt files quarantined."""
    found = manifest.of_database(f.database)
    assert len(found - manifest.readings) == 0, "unexpected"
    assert len(manifest.readings - found) == 0, "lost"
    files = f.ledger.files(limit=10_000)
    assert {v.name for v in files if v.state is State.QUARANTINED} == manifest.corrupt
    zone = f.data / "quarantine"
    for view in f.ledger.files(State.QUARANTINED, limit=10_000):
        assert view.quarantined_to is not None
        quarantined = json.loads((zone / view.quarantined_to / "manifest.json").read_text())
        assert quarantined["file"]["name"] == view.name
        assert quarantined["error"]["code"].startswith("F203")
    assert all(v.counts.balanced for v in files if v.state is State.LOADED)
    aliases = sum(a.kind == "alias" for v in files for a in f.ledger.arrivals(v.file_id))
    assert aliases == manifest.files // 10
    left = [p for p in f.drop.iterdir() if p.is_file()]
    assert left == []
