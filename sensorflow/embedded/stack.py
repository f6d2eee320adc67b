"""Starts, supervises and ends the processes of the stack."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sensorflow.embedded.process import Process
from sensorflow.settings import Settings

PATIENCE = 20.0
"""Seconds within which a worker must finish its current file when the stack stops."""

TOGETHER = frozenset(("daemon", "worker"))
"""Names of the processes that may run twice at the same time, an old and a new instance, because leases and
claims coordinate them."""

FLOWER = (
    "--logging=warning",
    "--tasks_columns=name,args,state,result,received,runtime,worker,exception",
)
"""Options of Flower. The column `args` of a task shows the source, the file and the stage."""


def celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "workers", *arguments]


def fleet(
    settings: Settings,
    place: Path,
    env: Mapping[str, str],
    flower_port: int,
    generation: int = 0,
    folder: Path | None = None,
) -> list[Process]:
    """Return the processes of the fleet on this host: daemon and workers and, with Celery, beat and Flower.

    place: folder for files of the processes. env: environment variables, which include the URLs of the
    servers. generation: a number in the names of Celery workers. After a change of settings, it
    distinguishes new workers from old ones that are finishing their files. folder: working directory; None
    for the data folder.
    """
    logs = settings.data_folder / "logs"
    ours = [sys.executable, "-m", "sensorflow"]
    level = f"--loglevel={settings.log_level}"
    named = (f"--hostname=celery{generation}@%h",) if generation else ()
    autoscale = f"--autoscale={settings.workers},1"
    commands: list[tuple[str, list[str], Mapping[str, str]]] = [
        ("daemon", [*ours, "watch"], env),
        (
            "worker",
            celery("worker", autoscale, level, *named, "--without-mingle", "--without-gossip"),
            env,
        ),
        ("beat", celery("beat", level, f"--pidfile={place / 'beat.pid'}"), env),
        (
            "flower",
            celery("flower", f"--port={flower_port}", *FLOWER),
            env,
        ),
    ]
    if not settings.by_celery:
        commands[1:] = [("worker", [*ours, "worker", "-c", str(settings.workers)], env)]
    return [
        Process(name, command, logs / f"{name}.log", env=given, cwd=folder or settings.data_folder)
        for name, command, given in commands
    ]


@dataclass
class Supervisor:
    """Restarts processes that end. The delay before the restart grows if a process ends repeatedly.

    processes: the processes of the fleet. servers: the processes of the servers, which are restarted too.
    `stop` does not end the servers; the caller must end them afterwards. ending: processes that were
    replaced after a change of settings and are finishing their files. each_turn: a function that `check`
    calls each time.
    """

    processes: list[Process]
    servers: list[Process] = field(default_factory=list)
    ending: list[Process] = field(default_factory=list)
    each_turn: Callable[[], None] = lambda: None
    _restart_at: dict[str, float] = field(default_factory=dict)

    @property
    def all(self) -> list[Process]:
        return [*self.servers, *self.processes]

    def start(self) -> None:
        for process in self.processes:
            process.start()

    def renew(self, processes: list[Process]) -> None:
        """Replace all processes except the servers by `processes`. The new daemon and the new workers start
        at once, because the old ones may need a long time to finish their files. Any other new process
        starts when the old process has ended, because it must not run twice."""
        for process in self.processes:
            process.request_termination()
        self.ending += self.processes
        self.processes = processes
        self._restart_at.clear()
        self.check()

    def check(self) -> None:
        """Restart processes that have ended. Must be called often, and from the main thread."""
        self.each_turn()
        now = time.monotonic()
        self.ending = [process for process in self.ending if process.is_alive]
        waited = {process.name for process in self.ending} - TOGETHER
        for process in self.all:
            if process.is_alive or process.name in waited:
                continue
            if process.pid is None:  # a new process after a change of settings, not started yet
                with suppress(OSError):
                    process.start()
            elif process.name not in self._restart_at:
                self._restart_at[process.name] = now + min(
                    30.0, 0.5 * 2.0 ** min(process.restarts, 6)
                )
            elif now >= self._restart_at[process.name]:
                del self._restart_at[process.name]
                process.restarts += 1
                with suppress(OSError):  # for example the host has no memory; retried
                    process.start()

    def stop(self) -> None:
        """Request all processes of the fleet to end, and wait until they have ended. After `PATIENCE`
        seconds, kill those that are still running."""
        every = [*self.processes, *self.ending]
        for process in every:
            process.request_termination()
        deadline = time.monotonic() + PATIENCE
        for process in every:
            process.terminate(max(0.1, deadline - time.monotonic()))
