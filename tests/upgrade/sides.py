"""Two versions of sensorflow as hosts of one fleet: one database, one broker, one set of folders."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chaos.run import stopped
from chaos.scene import Observer
from fleet import Fleet
from former_names import settings_for
from patience import PATIENCE

from sensorflow.testing.project import settings_text

ROOT = Path(__file__).resolve().parents[2]
LEASE = 15
"""Seconds. No lease may end because the machine is slow: an attempt is burned by a kill alone."""
SPARED = 3
"""Attempts of a file after which one more kill would rightly quarantine it."""
KEEP = {"stability_window": 0.2, "after": "keep"}
SOURCES = {
    "plant": {"stability_window": 0.2},
    "feed": {**KEEP, "dedupe_scope": "source", "on_change": "keep"},
    "grow": {**KEEP, "growing": True, "grow_every": 1},
}
KEYS = {"rescan": 2, "reconcile": 2, "lease": LEASE}


def unpacked(commit: str, folder: Path) -> Path:
    """The tree of a commit, as an installation of it has it."""
    archive = subprocess.run(
        ["git", "archive", commit, "sensorflow", "workers", "migrations"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


class Host(Fleet):
    """The processes of one version.

    pids: of all that it ever had, as far as they were seen. hits: how often each file was in the hands of
    what was killed.
    """

    def __init__(
        self, name: str, tree: Path, shared: Path, urls: tuple[str, str], inline_below: int
    ) -> None:
        self.name = name
        project = shared / name
        project.mkdir()
        given = {name: {"path": f"{shared}/{name}", **keys} for name, keys in SOURCES.items()}
        days = (tree / "sensorflow" / "core" / "partition_width.py").is_file()
        keys = {**KEYS, "partitions": "day"} if days else KEYS
        text = settings_text(given, data=f"{shared}/data", inline_below=inline_below, **keys)
        text = settings_for(tree, text)
        super().__init__(project, *urls, {"PYTHONPATH": str(tree)}, cold=True, settings=text)
        self.pids: set[int] = set()
        self.hits: dict[int, int] = {}

    def worker(self, name: str, queues: str = "") -> None:
        """Start a worker for some queues alone, and wait until it has its pool."""
        with (self.project / f"{name}.log").open("ab") as log:
            only = [f"--queues={queues}"] if queues else []
            words = ["celery", "-A", "workers", "worker", "--autoscale=2,1", "--loglevel=INFO"]
            words += ["--without-mingle", "--without-gossip", f"--hostname={name}-{self.name}@%h"]
            command = [sys.executable, "-m"]
            self.running[name] = self._spawn(command, [*words, *only], self.env, log)
        self.wait(lambda: bool(self.children(name)))

    @property
    def workers(self) -> list[str]:
        return [name for name in self.running if name.startswith("worker")]

    def look(self) -> None:
        """Remember whose processes these are, for when they are gone."""
        for name in list(self.running):
            if (process := self.running.get(name)) is not None:
                self.pids |= {process.pid, *self.children(name)}

    def command(self, *words: str) -> str:
        """What a command of this version prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "sensorflow", *words],
            env=self.env,
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{self.name}: {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def end(self, *names: str) -> None:
        """As an operator ends processes; a worker finishes the file in hand."""
        for name in names:
            self.running[name].send_signal(signal.SIGTERM)
        for name in names:
            code = self.running[name].wait(PATIENCE)
            starting = code == -signal.SIGTERM  # Python was still reading its modules
            assert code == 0 or starting, f"{name} of {self.name} ended with {code}\n{self.logs()}"
            del self.running[name]

    def strike(self, observer: Observer, name: str, whole_host: bool) -> bool:
        """Kill a worker, or its first child that holds a file. Returns whether a file was in its hands."""
        group = self.children(name)
        if whole_host:
            group.insert(0, self.running[name].pid)
        self.look()
        for pid in group:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and not all(map(stopped, group)):
            time.sleep(0.002)
        time.sleep(0.05)  # what the database was given just before is committed by then
        query = "SELECT id, lease_owner, attempts FROM files WHERE state = 'running'"
        claims = [(i, int(o.rsplit(":", 1)[1]), tried) for i, o, tried in observer.rows(query)]
        victims = (
            group if whole_host else [pid for pid in group if pid in {p for _, p, _ in claims}][:1]
        )
        hit = [(file_id, tried) for file_id, pid, tried in claims if pid in victims]
        if any(tried >= SPARED for _, tried in hit):
            victims, hit, whole_host = [], [], False
        for file_id, _ in hit:
            self.hits[file_id] = self.hits.get(file_id, 0) + 1
        if whole_host:
            self.kill(name)
        for pid in group:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if pid in victims else signal.SIGCONT)
        return bool(hit)


class ProcessTracker:
    """Sees whose processes are whose, as long as they live."""

    def __init__(self, hosts: tuple[Host, ...]) -> None:
        self._hosts = hosts
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.1):
            for host in self._hosts:
                host.look()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def until(done: Callable[[], object], what: str, hosts: tuple[Host, ...]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        for host in hosts:
            for name, process in host.running.items():
                assert process.poll() is None, f"{name} of {host.name} ended\n{host.logs()}"
        if time.monotonic() > deadline:
            logs = "\n".join(host.logs() for host in hosts)
            raise AssertionError(f"{what}: not within {PATIENCE:.0f} s\n{logs}")
        time.sleep(0.1)
